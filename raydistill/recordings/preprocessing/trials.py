"""Trials on bins, and the pieces of a recording between which nothing is filtered, derived or cut into one segment."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Literal

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.recordings.combine import run_intervals
from raydistill.recordings.intervals import shared
from raydistill.recordings.preprocessing.bins import Bins, covered
from raydistill.recordings.raw import Raw, Trace
from raydistill.store.splits import label_runs

_JUMP = 10  # times the largest step within trials: behavior that moves so far between two trials was not recorded so
_SEAMS = 3  # fewest borders between trials from which a conclusion is drawn


def pieces_of(raw: Raw, pieces: Literal["auto", "trials", "none"], width_s: float) -> np.ndarray | None:
    """(pieces, 2) start and stop in seconds of each recorded interval; None: the recording has no gap.

    Gaps are those of the files, of the clocks of LFP, between several intervals to use, and, with `trials`, the borders
    of trials.

    Raises:
        DataError: the intervals have no time in common, or `trials` is set and there are none.
    """
    sets = [] if raw.pieces is None else [raw.pieces]
    sets += [run_intervals(signal) for signal in raw.lfp if signal.runs]
    if len(raw.windows) > 1:
        sets.append(np.array(sorted(raw.windows), dtype=np.float64))
    if pieces == "trials":
        bounds = trial_bounds(raw, width_s)
        if not len(bounds):
            raise DataError("`pieces: trials` needs trials, but the recording has none")
        sets.append(bounds)
    if not sets:
        return None
    whole = shared(sets)
    if not len(whole):
        raise DataError("the recorded pieces, the gaps of the LFP and the intervals to use have no time in common")
    return whole


def trial_bounds(raw: Raw, width_s: float) -> np.ndarray:
    """(trials, 2) start and stop in seconds, in the order of time; trials without a start or stop are left out."""
    if raw.trial_labels is not None:
        return np.array([(a * width_s, b * width_s) for a, b in label_runs(raw.trial_labels)]).reshape(-1, 2)
    if raw.trial_intervals is None:
        return np.empty((0, 2))
    timed = raw.trial_intervals[np.isfinite(raw.trial_intervals).all(axis=1)]
    return timed[np.argsort(timed[:, 0], kind="stable")]


def rows_of_pieces(pieces: np.ndarray, bins: Bins) -> Iterator[tuple[slice, Bins, tuple[float, float]]]:
    """(rows, the bins of these rows, (start, stop) in seconds) of each piece that contains a whole bin."""
    for start, stop in pieces:
        first = max(0, int(np.ceil((start - bins.start_s) / bins.width_s - 1e-6)))
        last = min(bins.n, int(np.floor((stop - bins.start_s) / bins.width_s + 1e-6)))
        if last > first:
            yield slice(first, last), replace(bins, first=bins.first + first, n=last - first), (start, stop)


def piece_labels(pieces: np.ndarray | None, bins: Bins) -> np.ndarray | None:
    """(T,) int32 piece that contains each bin completely, -1 if none does; None if there is no gap."""
    if pieces is None:
        return None
    label = np.full(bins.n, -1, dtype=np.int32)
    for number, (rows, _, _) in enumerate(rows_of_pieces(pieces, bins)):
        label[rows] = number
    return label


def trials_on_bins(
    raw: Raw, bins: Bins, recorded: np.ndarray, config: IngestConfig, notes: list[str]
) -> np.ndarray | None:
    """(T,) int32 label per bin; -1 outside trials, in gaps, and in trials that are not completely recorded.

    Args:
        recorded: (T,) whether each bin is in no gap.
        notes: what was left out is added to it.

    Raises:
        DataError: trials overlap, end before they start, or most of them are outside of the recording.
    """
    if raw.trial_labels is not None:
        _check_labels(raw.trial_labels, notes)
        return np.maximum(raw.trial_labels[bins.rows], -1).astype(np.int32)
    if raw.trial_intervals is None:
        return None
    timed = np.flatnonzero(np.isfinite(raw.trial_intervals).all(axis=1))
    if len(timed) < len(raw.trial_intervals):
        n = len(raw.trial_intervals) - len(timed)
        if n > config.max_lost * len(raw.trial_intervals):
            raise DataError(
                f"{n} of {len(raw.trial_intervals)} trials have no start or stop (NaN); set `max_lost` above "
                f"{config.max_lost:g} if this is right"
            )
        notes.append(f"{n} of {len(raw.trial_intervals)} trials have no start or stop and were left out")
    order = timed[np.argsort(raw.trial_intervals[timed, 0])]
    start, stop = raw.trial_intervals[order].T
    numbers = order if raw.trial_numbers is None else raw.trial_numbers[order]
    if not np.all(stop > start):
        raise DataError(f"trial {numbers[np.argmin(stop > start)]} does not end after it starts")
    if np.any(start[1:] < stop[:-1] - bins.width_s):
        at = int(np.argmax(start[1:] < stop[:-1] - bins.width_s))
        raise DataError(f"trials {numbers[at]} and {numbers[at + 1]} overlap by {stop[at] - start[at + 1]:.3f} s")
    _check_outside(start, stop, covered(raw, bins.width_s), bins, config, notes)
    whole = (start >= bins.start_s - bins.width_s) & (stop <= bins.stop_s + bins.width_s)
    trial = np.full(bins.n, -1, dtype=np.int32)
    first, last = np.searchsorted(bins.centres, start[whole]), np.searchsorted(bins.centres, stop[whole])
    for number, a, b in zip(numbers[whole], first, last, strict=True):
        trial[a:b] = number
    trial[~recorded] = -1
    if in_gaps := int(np.sum(last > first) - len(np.unique(trial[trial >= 0]))):
        notes.append(
            f"{in_gaps} of {len(start)} trials are completely in gaps or between the intervals, and were left out"
        )
    return trial


def _check_outside(start, stop, span, bins, config, notes) -> None:
    """Trials that are not completely in `span`, the time that all modalities cover in seconds, are told or an error."""
    if not len(start):
        return
    outside = (start < span[0] - bins.width_s) | (stop > span[1] + bins.width_s)
    if outside.sum() > config.max_lost * len(start):
        raise DataError(
            f"{'all' if outside.all() else f'{outside.sum()} of'} {len(start)} trials ({start[0]:g} to {stop[-1]:g} s) "
            f"are outside the recording ({span[0]:g} to {span[1]:g} s); are they in seconds, milliseconds or samples? "
            f"Set `time_unit` of `trials`, or `max_lost` above {config.max_lost:g} if they are right"
        )
    if outside.any():
        notes.append(f"{outside.sum()} of {len(start)} trials are not completely in the recording and were left out")


def _check_labels(labels: np.ndarray, notes: list[str]) -> None:
    """A label means one trial: a 0 that returns between others is an error, other labels that return are told."""
    runs = [int(labels[a]) for a, _ in label_runs(labels)]
    if not runs:
        raise DataError("all bins are outside of trials: no label is from 0 on; are they the right labels?")
    times = Counter(runs)
    returning = [label for label, n in times.items() if n > 1]
    is_between = returning == [0] or 1 < times[0] >= (len(runs) - 1) / 2  # as a label between trials would
    if is_between and len(times) > 1:
        raise DataError(
            f"trial label 0 comes {times[0]} times, between {len(runs) - times[0]} runs of other labels: a run "
            "of one label is a trial, and only negative labels are outside of trials; if 0 means the time between "
            "trials, set `trials: {labels: PATH, outside: zero}`; if it is a trial, count from 1"
        )
    if returning:
        notes.append(
            f"{len(returning)} trial labels return after other labels (first: {returning[0]}, {times[returning[0]]} "
            "times); each run counts as a trial"
        )


def check_seams(raw: Raw, traces: tuple[Trace, ...], width_s: float, has_filters: bool, notes: list[str]) -> None:
    """Look for trials that were laid end to end, between which no time passed in the recording.

    Args:
        traces: behavior as recorded, on ascending time stamps.
        has_filters: whether LFP is filtered.
        notes: a suspicion is added to it.

    Raises:
        DataError: behavior that is to be differentiated jumps at most borders between trials.
    """
    bounds = trial_bounds(raw, width_s)
    borders = np.array([b[0] for a, b in pairwise(bounds) if abs(b[0] - a[1]) <= width_s / 2])
    if len(borders) < _SEAMS:
        return
    for trace in traces:
        if trace.processing.derive is None:
            continue
        order = np.argsort(trace.times, kind="stable")
        times, values = trace.times[order], trace.values[order]
        after = np.searchsorted(times, borders)
        after = after[(after > 0) & (after < len(times))]
        steps = np.abs(np.diff(values, axis=0))  # (K - 1, D)
        across, within = steps[after - 1], np.delete(steps, after - 1, axis=0)
        if not len(within) or not np.isfinite(within).any():
            continue
        largest = np.nanmax(within, axis=0)  # (D,)
        jumps = (across > _JUMP * np.maximum(largest, 1e-12)).any(axis=1)
        if jumps.sum() > len(after) / 2:
            raise DataError(
                f"behavior jumps at {jumps.sum()} of {len(after)} borders between trials, by up to "
                f"{np.nanmax(across):.3g} where it moves by {largest.max():.3g} at most within trials: trials that "
                "were laid end to end need `pieces: trials`, so that filters and derivatives end with each; set "
                "`pieces: none` if the recording is continuous"
            )
    if has_filters and raw.lfp and raw.trial_labels is not None and len(borders) > 0.9 * (len(bounds) - 1):
        notes.append(
            "trials follow each other without a gap: if they were cut out and laid end to end, set `pieces: trials`, "
            "so that LFP filters end with each"
        )
