"""A recording whose arrays are stored trial by trial (array_trials.py), as a `Raw` with a piece per trial."""

from collections.abc import Sequence

import numpy as np

from raydistill.config.manifest import Behavior, Lfp, Spikes
from raydistill.errors import DataError
from raydistill.recordings.files.nodes import Node, find
from raydistill.recordings.raw import Counts, Raw, Signal, SpikeTrains, Trace
from raydistill.recordings.readers.array_parts.classes import labels_of_trials
from raydistill.recordings.readers.array_parts.labels import chosen_trials, trial_intervals
from raydistill.recordings.readers.array_parts.lists import times_by_unit
from raydistill.recordings.readers.array_parts.matrices import Described, Section
from raydistill.recordings.readers.array_parts.options import ArrayOptions
from raydistill.recordings.readers.array_parts.signals import (
    bins_per_bin,
    check_width,
    column_words,
    electrodes,
    taken,
)
from raydistill.recordings.readers.array_parts.spikes import counts_of, rebinned, trains
from raydistill.recordings.readers.array_parts.trials import (
    TrialClock,
    TrialSignal,
    check_same_number,
    common_clock,
    is_in_trials,
    length_without_padding,
    sampled_signal,
    trial_matrices,
    trial_trains,
    trial_values,
)


def trial_sections(root: Node, options: ArrayOptions) -> tuple[Section, ...]:
    """The sections with counts, LFP and behavior, if they are stored trial by trial; otherwise none.

    Raises:
        DataError: some of them are, and others are not.
    """
    counts = (options.spikes,) if options.spikes is not None and options.spikes.counts else ()
    sections: tuple[Section, ...] = (*counts, *options.lfp, *options.behavior)
    nodes = [find(root, Described(section).path) for section in sections]
    in_trials = [is_in_trials(node, section.axes) for node, section in zip(nodes, sections, strict=True)]
    if not any(in_trials):
        return ()
    spikes = options.spikes
    if not all(in_trials):
        one, other = nodes[in_trials.index(True)], nodes[in_trials.index(False)]
        raise DataError(
            f"{one.path} ({one.described}) is stored trial by trial but {other.path} is {other.described}; all signals "
            "must be stored trial by trial, or none"
        )
    if spikes is not None and spikes.times and not spikes.axes:
        raise DataError(
            f"{nodes[0].path} is stored trial by trial but {spikes.times} is not: give spike times per trial, with "
            "`axes` such as [units, trials]"
        )
    return sections


def trial_raw(root: Node, options: ArrayOptions, sections: Sequence[Section], width_s: float) -> Raw:
    """The recording of a file whose arrays are stored trial by trial.

    Args:
        sections: those of `trial_sections`.
        width_s: width of the session's bins in seconds.

    Raises:
        DataError: the signals disagree on the number or duration of trials, or are not as described.
    """
    notes: list[str] = []
    signals = [_signal(root, section, options.bin_s) for section in sections]
    n = check_same_number(signals)
    listed = _listed_trials(root, options, n, signals)
    chosen = chosen_trials(root, options.trials, n, notes)
    clock = common_clock(signals, width_s, chosen, notes)
    lfp = tuple(_lfp(signal, clock) for signal in signals if isinstance(signal.described.section, Lfp))
    behavior = tuple(_trace(root, signal, clock) for signal in signals if signal.described.name == "behavior")
    spikes = _spikes(root, options, signals[0], clock, listed, notes)
    notes.append(f"{len(clock.numbers)} trials are laid end to end, with a gap between each two")
    return Raw(
        spikes=spikes,
        lfp=lfp,
        behavior=behavior,
        trial_labels=clock.labels,
        labels=labels_of_trials(root, options.labels, clock.intervals, n, clock.numbers),
        pieces=clock.intervals,
        n_bins=clock.total,
        is_end_to_end=True,
        windows=tuple(interval.seconds for interval in options.intervals),
        taken=taken(spikes, options, lfp, behavior),
        notes=tuple(notes),
    )


def _signal(root: Node, section: Section, bin_s: float | None) -> TrialSignal:
    described = Described(section)
    trials = trial_matrices(find(root, described.path), described)
    rate_hz = None
    if not isinstance(section, Spikes):
        if section.times or section.start_s:
            raise DataError(
                f"`times` and `start_s` of `{described.name}` do not apply to trials that are laid end to end; give "
                "its `rate_hz`"
            )
        rate_hz = section.rate_hz
    return TrialSignal(
        described=described,
        trials=trials,
        lengths=tuple(length_without_padding(trial) for trial in trials),
        rate_hz=rate_hz or 1 / check_width(bin_s, described.path, described.name),
        is_binned=rate_hz is None,
    )


def _listed_trials(root: Node, options: ArrayOptions, n: int, signals: Sequence[TrialSignal]) -> np.ndarray | None:
    """(trials, 2) start and stop that the manifest gives, in seconds on the clock of the recording."""
    section = options.trials
    if section is None:
        return None
    if not section.start_s and not section.labels and not section.start_where_zero:
        return None  # a `where` alone
    path = signals[0].described.path
    if not section.start_s:
        raise DataError(
            f"{path} is stored trial by trial, so that `trials` needs no `labels` or `start_where_zero`; leave them out"
        )
    intervals = trial_intervals(root, section)
    if len(intervals) != n:
        raise DataError(f"{path} has {n} trials but {section.start_s} has {len(intervals)}")
    return intervals


def _lfp(signal: TrialSignal, clock: TrialClock) -> Signal:
    section = signal.described.section
    assert isinstance(section, Lfp)
    channels, bad = electrodes(section, signal.width)
    return sampled_signal(signal, clock, section, channels, bad)


def _trace(root: Node, signal: TrialSignal, clock: TrialClock) -> Trace:
    described = signal.described
    assert isinstance(described.section, Behavior)
    names, units = column_words(find(root, described.path), described, signal.trials[0].shape)
    times, values = trial_values(signal, clock)
    return Trace(
        times=times,
        values=values,
        names=names,
        units=units,
        span=(0.0, clock.total * clock.bin_s),
        processing=described.section,
    )


def _spikes(
    root: Node,
    options: ArrayOptions,
    first: TrialSignal,
    clock: TrialClock,
    listed: np.ndarray | None,
    notes: list[str],
) -> SpikeTrains | Counts | None:
    section = options.spikes
    if section is None:
        return None
    if section.counts:
        ratio = bins_per_bin(options.bin_s, clock.bin_s)
        parts = [rebinned(first.trials[k], ratio, n) for k, n in zip(clock.numbers, clock.n_bins.tolist(), strict=True)]
        return counts_of(np.concatenate(parts), section, notes)
    return _trains(root, section, first, clock, listed, notes)


def _trains(
    root: Node,
    section: Spikes,
    first: TrialSignal,
    clock: TrialClock,
    listed: np.ndarray | None,
    notes: list[str],
) -> SpikeTrains:
    assert section.times is not None
    by_unit = times_by_unit(find(root, section.times), section.axes)
    n = len(first.trials)
    if not by_unit or len(by_unit[0]) != n:
        held = len(by_unit[0]) if by_unit else 0
        raise DataError(f"{section.times} has {held} trials but {first.described.path} has {n}; check its `axes`")
    starts = None
    if section.times_from == "recording":
        if listed is None:
            raise DataError(
                f"{first.described.path} is stored trial by trial: set `times_from: trial` if the spike times of each "
                "trial begin at its start, or give `trials` with `start_s` and `stop_s` on the clock of the spikes"
            )
        starts = listed[:, 0]
        _check_listed(listed, first, clock)
    times, outside = trial_trains(by_unit, clock, starts, section.seconds_per_unit)
    total = sum(len(unit[k]) for unit in by_unit for k in clock.numbers)
    if outside > total / 2:
        raise DataError(
            f"{outside} of {total} spikes ({outside / total:.1%}) are outside of their trials; is the `time_unit` of "
            "`spikes` right, and does the time in each trial begin at its start (`times_from`)?"
        )
    if outside:
        notes.append(
            f"{outside} of {total} spikes ({outside / total:.1%}) are outside of their trials and were left out"
        )
    return trains(times, section, notes)


def _check_listed(listed: np.ndarray, first: TrialSignal, clock: TrialClock) -> None:
    """Raise DataError if the listed starts and stops are not those of the arrays, which spikes are moved by."""
    for k in clock.numbers:
        seconds = float(listed[k, 1] - listed[k, 0])
        if not abs(seconds - first.seconds(k)) <= clock.bin_s + 1 / first.rate_hz:
            raise DataError(
                f"trial {k} lasts {seconds:.3f} s by `trials`, but {first.told(k)}; the spike times of its cells need "
                "the start of the arrays"
            )
