"""Behavior from its own time stamps onto bins. What tracking lost is left out, or filled on request, and told.

See docs/methods.md, Data and preprocessing. K samples, D columns, T bins.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.preprocessing.behavior import PreparedTrace
from raydistill.recordings.preprocessing.bins import Bins
from raydistill.recordings.preprocessing.circular import on_the_circle
from raydistill.recordings.preprocessing.stamps import samples_of_pieces
from raydistill.recordings.preprocessing.trials import rows_of_pieces

_DROPOUT = 1.5  # usual steps, and at least one bin: a longer time between valid samples is a dropout
_SLOWEST_S = 1.0  # a longer usual step does not count as a step: it may be a wrong time unit
_AT_CENTRE = 1e-6  # of a bin: a sample this close to the centre of a bin is on it


@dataclass(frozen=True, kw_only=True)
class BinnedBehavior:
    """Behavior as a session stores it."""

    values: np.ndarray
    """(T, D) float32, NaN where lost; a circular column is two, its cosine and sine."""
    names: tuple[str, ...]
    units: tuple[str, ...]
    circular: dict[str, float]
    """Name of each circular column, without _cos and _sin -> its period."""
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Limits:
    """What counts as a dropout, and how long ones are filled, in seconds."""

    dropout_s: float
    filled_s: float
    step_s: float


@dataclass(frozen=True)
class _Dropouts:
    """(start, stop) in seconds of dropouts in which a bin has its centre. Columns usually share theirs."""

    lost: set[tuple[float, float]] = field(default_factory=set)
    filled: set[tuple[float, float]] = field(default_factory=set)


def behavior_on_bins(
    trace: PreparedTrace, bins: Bins, gap_s: float | None, pieces: np.ndarray | None = None
) -> BinnedBehavior:
    """The trace at the bins: linear between neighbouring valid samples, NaN in bins whose centre is in a dropout.

    With two or more samples per bin, a bin holds the mean of that line over the part of its width that is no dropout,
    so that fast behavior does not alias; otherwise the value at its centre. Samples at bin centres are kept exactly.
    Before the first and after the last time stamp, the line goes on for one step.

    A dropout is a time between two valid samples that is longer than 1.5 usual steps of the trace (of which one counts
    1 s at most), and than one bin.

    Args:
        gap_s: dropouts up to this many seconds are interpolated; None: none is. Before the first and after the last
            valid sample, there is nothing to interpolate to.
        pieces: (pieces, 2) start and stop in seconds of each recorded interval; nothing is interpolated between them.

    Raises:
        DataError: no bin has a value.
    """
    step_s = min(trace.step_s, _SLOWEST_S)
    dropout_s = max(_DROPOUT * step_s, bins.width_s) * (1 + 1e-6)
    limits = _Limits(dropout_s=dropout_s, filled_s=max(dropout_s, gap_s or 0.0), step_s=step_s)
    values, filled = np.full((bins.n, len(trace.names)), np.nan), np.zeros(bins.n, dtype=bool)
    recorded, dropouts = np.zeros(bins.n, dtype=bool), _Dropouts()
    for rows, part, samples in _parts(trace.times, bins, pieces):
        recorded[rows] = True
        for column in range(len(trace.names)):
            given = trace.times[samples], trace.values[samples, column]
            values[rows, column], is_filled = _column_on_bins(*given, part, limits, dropouts)
            filled[rows] |= is_filled
    if np.isnan(values).all():
        raise DataError(
            f"behavior is lost in every bin: {np.isfinite(trace.values).all(axis=1).sum()} of its {len(trace.times)} "
            f"samples are valid, and none follows another within {limits.filled_s:.3g} s in the time of the bins; are "
            "its time stamps in seconds? Set its `time_unit`, or `behavior_gap_s` if they are right"
        )
    missing = np.isnan(values).any(axis=1) & recorded
    on_circle, names, units = on_the_circle(values, trace.names, trace.units, trace.periods)
    return BinnedBehavior(
        values=on_circle.astype(np.float32),
        names=names,
        units=units,
        circular={n: p for n, p in zip(trace.names, trace.periods, strict=True) if p is not None},
        notes=_notes(dropouts, int(missing.sum()), int(filled.sum()), int(recorded.sum()), gap_s),
    )


def _parts(times: np.ndarray, bins: Bins, pieces: np.ndarray | None) -> Iterator[tuple[slice, Bins, slice]]:
    """(rows, the bins of these rows, the samples to take for them) of each piece that contains a whole bin."""
    if pieces is None:
        yield slice(0, bins.n), bins, slice(0, len(times))
        return
    for piece, samples in zip(pieces, samples_of_pieces(times, pieces), strict=True):
        for rows, part, _ in rows_of_pieces(piece[None], bins):
            yield rows, part, samples


def _column_on_bins(
    times: np.ndarray, values: np.ndarray, bins: Bins, limits: _Limits, dropouts: _Dropouts
) -> tuple[np.ndarray, np.ndarray]:
    """(T,) values and (T,) whether they fill a dropout; adds to `dropouts`."""
    valid = np.flatnonzero(np.isfinite(values))
    if not len(valid):
        dropouts.lost.add((bins.start_s, bins.stop_s))
        return np.full(bins.n, np.nan), np.zeros(bins.n, dtype=bool)
    # Seconds for which the first and the last valid sample hold: none where lost samples come before or after.
    holds = np.array([valid[0] == 0, valid[-1] == len(values) - 1]) * limits.step_s * (1 + 1e-6)
    times, values = times[valid], values[valid]
    # The n + 1 stretches before, between and after n valid samples: from `begins` to `ends`.
    begins, ends = np.append(bins.start_s, times), np.append(times, bins.stop_s)
    is_dropout, is_lost = ends - begins > limits.dropout_s, ends - begins > limits.filled_s
    is_dropout[[0, -1]] = is_lost[[0, -1]] = False
    at = np.searchsorted(times, bins.centres - _AT_CENTRE * bins.width_s)  # the stretch that each centre is in
    beyond = np.maximum(times[0] - bins.centres, 0), np.maximum(bins.centres - times[-1], 0)
    on_sample = np.abs(ends[at] - bins.centres) <= _AT_CENTRE * bins.width_s
    on_sample[at == len(times)] = False
    lost = (is_lost[at] | (beyond[0] > holds[0]) | (beyond[1] > holds[1])) & ~on_sample
    filled = is_dropout[at] & ~on_sample & ~lost
    for places, found in ((lost, dropouts.lost), (filled, dropouts.filled)):
        stretches = np.unique(at[places])
        found.update(zip(begins[stretches].tolist(), ends[stretches].tolist(), strict=True))
    known = times[0] - holds[0], times[-1] + holds[1]
    line = _continued(times, values, is_lost, holds)
    return np.where(lost, np.nan, _line_on_bins(times, line, bins, is_lost, known)), filled


def _continued(
    times: np.ndarray, values: np.ndarray, is_lost: np.ndarray, holds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The line through the samples, with a point beyond either end that goes on as far as the line came from there.

    Arguments as in `_line_on_bins`; `holds` are the seconds from each end to this point, 0 for none.
    """
    before, after = times[0] - holds[0], times[-1] + holds[1]
    inner_start, inner_end = times[0] + holds[0], times[-1] - holds[1]
    inner = np.interp([inner_start, inner_end], times, values)
    straight = [
        inner_start <= times[-1] and not is_lost[np.searchsorted(times, inner_start)],
        inner_end >= times[0] and not is_lost[np.searchsorted(times, inner_end)],
    ]
    outer = np.where(straight, 2 * values[[0, -1]] - inner, values[[0, -1]])
    return np.concatenate([[before], times, [after]]), np.concatenate([outer[:1], values, outer[1:]])


def _line_on_bins(
    times: np.ndarray,
    line: tuple[np.ndarray, np.ndarray],
    bins: Bins,
    is_lost: np.ndarray,
    known: tuple[float, float],
) -> np.ndarray:
    """(T,) a line through valid samples: its mean over each bin where it is known, or its value at the centre.

    Args:
        line: times and values of its corners.
        is_lost: (K + 1,) of the stretches before, between and after the samples at `times`, (K,).
        known: start and end of the time in which the line is known, but for what is lost.
    """
    at_centres = np.interp(bins.centres, *line)
    if len(times) < 2 or np.median(np.diff(times)) > bins.width_s / 2:
        return at_centres
    edges = bins.edges
    knots = np.union1d(times[(times > edges[0]) & (times < edges[-1])], edges)
    middle = (knots[1:] + knots[:-1]) / 2
    is_known = ~is_lost[np.searchsorted(times, middle)] & (middle > known[0]) & (middle < known[1])
    durations = np.diff(knots) * is_known
    at_knots = np.interp(knots, *line)
    firsts = np.searchsorted(knots, edges[:-1])
    areas = np.add.reduceat((at_knots[1:] + at_knots[:-1]) / 2 * durations, firsts)
    with np.errstate(all="ignore"):
        return np.where((total := np.add.reduceat(durations, firsts)) > 0, areas / total, at_centres)


def _notes(dropouts: _Dropouts, n_missing: int, n_filled: int, n_bins: int, gap_s: float | None) -> tuple[str, ...]:
    notes = []
    if n_missing:
        way_out = (
            "`behavior_gap_s: SECONDS` would fill those up to that long"
            if gap_s is None
            else f"`behavior_gap_s` is {gap_s:g}"
        )
        notes.append(
            f"behavior: {_listed(dropouts.lost)}, {n_missing} of {n_bins} bins ({n_missing / n_bins:.1%}) left out of "
            f"fits and scores; {way_out}"
        )
    if n_filled:
        notes.append(
            f"behavior: {_listed(dropouts.filled)}, {n_filled} of {n_bins} bins ({n_filled / n_bins:.1%}) filled by "
            "interpolation (`behavior_gap_s`)"
        )
    return tuple(notes)


def _listed(spans: set[tuple[float, float]]) -> str:
    longest = max(stop - start for start, stop in spans)
    return f"{len(spans)} dropouts (longest {longest:.2f} s)" if len(spans) > 1 else f"1 dropout ({longest:.2f} s)"
