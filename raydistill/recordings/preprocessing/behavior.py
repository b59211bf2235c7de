"""Behavior from its own time stamps onto bins: jumps and gaps become NaN, derivatives are taken before resampling.

See docs/methods.md, Data and preprocessing. K samples, D columns, T bins.
"""

import math
from dataclasses import replace

import numpy as np

from raydistill.config.manifest import Behavior
from raydistill.errors import DataError, suggest
from raydistill.recordings.preprocessing.bins import Bins
from raydistill.recordings.raw import Trace

_TOGETHER = 0.1  # of the median step: time stamps closer than this count as one, stored twice


def behavior_on_bins(trace: Trace, bins: Bins, gap_s: float) -> np.ndarray:
    """(T, D) float32: linear between valid samples, NaN in bins whose centre is in a gap longer than `gap_s`.

    With two or more samples per bin, a bin holds the mean of that line over its width, so that fast behavior does not
    alias; otherwise the value at its centre. Samples at bin centres are kept exactly.

    Raises:
        DataError: no bin has a value.
    """
    out = np.column_stack([_column_on_bins(trace.times, v, bins, gap_s) for v in trace.values.T])
    if np.isnan(out).all():
        raise DataError(
            f"behavior is lost in every bin: no two valid samples within `behavior_gap_s` {gap_s:g} s of each other"
        )
    return out.astype(np.float32)


def _column_on_bins(times, values, bins, gap_s):
    from scipy.integrate import cumulative_trapezoid

    valid = np.isfinite(values)
    times, values = times[valid], values[valid]
    if not len(times):
        return np.full(bins.n, np.nan)
    centres = bins.centres
    if len(times) > 1 and np.median(np.diff(times)) <= bins.width_s / 2:
        edges = bins.edges
        knots = np.union1d(times, edges)
        area = cumulative_trapezoid(np.interp(knots, times, values), knots, initial=0)
        out = np.diff(area[np.searchsorted(knots, edges)]) / bins.width_s
    else:
        out = np.interp(centres, times, values)
    after = np.searchsorted(times, centres)  # the first sample at or after each centre
    inside = (after > 0) & (after < len(times))
    after = np.clip(after, 1, len(times) - 1) if len(times) > 1 else np.zeros(bins.n, int)
    step = times[after] - times[after - 1]
    lost = inside & (step > gap_s) & (times[after] > centres)
    lost |= (centres < times[0] - gap_s) | (centres > times[-1] + gap_s)
    return np.where(lost, np.nan, out)


def prepared(trace: Trace, options: Behavior, pieces: np.ndarray | None = None) -> Trace:
    """The trace on ascending time stamps: `max_speed`, `smooth_s`, `derive` and `columns` applied in this order.

    Args:
        pieces: (pieces, 2) start and stop in seconds of each recorded interval. Each is prepared separately, and
            samples outside all of them are left out. None: there is no gap.

    Raises:
        DataError: too few samples with a time, or `columns` names one that does not exist.
    """
    trace = _ascending(trace)
    if pieces is None:
        return _prepared(trace, options)
    bounds = np.searchsorted(trace.times, pieces + np.array([-1e-9, 1e-9]))
    cuts = [slice(a, b) for a, b in bounds if b - a > 1]
    if not cuts:
        raise DataError("behavior has fewer than two samples in every recorded interval")
    parts = [_prepared(replace(trace, times=trace.times[c], values=trace.values[c]), options) for c in cuts]
    times, values = np.concatenate([p.times for p in parts]), np.concatenate([p.values for p in parts])
    return replace(parts[0], times=times, values=values)


def _prepared(trace: Trace, options: Behavior) -> Trace:
    if options.max_speed is not None:
        trace = replace(trace, values=_without_jumps(trace.times, trace.values, options.max_speed))
    if options.smooth_s is not None:
        trace = replace(trace, values=_smoothed(trace.times, trace.values, options.smooth_s))
    if options.derive is None:
        return _chosen(trace, options.columns or trace.names)
    velocity = np.column_stack([_gradient(trace.times, v) for v in trace.values.T])
    names = tuple(_velocity_name(n) for n in trace.names)
    with_velocity = replace(
        trace,
        values=np.hstack([trace.values, velocity]),
        names=trace.names + names,
        units=trace.units + tuple(f"{u}/s" if u else "" for u in trace.units),
    )
    return _chosen(with_velocity, options.columns or names)


def _ascending(trace):
    """Samples in the order of time. Samples with the same time are averaged, those without a time are left out."""
    order = np.argsort(trace.times, kind="stable")
    order = order[np.isfinite(trace.times[order])]
    times, values = trace.times[order], trace.values[order]
    if len(times) < 2:
        raise DataError(f"behavior has {len(times)} samples with a time; two are needed")
    steps = np.diff(times)
    begins = np.concatenate([[True], steps > _TOGETHER * np.median(steps)])
    if not begins.all():
        starts = np.flatnonzero(begins)
        n_values = np.add.reduceat(np.isfinite(values), starts, axis=0, dtype=np.int64)
        with np.errstate(all="ignore"):
            values = np.add.reduceat(np.nan_to_num(values), starts, axis=0) / n_values
        values[n_values == 0] = np.nan
        times = np.add.reduceat(times, starts) / np.diff(np.append(starts, len(times)))
    return replace(trace, times=times, values=values, span=trace.covers)


def _without_jumps(times, values, max_speed):
    """NaN where a sample could not be reached from the last valid one at `max_speed` in the time between them."""
    values = values.copy()
    last_valid = None
    for i, (time, place) in enumerate(zip(times.tolist(), values.tolist(), strict=True)):
        if any(map(math.isnan, place)):
            continue
        if last_valid is not None and math.dist(place, last_valid[1]) > max_speed * (time - last_valid[0]):
            values[i] = np.nan
        else:
            last_valid = time, place
    return values


def _smoothed(times, values, sd_s):
    """Gaussian mean of the valid samples around each valid one; NaN stays NaN."""
    from scipy.ndimage import gaussian_filter1d

    sd = sd_s / np.median(np.diff(times))  # in samples; a few dropped frames do not matter
    valid = np.isfinite(values)
    share = gaussian_filter1d(valid.astype(np.float64), sd, axis=0)
    with np.errstate(all="ignore"):
        return np.where(valid, gaussian_filter1d(np.where(valid, values, 0.0), sd, axis=0) / share, np.nan)


def _gradient(times, values):
    """Second-order differences at the valid samples, with their uneven steps."""
    valid = np.isfinite(values)
    out = np.full(len(values), np.nan)
    if valid.sum() > 1:
        out[valid] = np.gradient(values[valid], times[valid])
    return out


def _velocity_name(name):
    return "velocity" + name.removeprefix("position") if name.startswith("position") else f"velocity_{name}"


def _chosen(trace, columns):
    missing = [c for c in columns if c not in trace.names]
    if missing:
        raise DataError(f'there is no behavior column "{missing[0]}"{suggest(missing[0], trace.names)}')
    at = [trace.names.index(c) for c in columns]
    return replace(trace, values=trace.values[:, at], names=tuple(columns), units=tuple(trace.units[i] for i in at))
