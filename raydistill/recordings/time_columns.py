"""Columns of behavior that are time: the table of a tracker often begins with time stamps or numbers of frames."""

import numpy as np

_FEWEST = 20
_RISING = 0.95
"""Share of the steps that lead up. The others are those from one trial, or part of the recording, to the next."""
_EVEN = 0.5
"""Of the median step: nine of ten steps are as near to it."""


def is_time(column: np.ndarray) -> bool:
    """Whether a column, (K,), rises from nearly every sample to the next by nearly the same step.

    Behavior that is measured does not, but for that of an animal that is moved at a constant speed.
    """
    values = np.asarray(column, dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) < _FEWEST:
        return False
    steps = np.diff(values)
    step = np.median(steps)
    near = np.abs(steps - step) <= _EVEN * step
    return bool(step > 0 and np.mean(steps > 0) >= _RISING and np.mean(near) >= 0.9)


def is_time_of(column: np.ndarray, times: np.ndarray) -> bool:
    """As `is_time`, and the steps are those of the times (K,) in s, ms or us, or 1 from each sample to the next."""
    if not is_time(column):
        return False
    step, seconds = np.nanmedian(np.diff(column)), np.median(np.diff(times))
    return any(abs(step - unit) <= 0.01 * unit for unit in (1.0, seconds, 1e3 * seconds, 1e6 * seconds))
