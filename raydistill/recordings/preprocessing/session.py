"""From a recording as its files hold it to a session with one clock of bins.

bins.py finds the bins; spikes.py, lfp.py and behavior_bins.py bring their modality to them, trials.py the trials and
the pieces between gaps. This module joins them to a Session. Messages number units and channels as in their file
(docs/methods.md, Data and preprocessing).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.files import release_free_memory
from raydistill.recordings.combine import part_of
from raydistill.recordings.preprocessing.behavior import prepared
from raydistill.recordings.preprocessing.behavior_bins import BinnedBehavior, behavior_on_bins
from raydistill.recordings.preprocessing.bins import Bins, common_bins, covered, extents, recorded_windows
from raydistill.recordings.preprocessing.decimation import Decimate, decimated
from raydistill.recordings.preprocessing.exported import exported_session
from raydistill.recordings.preprocessing.labels import labels_on_bins
from raydistill.recordings.preprocessing.lfp import lfp_on_bins
from raydistill.recordings.preprocessing.spikes import (
    check_extent,
    check_numbers,
    spikes_on_bins,
    units_to_store,
    without_dropped,
)
from raydistill.recordings.preprocessing.trials import (
    check_seams,
    piece_labels,
    pieces_of,
    rows_of_pieces,
    trials_on_bins,
)
from raydistill.recordings.raw import Counts, Raw, Signal, SpikeTrains
from raydistill.recordings.recording import Recording, as_name
from raydistill.store.channels import ChannelTable, joined
from raydistill.store.session import Session

_SHORT_S = 1.0  # a signal that lasts less than this longer than the others is not worth a note


def to_session(
    recording: Recording, raw: Raw, sources: dict[str, str], decimate: Decimate = decimated
) -> tuple[Session, tuple[str, ...]]:
    """The session of a recording; what was taken from where, and notes on what was left out of it.

    Args:
        recording: its name, description and preprocessing configuration.
        raw: the modalities, on their own clocks; LFP is read here, slice by slice.
        sources: file name -> sha256, stored with the session.
        decimate: computes the first stage of LFP without gaps, see `lfp_on_bins`.

    Raises:
        DataError: the recording cannot become a session; the message names the unit, channel or time.
    """
    config, source = recording.config, recording.source
    if raw.session is not None:
        session = exported_session(recording, raw.session, sources)
        return session, (_summary(session, raw), *raw.notes)
    if raw.spikes is None and not raw.lfp:
        raise DataError(". ".join(["the recording has neither spikes nor LFP", *raw.notes]))
    width_s = config.bin_width_ms / 1000
    notes = list(raw.notes)
    raw = replace(raw, spikes=without_dropped(raw.spikes, config))
    raw = replace(raw, windows=recorded_windows(raw, width_s, notes))
    pieces = pieces_of(raw, source.pieces, width_s)
    bins = common_bins(raw, width_s)
    piece = piece_labels(pieces, bins)
    recorded = np.ones(bins.n, dtype=bool) if piece is None else piece >= 0
    _note_unused_time(raw, bins, config, notes)
    trial_notes: list[str] = []
    trial = trials_on_bins(raw, bins, recorded, config, trial_notes)
    if not recorded.any():
        raise DataError(f"no piece of the recording holds a whole bin of {config.bin_width_ms:g} ms")
    if source.pieces == "auto" and pieces is None:
        check_seams(raw, raw.behavior, width_s, config.filters is not None, notes)
    units = None if raw.spikes is None else units_to_store(raw, raw.spikes, bins, recorded, config, notes)
    notes += trial_notes
    if trial is not None and config.splits.by != "trials":
        _note_bins_outside_trials(trial[recorded], notes)
    behavior = _behavior(raw, pieces, bins, recorded, config, notes)
    labels, classes = labels_on_bins(raw.labels, bins, notes)
    if isinstance(raw.spikes, SpikeTrains):
        check_extent(raw.spikes, bins, config)
    if config.filters is not None and any(signal.bands > 1 for signal in raw.lfp):
        notes.append(
            "features (`bands`) are filtered as voltages are; `ingest: {filters: null}` leaves them as they are"
        )
    spikes, unit_channels = None, None
    if raw.spikes is not None and units is not None:
        spikes = spikes_on_bins(raw.spikes, units, bins)
        unit_channels = _rows_of_units(raw.spikes, units)
    raw = replace(raw, spikes=None, behavior=())  # they are released, if the caller holds them no longer
    lfp, electrodes = None, None
    if raw.lfp:  # takes longest, and most memory
        release_free_memory()
        lfp, electrodes = _lfp(raw, pieces, bins, config, decimate, notes)
    session = Session(
        name=recording.name,
        subject=source.subject or as_name(raw.subject or recording.name),
        dataset=source.dataset,
        task=source.task,
        region=source.region or raw.region,
        bin_width_ms=config.bin_width_ms,
        start_s=bins.start_s,
        spikes=spikes,
        lfp=lfp,
        lfp_bands=raw.lfp[0].bands if raw.lfp else 1,
        behavior=np.hstack([part.values for part in behavior]) if behavior else None,
        behavior_names=sum((part.names for part in behavior), ()),
        behavior_units=sum((part.units for part in behavior), ()),
        circular={name: period for part in behavior for name, period in part.circular.items()},
        labels=labels,
        classes=classes,
        trial=trial,
        piece=piece,
        sources=sources,
        unit_channels=unit_channels,
        lfp_channels=electrodes,
    )
    return session, (_summary(session, raw), *notes)


def _rows_of_units(spikes: SpikeTrains | Counts, units: np.ndarray) -> ChannelTable | None:
    n_units = spikes.values.shape[1] if isinstance(spikes, Counts) else len(spikes.times)
    return _rows(spikes.channels, units, n_units, "units")


def _rows(table: ChannelTable | None, selected: np.ndarray, n: int, what: str) -> ChannelTable | None:
    """The rows of the n units or electrodes that are stored.

    Raises:
        DataError: the table has another number of rows, so that a row would be that of another unit or electrode.
    """
    if table is not None and len(table) != n:
        raise DataError(f"`channels` has {len(table)} rows but there are {n} {what}")
    return None if table is None else table.rows(selected.tolist())


def _summary(session: Session, raw: Raw) -> str:
    """What the session holds and where it comes from, in one line."""
    if raw.taken:
        taken = list(raw.taken)
    else:
        taken = [] if session.spikes is None else [f"{session.spikes.shape[1]} units"]
        taken += [] if session.lfp is None else [f"{session.lfp.shape[1]} LFP channels"]
        taken += [f"behavior {', '.join(session.behavior_names)}"] if session.behavior_names else []
    taken += [f"label{'s' if len(session.classes) > 1 else ''} {', '.join(session.classes)}"] if session.classes else []
    absent = {"spikes": session.spikes is None, "LFP": session.lfp is None, "behavior": session.behavior is None}
    explained = {name for name in absent if any(note.startswith(f"no {name}:") for note in raw.notes)}
    missing = [f"no {name}" for name, is_absent in absent.items() if is_absent and name not in explained]
    return "; ".join([", ".join(taken), *missing])


def _note_unused_time(raw: Raw, bins: Bins, config: IngestConfig, notes: list[str]) -> None:
    """Note the signals that last longer than the time that all of them cover.

    Raises:
        DataError: most bins of a file that is already binned are unused.
    """
    start, stop = covered(raw, bins.width_s)
    for word, (first, last) in extents(raw, bins.width_s).items():
        unused = max(0.0, start - first) + max(0.0, last - stop)
        if word == "bins" and unused > config.max_lost * (last - first):
            raise DataError(
                f"{unused:.1f} of the {last - first:.1f} s that are binned ({unused / (last - first):.0%}) are outside "
                f"the other signals ({start:.1f} to {stop:.1f} s); are their `rate_hz` and `time_unit` right? If so, "
                f"set `max_lost` above {config.max_lost:g}"
            )
        if unused > max(_SHORT_S, 0.01 * (last - first)):
            notes.append(
                f"{unused:.1f} of {last - first:.1f} s ({unused / (last - first):.0%}) of {word} are unused, because "
                f"other signals cover {start:.1f} to {stop:.1f} s only; is the rate of {word} right?"
            )


def _note_bins_outside_trials(trial: np.ndarray, notes: list[str]) -> None:
    """Note that bins outside of trials are used, which who names trials may not expect. `trial` are labels of bins."""
    share = float(np.mean(trial < 0))
    if share > 0:
        notes.append(
            f"{share:.1%} of the bins are outside of trials and are used all the same, because segments are cut by "
            "time; `ingest: {splits: {by: trials}}` uses whole trials only"
        )


# LFP


def _lfp(
    raw: Raw, pieces: np.ndarray | None, bins: Bins, config: IngestConfig, decimate: Decimate, notes: list[str]
) -> tuple[np.ndarray, ChannelTable | None]:
    """(T, channels) of all series side by side, and the electrodes. Bins in gaps are 0."""
    bands = {signal.bands for signal in raw.lfp}
    if len(bands) > 1:
        raise DataError(f"all series of LFP need the same number of `bands`, but got {sorted(bands)}")
    selections = _selected_channels(raw.lfp, config, notes)
    columns, tables = [], []
    for number, (signal, channels) in enumerate(zip(raw.lfp, selections, strict=True)):
        if not len(channels):
            continue
        electrodes = np.unique(channels // signal.bands)
        table = _rows(signal.channels, electrodes, signal.n_channels // signal.bands, "LFP electrodes")
        tables.append((table, len(electrodes)))
        arrays = None if table is None else tuple(np.repeat(table.array, signal.bands).tolist())
        columns.append(_on_bins(replace(signal, number=number), pieces, bins, config, channels, arrays, decimate))
    return columns[0] if len(columns) == 1 else np.hstack(columns), joined(tables)


def _on_bins(signal, pieces, bins, config, channels, arrays, decimate) -> np.ndarray:
    """(T, channels) of one series. If the recording has gaps, each piece is filtered separately."""
    if pieces is None:
        return lfp_on_bins(signal, bins, config, channels, arrays, decimate)
    lfp = np.zeros((bins.n, len(channels)), dtype=np.float32)
    for rows, part, (start, stop) in rows_of_pieces(pieces, bins):
        lfp[rows] = lfp_on_bins(part_of(signal, start, stop), part, config, channels, arrays)
    return lfp


def _selected_channels(signals: Sequence[Signal], config: IngestConfig, notes: list[str]) -> list[np.ndarray]:
    """The channels to use of each series. Messages and `drop_channels` number them through all series."""
    n_channels = sum(signal.n_channels for signal in signals)
    check_numbers("drop_channels", config.drop_channels, range(n_channels), "LFP channel")
    selections, bad, first = [], [], 0
    for signal in signals:
        marked = [c for c in signal.bad if config.bad_channels == "drop" and first + c not in config.drop_channels]
        bad += [first + c for c in marked]
        dropped = {*marked, *(c - first for c in config.drop_channels)}
        selected = np.array([c for c in range(signal.n_channels) if c not in dropped], dtype=int)
        _check_bands(selected, signal, first)
        selections.append(selected)
        first += signal.n_channels
    if not any(len(selected) for selected in selections):
        raise DataError(f"`drop_channels` and bad channels leave none of the {n_channels} LFP channels")
    if bad:
        notes.append(
            f"{len(bad)} LFP channels are marked as bad and were left out: {', '.join(map(str, bad))} "
            "(`ingest.bad_channels: keep` uses them)"
        )
    return selections


def _check_bands(selected: np.ndarray, signal: Signal, first: int) -> None:
    electrodes, counts = np.unique(selected // signal.bands, return_counts=True)
    if np.any(counts != signal.bands):
        at = first + int(electrodes[np.argmax(counts != signal.bands)]) * signal.bands
        bands = list(range(at, at + signal.bands))
        raise DataError(f"`drop_channels` must name all {signal.bands} bands of an electrode, such as {bands}")


# Behavior


def _behavior(
    raw: Raw, pieces: np.ndarray | None, bins: Bins, recorded: np.ndarray, config: IngestConfig, notes: list[str]
) -> list[BinnedBehavior]:
    """The traces on bins, whose columns are stored side by side."""
    traces = [prepared(trace, trace.processing, pieces, raw.windows) for trace in raw.behavior]
    binned = [behavior_on_bins(trace, bins, config.behavior_gap_s, pieces) for trace in traces]
    names = sum((part.names for part in binned), ())
    if repeated := [name for i, name in enumerate(names) if name in names[:i]]:
        raise DataError(
            f'two columns of behavior are named "{repeated[0]}"; give them `names`, or select with `columns`'
        )
    if not binned:
        return []
    lost = np.isnan(np.hstack([part.values[recorded] for part in binned])).any(axis=1).mean()
    if lost > config.max_lost:
        steps = ", ".join(f"{np.median(np.diff(trace.times)):.3g}" for trace in traces)
        raise DataError(
            f"behavior is missing in {lost:.1%} of the bins of {bins.width_s:g} s: its samples are {steps} s apart; "
            "are its time stamps in seconds? Set its `time_unit`, or `max_lost` above "
            f"{config.max_lost:g} if they are right"
        )
    own = [note for trace, part in zip(traces, binned, strict=True) for note in (*trace.notes, *part.notes)]
    notes += dict.fromkeys(own)  # columns of one camera share their dropouts
    return binned
