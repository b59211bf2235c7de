"""Numbers by which a tracker marks lost samples, such as -1: left out if they are named, told if they look like it."""

import dataclasses

import numpy as np

from raydistill.recordings.raw import Trace

_MIN_DISTINCT = 20  # a column with fewer values is a state or a count
_MIN_RUNS = 3
_JUMP = 5.0  # times the 99th percentile of the other steps


def without_lost(trace: Trace, lost_value: float | None) -> tuple[Trace, tuple[str, ...]]:
    """The trace with NaN where its values are `lost_value`, and what there is to say about it.

    Without a `lost_value`, nothing is left out, and a column that jumps to one number and back is told.
    """
    if lost_value is None:
        suspected = [(name, _suspected(column)) for name, column in zip(trace.names, trace.values.T, strict=True)]
        return trace, tuple(
            f"behavior: {name} jumps to exactly {found[0]:g} and back, in {found[1]} of {len(trace.times)} samples; if "
            f"the tracker marks lost samples so, set `lost_value: {found[0]:g}`"
            for name, found in suspected
            if found
        )
    is_lost = trace.values == lost_value
    n_lost = int(is_lost.any(axis=1).sum())
    note = f"behavior: samples left out as lost, equal to `lost_value`: {n_lost} of {len(trace.times)}"
    return dataclasses.replace(trace, values=np.where(is_lost, np.nan, trace.values)), (note,)


def _suspected(column: np.ndarray) -> tuple[float, int] | None:
    """The number to which a column, (K,), jumps and from which it jumps back, and how many samples have it.

    It is the most frequent number of the column, and each step to and from it is far longer than the others.
    """
    values = column[np.isfinite(column)]
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) < _MIN_DISTINCT:
        return None
    number = distinct[np.argmax(counts)]
    is_number = values == number
    steps = np.abs(np.diff(values))
    border = is_number[1:] != is_number[:-1]
    others = steps[~is_number[1:] & ~is_number[:-1]]
    n_runs = int((is_number[1:] & ~is_number[:-1]).sum())
    if n_runs < _MIN_RUNS or not len(others) or steps[border].min() <= _JUMP * np.percentile(others, 99):
        return None
    return float(number), int(is_number.sum())
