"""Recordings whose signals are in several files or on several clocks: their `Raw`s on one clock, as one `Raw`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.intervals import shared
from raydistill.recordings.raw import Raw, Run, Signal, SpikeTrains, Trace
from raydistill.recordings.recording import Addition

T = TypeVar("T")


def on_session_clock(raw: Raw, offset_s: float, time_scale: float) -> Raw:
    """The recording with every time t replaced by `time_scale * t + offset_s`.

    Raises:
        DataError: the recording has one value per bin, and the bins of a session cannot be moved.
    """
    if (offset_s, time_scale) == (0.0, 1.0):
        return raw
    if raw.n_bins is not None:
        raise DataError("arrays with one value per bin have no clock: `offset_s` and `time_scale` do not apply to them")

    def moved(times):
        return None if times is None else np.asarray(times, dtype=np.float64) * time_scale + offset_s

    def moved_span(span):
        return None if span is None else (span[0] * time_scale + offset_s, span[1] * time_scale + offset_s)

    def moved_signal(signal: Signal) -> Signal:
        return replace(
            signal,
            rate_hz=signal.rate_hz / time_scale,
            start_s=signal.start_s * time_scale + offset_s,
            span=moved_span(signal.span),
            runs=tuple(replace(run, start_s=run.start_s * time_scale + offset_s) for run in signal.runs),
        )

    def moved_trace(trace: Trace) -> Trace:
        return replace(trace, times=moved(trace.times), span=moved_span(trace.span))

    spikes = raw.spikes
    if isinstance(spikes, SpikeTrains):
        spikes = replace(
            spikes, times=tuple(moved(times) for times in spikes.times), observed=moved_span(spikes.observed)
        )
    return replace(
        raw,
        spikes=spikes,
        lfp=tuple(map(moved_signal, raw.lfp)),
        behavior=tuple(map(moved_trace, raw.behavior)),
        trial_intervals=moved(raw.trial_intervals),
        labels=tuple(replace(label, intervals=moved(label.intervals)) for label in raw.labels),
        pieces=moved(raw.pieces),
    )


def combined(raws: Sequence[Raw], additions: Sequence[Addition] = ()) -> Raw:
    """The signals of several files as one recording. The first file gives the interval to use.

    Args:
        additions: those of the second and further files, which say where their signals are among all; by default
            signals are in the order of the files.

    Raises:
        DataError: two files state different numbers of bins, or bins and another bin width, or one was exported from a
            store.
    """
    if len(raws) == 1:
        return raws[0]
    if any(raw.session is not None for raw in raws):
        raise DataError(
            "a session that raydistill exported cannot be joined with signals of other files; ingest it alone, or the "
            "original recording with these files"
        )
    _check_end_to_end(raws)
    n_bins = {raw.n_bins for raw in raws} - {None}
    if len(n_bins) > 1:
        listed = ", ".join(str(raw.n_bins) for raw in raws if raw.n_bins is not None)
        raise DataError(f"arrays with one value per bin in several files differ in length: {listed} bins")
    pieces = [raw.pieces for raw in raws if raw.pieces is not None]
    regions = dict.fromkeys(raw.region for raw in raws if raw.region)
    return Raw(
        spikes=_first(raw.spikes for raw in raws),
        lfp=_placed([raw.lfp for raw in raws], [addition.lfp_places for addition in additions]),
        behavior=_placed([raw.behavior for raw in raws], [addition.behavior_places for addition in additions]),
        trial_labels=_first(raw.trial_labels for raw in raws),
        trial_intervals=_first(raw.trial_intervals for raw in raws),
        trial_numbers=_first(raw.trial_numbers for raw in raws if raw.trial_intervals is not None),
        labels=sum((raw.labels for raw in raws), ()),
        pieces=shared(pieces) if pieces else None,
        n_bins=n_bins.pop() if n_bins else None,
        is_end_to_end=raws[0].is_end_to_end,
        windows=raws[0].windows,
        subject=_first(raw.subject for raw in raws),
        region=", ".join(regions),
        taken=sum((raw.taken for raw in raws), ()),
        notes=tuple(dict.fromkeys(note for raw in raws for note in raw.notes)),
    )


def _check_end_to_end(raws: Sequence[Raw]) -> None:
    """Raise DataError unless all files or none hold trials that are laid end to end, and the same ones."""
    if not any(raw.is_end_to_end for raw in raws):
        return
    if not all(raw.is_end_to_end for raw in raws):
        raise DataError(
            "one file holds its signals trial by trial and another on the clock of the recording; give all of them "
            "trial by trial, or none"
        )
    first = raws[0].pieces
    for raw in raws[1:]:
        if first is None or raw.pieces is None or not np.array_equal(first, raw.pieces):
            numbers = " and ".join(str(len(r.pieces)) for r in (raws[0], raw) if r.pieces is not None)
            raise DataError(f"the trials of two files differ in number or duration: {numbers} trials")


def run_intervals(signal: Signal) -> np.ndarray:
    """(runs, 2) start and stop in seconds of each run of a signal with gaps."""
    runs = np.array([(run.start_s, _stop_s(run, signal)) for run in signal.runs], dtype=np.float64).reshape(-1, 2)
    runs[:-1, 1] = np.minimum(runs[:-1, 1], runs[1:, 0])  # a run may end within the first step of the next
    return runs


def part_of(signal: Signal, start_s: float, stop_s: float) -> Signal:
    """The samples of a signal from `start_s` to `stop_s` seconds, as a signal without gaps.

    If the signal has gaps, the samples are those of the run that holds most of this time.
    """
    lead_s = 0.0 if signal.span is None else signal.start_s - signal.span[0]  # of one sample per bin: half a bin
    run = Run(first=0, stop=signal.n_samples, start_s=signal.start_s - lead_s)
    if signal.runs:
        held = [min(stop_s, _stop_s(r, signal)) - max(start_s, r.start_s) for r in signal.runs]
        run = signal.runs[int(np.argmax(held))]
    first = max(run.first, run.first + int(np.ceil((start_s - run.start_s) * signal.rate_hz - 1e-6)))
    stop = min(run.stop, run.first + int(np.floor((stop_s - run.start_s) * signal.rate_hz + 1e-6)))
    return replace(
        signal,
        read=lambda a, b: signal.read(first + a, first + b),
        n_samples=max(0, stop - first),
        start_s=run.start_s + lead_s + (first - run.first) / signal.rate_hz,
        span=None,
        runs=(),
    )


def _stop_s(run: Run, signal: Signal) -> float:
    return run.start_s + (run.stop - run.first) / signal.rate_hz


def _placed(parts: Sequence[tuple[T, ...]], places: Sequence[tuple[int, ...]]) -> tuple[T, ...]:
    """The signals of all files in the order of the manifest.

    Args:
        parts: the signals of each file.
        places: the positions of those of the second and further files; those of the first fill the others.
    """
    main, *others = parts
    at = {
        place: signal
        for part, own in zip(others, places, strict=False)
        for place, signal in zip(own, part, strict=True)
    }
    if len(at) < sum(map(len, others)):
        return sum(parts, ())
    rest = iter(main)
    return tuple(at[place] if place in at else next(rest) for place in range(len(at) + len(main)))


def _first(values):
    return next((value for value in values if value is not None), None)
