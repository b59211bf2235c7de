"""Time stamps of behavior in the order of time, each moment once. K samples, D columns."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.raw import Trace

_JITTER = 3  # median steps: a stamp that runs back further than this means that the clock was set back
_TOGETHER = 0.1  # of the median step: time stamps closer than this count as one, stored twice
_ROUNDING_S = 1e-6  # a stamp this close to the end of a piece is on it; seconds since 1970 are rounded to 2e-7
_MOST_MERGED = 0.5  # share of the samples: no more than if each were stored twice
_USUAL = 0.9  # share of the steps that are at most as long as the usual one
_GAP, _MOST = 5, 0.75  # times the step that this share does not exceed: a longer one is a gap, as between short trials


def usual_step(times: np.ndarray) -> float:
    """The step in seconds that nine of ten steps do not exceed: that of a regular clock, whatever it lost.

    Steps of more than 5 times that which three of four do not exceed are gaps, and do not count.

    Args:
        times: (K,) ascending seconds, K at least 2.
    """
    steps = np.diff(times)
    return float(np.quantile(steps[steps <= _GAP * np.quantile(steps, _MOST)], _USUAL, method="lower"))


def ascending(trace: Trace, windows: Sequence[tuple[float, float]] = ()) -> tuple[Trace, tuple[str, ...]]:
    """The trace in the order of time, and notes on samples that were left out, sorted or merged.

    Samples without a time are left out. A stamp may be earlier than the latest one before it by up to 3 median steps,
    as when neighbours are swapped; such samples are sorted. Stamps closer than a tenth of the median step count as
    one moment, whose values are averaged.

    Args:
        windows: (start, stop) in seconds of the parts of the recording that are used; empty: all of it. A clock that
            was set back matters only within them.

    Raises:
        DataError: a stamp runs back further, most samples share a moment with another, or there are fewer than two
            moments.
    """
    timed = np.flatnonzero(np.isfinite(trace.times))
    notes = []
    if untimed := len(trace.times) - len(timed):
        notes.append(f"behavior: samples without a time stamp, left out: {untimed} of {len(trace.times)}")
    set_back = _set_back(trace.times[timed])
    if len(set_back) and windows:
        inside = [(trace.times[timed] >= start) & (trace.times[timed] <= stop) for start, stop in windows]
        timed = timed[np.any(inside, axis=0)]
        set_back = _set_back(trace.times[timed])
        notes.append("behavior: its clock was set back, so only the samples within `interval` are used")
    if len(set_back):
        _refuse(trace.times, timed, set_back)
    times, values = trace.times[timed], trace.values[timed]
    if backward := int(np.sum(np.diff(times) < 0)):
        notes.append(f"behavior: time stamps that run back by a few samples, sorted: {backward} of {len(times)}")
    order = np.argsort(times, kind="stable")
    times, values, merged = _merged(times[order], values[order])
    if merged:
        notes.append(f"behavior: samples averaged with another of the same time stamp: {merged} of {len(timed)}")
    if len(times) < 2:
        raise DataError(f"behavior has {len(times)} different time stamps; two are needed")
    if merged > _MOST_MERGED * len(timed):
        raise DataError(
            f"behavior: {merged} of {len(timed)} samples have the time stamp of another, such as {times[0]:g} s, so "
            "that when they were taken is unknown; give `rate_hz` and `start_s` instead of `times`, or save the stamps "
            "with more digits"
        )
    return replace(trace, times=times, values=values), tuple(notes)


def samples_of_pieces(times: np.ndarray, pieces: np.ndarray | None) -> list[slice]:
    """The samples of each piece. One where a piece ends and the next begins belongs to the next.

    Args:
        times: (K,) ascending seconds.
        pieces: (pieces, 2) start and stop in seconds, ascending; None: one piece of all samples.
    """
    if pieces is None:
        return [slice(0, len(times))]
    firsts, stops = np.searchsorted(times, pieces + np.array([-_ROUNDING_S, _ROUNDING_S])).T
    stops[:-1] = np.clip(stops[:-1], None, np.maximum(firsts[1:], firsts[:-1]))
    return [slice(int(first), int(stop)) for first, stop in zip(firsts, stops, strict=True)]


def _set_back(times: np.ndarray) -> np.ndarray:
    """Indices of the samples at which the clock was set back; times (K,) are finite, in the order of the file."""
    steps = np.abs(np.diff(times))
    if not steps.any():
        return np.empty(0, dtype=int)
    behind = np.maximum.accumulate(times) - times > _JITTER * np.median(steps[steps > 0]) * (1 + 1e-6)
    return np.flatnonzero(behind & ~np.append(False, behind[:-1]))


def _refuse(times: np.ndarray, timed: np.ndarray, set_back: np.ndarray):
    at = int(timed[set_back[0]])
    latest = float(np.max(times[timed[: set_back[0]]]))
    others = f" ({len(set_back)} such places)" if len(set_back) > 1 else ""
    raise DataError(
        f"behavior sample {at} at {times[at]:.3f} s follows {latest:.3f} s{others}: the clock was set back, so one "
        f"time means two moments; use a part of it that does not overlap with another by `interval`, or save the parts "
        "as files"
    )


def _merged(times: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Each moment once, with the mean of its valid values, and the number of samples that this takes away."""
    steps = np.diff(times)
    begins = np.append(True, steps > _TOGETHER * np.median(steps)) if len(steps) else np.ones(len(times), bool)
    if begins.all():
        return times, values, 0
    starts = np.flatnonzero(begins)
    n_values = np.add.reduceat(np.isfinite(values), starts, axis=0, dtype=np.int64)
    with np.errstate(all="ignore"):
        means = np.add.reduceat(np.where(np.isfinite(values), values, 0.0), starts, axis=0) / n_values
    means[n_values == 0] = np.nan
    moments = np.add.reduceat(times, starts) / np.diff(np.append(starts, len(times)))
    return moments, means, len(times) - len(starts)
