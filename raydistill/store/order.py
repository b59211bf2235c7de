"""The order of segments: a pure function of (seed, epoch), the same for any number of workers.

A part file is the grain: each worker holds whole parts, and each epoch shuffles the rows of every part and
merges the parts by relative position, so that a global batch takes its share from each. A worker computes the
whole order from the catalogue and works on the rows it holds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """One segment by its place: row `row` of part `part`."""

    part: int
    row: int


def epoch_order(sizes: Sequence[int], seed: int, epoch: int) -> list[Row]:
    """All rows of all parts, in the order of this epoch.

    Args:
        sizes: rows of each part.
    """
    positions, rows = [], []
    for part, size in enumerate(sizes):
        random = np.random.default_rng([seed, epoch, part])
        shuffled = random.permutation(size)
        # Each part's rows spread evenly over the epoch from a phase of its own: (size,) in [0, 1).
        positions.append((np.arange(size) + random.random()) / size)
        rows += [Row(part, int(row)) for row in shuffled]
    return [rows[i] for i in np.argsort(np.concatenate(positions), kind="stable")]


def stored_order(sizes: Sequence[int]) -> list[Row]:
    """All rows as they are stored: the order of validation."""
    return [Row(part, row) for part, size in enumerate(sizes) for row in range(size)]


def global_batches(order: list[Row], batch: int) -> list[list[Row]]:
    """Consecutive runs of `batch` rows; the last may be shorter, none is dropped."""
    return [order[i : i + batch] for i in range(0, len(order), batch)]


def deal(weights: Sequence[int], workers: int) -> list[list[int]]:
    """Parts for each worker, balanced by weight: the heaviest part goes to the lightest worker, ties in order."""
    dealt, loads = [[] for _ in range(workers)], [0] * workers
    for part in sorted(range(len(weights)), key=lambda p: (-weights[p], p)):
        worker = min(range(workers), key=lambda w: (loads[w], w))
        dealt[worker].append(part)
        loads[worker] += weights[part]
    return [sorted(parts) for parts in dealt]
