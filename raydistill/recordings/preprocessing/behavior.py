"""Behavior before it is resampled: jumps are lost, angles are unwrapped, then smoothing and derivatives.

See docs/methods.md, Data and preprocessing. K samples, D columns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from raydistill.config.manifest import Behavior
from raydistill.errors import DataError, suggest
from raydistill.recordings.preprocessing.circular import circular_notes, distance, periods_of, unwrapped
from raydistill.recordings.preprocessing.lost import without_lost
from raydistill.recordings.preprocessing.smoothing import derivative, smoothed
from raydistill.recordings.preprocessing.stamps import ascending, samples_of_pieces, usual_step
from raydistill.recordings.raw import Trace
from raydistill.recordings.time_columns import is_time_of

_GAP = 5  # usual steps: no smoothing or derivative over a longer time without a valid sample


@dataclass(frozen=True, kw_only=True)
class PreparedTrace:
    """Processed behavior on ascending time stamps, which `behavior_on_bins` resamples."""

    times: np.ndarray
    """(K,) float64 seconds, ascending."""
    values: np.ndarray
    """(K, D) float64, NaN where lost; circular columns are unwrapped."""
    names: tuple[str, ...]
    units: tuple[str, ...]
    periods: tuple[float | None, ...]
    """Of each column, in its unit; None: it is not circular."""
    step_s: float
    """The usual step between time stamps, see `usual_step`."""
    notes: tuple[str, ...]
    """What was left out, merged or doubtful, one line each."""


def prepared(
    trace: Trace,
    options: Behavior,
    pieces: np.ndarray | None = None,
    windows: Sequence[tuple[float, float]] = (),
) -> PreparedTrace:
    """The trace in the order of time: `lost_value`, `max_speed`, `smooth_s`, `derive`, `columns` applied in this order.

    Smoothing and derivatives do not cross gaps, times of more than 5 usual steps without a valid sample.

    Args:
        pieces: (pieces, 2) start and stop in seconds of each recorded interval. Each is prepared separately, and
            samples outside all of them are left out. None: there is no gap.
        windows: the parts of the recording that are used, see `ascending`.

    Raises:
        DataError: the clock was set back, there are too few samples with a time, `circular` does not suit the columns,
            `columns` names one that does not exist, or speed is derived from columns of different units.
    """
    trace, notes_on_lost = without_lost(trace, options.lost_value)  # first: values of one time are averaged
    trace, notes = ascending(trace, windows)
    notes = notes_on_lost + notes
    derived = _derived_columns(trace, options)
    chosen = options.columns or trace.names
    every = options.derive == "speed" and "speed" in chosen
    used = {name for name in trace.names if every or name in chosen or _velocity_name(name) in chosen}
    notes += tuple(
        f"behavior: {name} rises as the time of its samples does, or by 1 from each to the next, and is decoded; if it "
        "is time, or the number of the sample, list the other columns in `columns`"
        for name, column in zip(trace.names, trace.values.T, strict=True)
        if len(trace.names) > 1 and name in used and is_time_of(column, trace.times)
    )
    periods = periods_of(trace, options.circular, used)
    step_s = usual_step(trace.times)
    cuts = [cut for cut in samples_of_pieces(trace.times, pieces) if cut.stop - cut.start > 1]
    if not cuts:
        raise DataError("behavior has fewer than two samples in every recorded interval")
    notes += circular_notes(trace, periods, used, cuts)
    values, n_jumps = _processed(trace, cuts, options, periods, _GAP * step_s)
    if n_jumps:
        notes += (f"behavior: samples left out as lost, faster than `max_speed`: {n_jumps} of {len(trace.times)}",)
    names = trace.names + tuple(name for name, _ in derived)
    units = trace.units + tuple(unit for _, unit in derived)
    periods += (None,) * len(derived)
    at = _chosen(names, options.columns or (trace.names if options.derive is None else names[len(trace.names) :]))
    return PreparedTrace(
        times=np.concatenate([trace.times[cut] for cut in cuts]),
        values=values[:, at],
        names=tuple(names[i] for i in at),
        units=tuple(units[i] for i in at),
        periods=tuple(periods[i] for i in at),
        step_s=step_s,
        notes=notes,
    )


def _processed(
    trace: Trace, cuts: list[slice], options: Behavior, periods: Sequence[float | None], gap_s: float
) -> tuple[np.ndarray, int]:
    """The values of all cuts, with derivatives as further columns if asked for, and the number of jumps."""
    parts, n_jumps = [], 0
    for cut in cuts:
        times, values = trace.times[cut], trace.values[cut]
        if options.max_speed is not None:
            jumps = _jumps(times, values, periods, options.max_speed)
            values = np.where(jumps[:, None], np.nan, values)
            n_jumps += int(jumps.sum())
        values = unwrapped(values, periods)
        if options.smooth_s is not None:
            values = smoothed(times, values, options.smooth_s, gap_s)
        if options.derive is not None:
            velocity = derivative(times, values, gap_s)
            speed = np.linalg.norm(velocity, axis=1, keepdims=True)
            values = np.hstack([values, speed if options.derive == "speed" else velocity])
        parts.append(values)
    return np.concatenate(parts), n_jumps


def _jumps(times: np.ndarray, values: np.ndarray, periods: Sequence[float | None], max_speed: float) -> np.ndarray:
    """(K,) whether a sample could not be reached from the last valid one at `max_speed` in the time between them."""
    jumps = np.zeros(len(times), dtype=bool)
    between = math.dist if not any(periods) else partial(distance, periods=periods)
    last_valid = None
    for i, (time, place) in enumerate(zip(times.tolist(), values.tolist(), strict=True)):
        if any(map(math.isnan, place)):
            continue
        if last_valid is not None and between(place, last_valid[1]) > max_speed * (time - last_valid[0]):
            jumps[i] = True
        else:
            last_valid = time, place
    return jumps


def _derived_columns(trace: Trace, options: Behavior) -> list[tuple[str, str]]:
    """Name and unit of each column that `derive` adds."""
    if options.derive is None:
        return []
    units = [f"{unit}/s" if unit else "" for unit in trace.units]
    if options.derive == "velocity":
        return list(zip(map(_velocity_name, trace.names), units, strict=True))
    if len(set(units)) > 1:
        raise DataError(
            f"`derive: speed` needs columns of one unit, but {', '.join(trace.names)} are in "
            f"{', '.join(unit or 'no unit' for unit in trace.units)}; use `derive: velocity`, or give the `units`"
        )
    return [("speed", units[0])]


def _velocity_name(name: str) -> str:
    return "velocity" + name.removeprefix("position") if name.startswith("position") else f"velocity_{name}"


def _chosen(names: tuple[str, ...], columns: tuple[str, ...]) -> list[int]:
    missing = [c for c in columns if c not in names]
    if missing:
        raise DataError(f'there is no behavior column "{missing[0]}"{suggest(missing[0], names)}')
    return [names.index(c) for c in columns]
