"""Intervals of time in seconds, as (n, 2) arrays of start and stop."""

from collections.abc import Sequence
from functools import reduce

import numpy as np


def overlap(intervals: np.ndarray, at_least: int) -> np.ndarray:
    """(m, 2) intervals in which at least `at_least` of the (n, 2) intervals overlap; those that touch are joined."""
    times, steps = intervals.T.ravel(), np.repeat([1, -1], len(intervals))
    order = np.lexsort((-steps, times))  # at equal times starts come first, so that intervals that touch are joined
    enough = np.cumsum(steps[order]) >= at_least
    return times[order][np.diff(enough, prepend=False)].reshape(-1, 2)


def shared(sets: Sequence[np.ndarray]) -> np.ndarray:
    """(m, 2) intervals that lie in one interval of every set; intervals that touch stay apart.

    Args:
        sets: (n, 2) each, the intervals of a set in the order of time and without overlap.
    """
    return reduce(_shared, sets)


def _shared(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    start = np.maximum(first[:, None, 0], second[None, :, 0])  # (n, m)
    stop = np.minimum(first[:, None, 1], second[None, :, 1])
    rows, columns = np.nonzero(stop > start)  # in the order of time, as both sets are
    return np.column_stack([start[rows, columns], stop[rows, columns]])
