"""From a recording as its file holds it to a session with one clock of bins.

bins.py finds the bins, lfp.py and behavior.py resample their modality to them. This module adds spikes and trials and
builds the Session. Messages number units and channels as in their file (docs/methods.md, Data and preprocessing).
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.behavior import behavior_on_bins, prepared
from raydistill.recordings.preprocessing.bins import Bins, common_bins, covered
from raydistill.recordings.preprocessing.decimation import Decimate, decimated
from raydistill.recordings.preprocessing.lfp import lfp_on_bins
from raydistill.recordings.raw import Counts, Raw, Signal, SpikeTrains, Trace
from raydistill.recordings.recording import Recording, as_name
from raydistill.store.session import Session

_MAX_COUNT = 255


def to_session(
    recording: Recording, raw: Raw, sources: dict[str, str], decimate: Decimate = decimated
) -> tuple[Session, tuple[str, ...]]:
    """The session of a recording, and notes on what was left out of it.

    Args:
        recording: its name, description and preprocessing configuration.
        raw: the modalities, on their own clocks; LFP is read here, slice by slice.
        sources: file name -> sha256, stored with the session.
        decimate: computes the first stage of LFP without gaps, see `lfp_on_bins`.

    Raises:
        DataError: the recording cannot become a session; the message names the unit, channel or time.
    """
    config, source = recording.config, recording.source
    if raw.spikes is None and raw.lfp is None:
        raise DataError("the recording has neither spikes nor LFP")
    width_s = config.bin_width_ms / 1000
    bins = common_bins(raw, width_s)
    piece = _piece_labels(raw, bins)
    recorded = np.ones(bins.n, dtype=bool) if piece is None else piece >= 0
    notes: list[str] = []
    spikes = None if raw.spikes is None else _spikes(raw, raw.spikes, bins, recorded, config, notes)
    lfp = None if raw.lfp is None else _lfp(raw, raw.lfp, bins, config, decimate)
    behavior = trace = None
    if raw.behavior is not None:
        trace = prepared(raw.behavior, source.behavior, raw.pieces)
        behavior = _behavior(raw, trace, bins, config.behavior_gap_s)
        if (missing := np.isnan(behavior[recorded]).any(axis=1)).any():
            notes.append(f"behavior is missing (NaN) in {missing.mean():.1%} of the bins")
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
        lfp_bands=1 if raw.lfp is None else raw.lfp.bands,
        behavior=behavior,
        behavior_names=() if trace is None else trace.names,
        behavior_units=() if trace is None else trace.units,
        trial=_trial(raw, bins, recorded),
        piece=piece,
        sources=sources,
    )
    return session, tuple(notes)


# Spikes


def _spikes(
    raw: Raw,
    spikes: SpikeTrains | Counts,
    bins: Bins,
    recorded: np.ndarray,
    config: IngestConfig,
    notes: list[str],
) -> np.ndarray:
    """(T, units) uint8 counts of the units to store; rates refer to the bins that are `recorded`, (T,)."""
    if isinstance(spikes, Counts):
        counts, ids = spikes.values[bins.rows], np.arange(spikes.values.shape[1])
    else:
        _check_trains(spikes, covered(raw, bins.width_s), config.drop_units)
        counts, ids = bin_spikes(spikes, bins), np.array(spikes.ids, dtype=int)
        if raw.window is None:
            _note_outside(spikes, bins, notes)
    _check_numbers("drop_units", config.drop_units, ids, "unit")
    selected = ~np.isin(ids, config.drop_units)
    selected[selected] = _fast_enough(counts[:, selected], ids[selected], bins, recorded, config, notes)
    counts, ids = counts[:, selected], ids[selected]
    if counts.max() > _MAX_COUNT:
        row, column = np.argwhere(counts > _MAX_COUNT)[0]
        raise DataError(
            f"unit {ids[column]} has {counts[row, column]:g} spikes in the bin at {bins.edges[row]:.3f} s; the store "
            f"holds counts up to {_MAX_COUNT}: set a smaller `bin_width_ms` or drop the unit with "
            f"`drop_units: [{ids[column]}]`"
        )
    return counts.astype(np.uint8)


def _fast_enough(counts, ids, bins, recorded, config, notes) -> np.ndarray:
    """(units,) whether each reaches `min_rate_hz`; if that is 0, a unit without a spike is an error."""
    spikes = counts.sum(axis=0, dtype=np.int64, where=recorded[:, None])
    rates = spikes / (recorded.sum() * bins.width_s)
    silent = ids[rates == 0].tolist()
    if silent and config.min_rate_hz == 0:
        raise DataError(
            f"unit {silent[0]} has no spike from {bins.start_s:.3f} to {bins.stop_s:.3f} s"
            f"{f' ({len(silent)} such units)' if len(silent) > 1 else ''}; drop with "
            f"`drop_units: {sorted([*config.drop_units, *silent])}` or set `min_rate_hz` above 0"
        )
    fast = rates >= config.min_rate_hz
    if not fast.any():
        raise DataError(
            f"no unit reaches `min_rate_hz` {config.min_rate_hz:g}; the fastest has {max(rates, default=0):.3g} Hz"
        )
    if not fast.all():
        notes.append(f"units below {config.min_rate_hz:g} Hz left out: {', '.join(map(str, ids[~fast]))}")
    return fast


def bin_spikes(trains: SpikeTrains, bins: Bins) -> np.ndarray:
    """(T, units) uint16 counts, at most 65535; spikes outside the bins are not counted."""
    counts = np.empty((bins.n, len(trains.times)), dtype=np.uint16)
    for column, times in enumerate(trains.times):
        index = bins.index(times)
        counted = np.bincount(index[(index >= 0) & (index < bins.n)], minlength=bins.n)
        counts[:, column] = np.minimum(counted, np.iinfo(np.uint16).max)
    return counts


def _check_trains(trains: SpikeTrains, span, dropped):
    """Raise DataError for spike times that mean a wrong clock or a damaged table."""
    for unit, times in zip(trains.ids, trains.times, strict=True):
        if unit in dropped or not len(times):
            continue
        if not np.isfinite(times).all():
            raise DataError(f"unit {unit}: spike {int(np.argmin(np.isfinite(times)))} has no finite time")
        if np.any(np.diff(times) < 0):
            at = int(np.argmax(np.diff(times) < 0)) + 1
            raise DataError(
                f"unit {unit}: spike {at} at {times[at]:.4f} s is earlier than spike {at - 1}; sort the times, "
                f"or drop the unit with `drop_units: [{unit}]`"
            )
        if times[-1] < span[0] or times[0] > span[1]:
            raise DataError(
                f"unit {unit}: all {len(times)} spikes ({times[0]:.3f} to {times[-1]:.3f} s) are outside the "
                f"recording ({span[0]:.3f} to {span[1]:.3f} s); are they in seconds on the same clock?"
            )


def _note_outside(trains, bins, notes):
    """Note the spikes that are more than one bin, the limit of rounding, before the first or after the last bin."""
    beyond = [((t < bins.start_s - bins.width_s) | (t > bins.stop_s + bins.width_s)).sum() for t in trains.times]
    if total := int(sum(beyond)):
        n = sum(map(len, trains.times))
        notes.append(f"{total} of {n} spikes are outside {bins.start_s:.2f} to {bins.stop_s:.2f} s and were left out")


# LFP, trials and pieces


def _lfp(raw: Raw, signal: Signal, bins: Bins, config: IngestConfig, decimate: Decimate) -> np.ndarray:
    """(T, channels). If the recording has gaps, each piece is filtered separately, and bins between them are 0."""
    channels = _selected_channels(signal, config)
    if raw.pieces is None:
        return lfp_on_bins(signal, bins, config, channels, decimate)
    lfp = np.zeros((bins.n, len(channels)), dtype=np.float32)
    for rows, part, (start, stop) in _pieces(raw.pieces, bins):
        lfp[rows] = lfp_on_bins(_within(signal, start, stop), part, config, channels)
    return lfp


def _behavior(raw: Raw, trace: Trace, bins: Bins, gap_s: float) -> np.ndarray:
    """(T, K). If the recording has gaps, no value is interpolated across them, and bins in gaps are NaN."""
    if raw.pieces is None:
        return behavior_on_bins(trace, bins, gap_s)
    order = np.argsort(trace.times, kind="stable")
    times, values = trace.times[order], trace.values[order]
    behavior = np.full((bins.n, len(trace.names)), np.nan, dtype=np.float32)
    for rows, part, (start, stop) in _pieces(raw.pieces, bins):
        inside = slice(*np.searchsorted(times, [start - 1e-9, stop + 1e-9]))
        if np.isfinite(values[inside]).any():
            behavior[rows] = behavior_on_bins(replace(trace, times=times[inside], values=values[inside]), part, gap_s)
    if np.isnan(behavior).all():
        raise DataError("behavior is missing in every bin of every piece")
    return behavior


def _pieces(pieces: np.ndarray, bins: Bins) -> Iterator[tuple[slice, Bins, tuple[float, float]]]:
    """(rows, the bins of these rows, (start, stop) in seconds) of each piece that contains a whole bin."""
    for start, stop in pieces:
        first = max(0, int(np.ceil((start - bins.start_s) / bins.width_s - 1e-6)))
        last = min(bins.n, int(np.floor((stop - bins.start_s) / bins.width_s + 1e-6)))
        if last > first:
            yield slice(first, last), replace(bins, first=bins.first + first, n=last - first), (start, stop)


def _within(signal: Signal, start: float, stop: float) -> Signal:
    """The samples of a signal from `start` to `stop` seconds, as a signal of their own."""
    first = max(0, int(np.ceil((start - signal.start_s) * signal.rate_hz - 1e-6)))
    last = min(signal.n_samples, int(np.floor((stop - signal.start_s) * signal.rate_hz + 1e-6)))
    return Signal(
        read=lambda a, b: signal.read(first + a, first + b),
        n_samples=last - first,
        n_channels=signal.n_channels,
        rate_hz=signal.rate_hz,
        start_s=signal.start_s + first / signal.rate_hz,
    )


def _piece_labels(raw: Raw, bins: Bins) -> np.ndarray | None:
    """(T,) int32 piece that contains each bin completely, -1 if none does; None if there is no gap."""
    if raw.pieces is None:
        return None
    label = np.full(bins.n, -1, dtype=np.int32)
    for number, (rows, _, _) in enumerate(_pieces(raw.pieces, bins)):
        label[rows] = number
    return label


def _selected_channels(signal: Signal, config: IngestConfig) -> np.ndarray:
    channels = range(signal.n_channels)
    _check_numbers("drop_channels", config.drop_channels, channels, "LFP channel")
    selected = np.array([c for c in channels if c not in config.drop_channels], dtype=int)
    if not len(selected):
        raise DataError(f"`drop_channels` leaves none of the {signal.n_channels} LFP channels")
    electrodes, counts = np.unique(selected // signal.bands, return_counts=True)
    if np.any(counts != signal.bands):
        at = int(electrodes[np.argmax(counts != signal.bands)])
        bands = list(range(at * signal.bands, (at + 1) * signal.bands))
        raise DataError(f"`drop_channels` must name all {signal.bands} bands of an electrode, such as {bands}")
    return selected


def _check_numbers(option, dropped, available, what):
    unknown = [i for i in dropped if i not in available]
    if unknown:
        numbers = f"they are numbered {min(available)} to {max(available)}" if len(available) else "there are none"
        raise DataError(f"`{option}`: there is no {what} {unknown[0]}; {numbers}")


def _trial(raw: Raw, bins: Bins, recorded: np.ndarray) -> np.ndarray | None:
    """(T,) int32 label per bin; -1 outside trials, in gaps, and in trials that are not completely recorded.

    A trial whose start or stop is NaN is ignored.
    """
    if raw.trial_labels is not None:
        return np.maximum(raw.trial_labels[bins.rows], -1).astype(np.int32)
    if raw.trial_intervals is None:
        return None
    timed = np.flatnonzero(np.isfinite(raw.trial_intervals).all(axis=1))
    order = timed[np.argsort(raw.trial_intervals[timed, 0])]
    start, stop = raw.trial_intervals[order].T
    if not np.all(stop > start):
        raise DataError(f"trial {order[np.argmin(stop > start)]} does not end after it starts")
    if np.any(start[1:] < stop[:-1] - bins.width_s):
        at = int(np.argmax(start[1:] < stop[:-1] - bins.width_s))
        raise DataError(f"trials {order[at]} and {order[at + 1]} overlap by {stop[at] - start[at + 1]:.3f} s")
    whole = (start >= bins.start_s - bins.width_s) & (stop <= bins.stop_s + bins.width_s)
    trial = np.full(bins.n, -1, dtype=np.int32)
    first, last = np.searchsorted(bins.centres, start[whole]), np.searchsorted(bins.centres, stop[whole])
    for number, a, b in zip(order[whole], first, last, strict=True):
        trial[a:b] = number
    trial[~recorded] = -1
    return trial
