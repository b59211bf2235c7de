"""From a recording as its file gives it to a session on one clock of bins (spec A1).

The parts: bins.py finds the clock, lfp.py and behavior.py bring their modality onto it; here spikes and trials
follow, and all become a Session. Units and channels keep the numbers of their file in every message.
"""

from dataclasses import replace

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.recordings.manifest import Behavior, Recording, as_name
from raydistill.recordings.preprocessing.behavior import behavior_on_bins, prepared
from raydistill.recordings.preprocessing.bins import Bins, common_bins, covered
from raydistill.recordings.preprocessing.decimation import Decimate, decimated
from raydistill.recordings.preprocessing.lfp import lfp_on_bins
from raydistill.recordings.readers import Counts, Raw, Signal, SpikeTrains, Trace
from raydistill.store.session import Session

_MAX_COUNT = 255


def to_session(
    recording: Recording, raw: Raw, sources: dict[str, str], decimate: Decimate = decimated
) -> tuple[Session, tuple[str, ...]]:
    """The session of a recording, and notes on what was left out of it.

    Args:
        recording: its name, description and preprocessing configuration.
        raw: the modalities, on their own clocks; LFP is read here, slice by slice.
        sources: file name -> sha256, kept with the session.
        decimate: who does the first stage of LFP that has no gap, see `lfp_on_bins`.
    Raises:
        DataError: what the recording holds cannot become a session; the message names unit, channel or time.
    """
    config, source = recording.config, recording.source
    if raw.spikes is None and raw.lfp is None:
        raise DataError("there are neither spikes nor LFP to take")
    width_s = config.bin_width_ms / 1000
    bins = common_bins(raw, width_s)
    piece = _piece_labels(raw, bins)
    recorded = np.ones(bins.n, dtype=bool) if piece is None else piece >= 0
    notes, spikes, lfp, behavior = [], None, None, None
    if raw.spikes is not None:
        spikes = _spikes(raw, bins, recorded, config, notes)
    if raw.lfp is not None:
        lfp = _lfp(raw, bins, config, decimate)
    names, units = (), ()
    if raw.behavior is not None:
        wanted = getattr(source, "behavior", None)
        trace = prepared(raw.behavior, wanted if isinstance(wanted, Behavior) else Behavior(), raw.pieces)
        behavior, names, units = _behavior(raw, trace, bins, config.behavior_gap_s), trace.names, trace.units
        if (lost := np.isnan(behavior[recorded]).any(axis=1)).any():
            notes.append(f"behavior is lost (NaN) in {lost.mean():.1%} of the bins")
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
        behavior_names=names,
        behavior_units=units,
        trial=_trial(raw, bins, recorded),
        piece=piece,
        sources=sources,
    )
    return session, tuple(notes)


# Spikes


def _spikes(raw: Raw, bins: Bins, recorded: np.ndarray, config: IngestConfig, notes: list[str]) -> np.ndarray:
    """(T, units) uint8 counts of the units that are kept; rates are those of the bins that were `recorded`, (T,)."""
    if isinstance(raw.spikes, Counts):
        counts, ids = raw.spikes.values[bins.rows], np.arange(raw.spikes.values.shape[1])
    else:
        _check_trains(raw.spikes, covered(raw, bins.width_s), config.drop_units)
        counts, ids = bin_spikes(raw.spikes, bins), np.array(raw.spikes.ids, dtype=int)
        if raw.window is None:
            _note_outside(raw.spikes, bins, notes)
    _check_numbers("drop_units", config.drop_units, ids, "unit")
    kept = ~np.isin(ids, config.drop_units)
    kept[kept] = _fast_enough(counts[:, kept], ids[kept], bins, recorded, config, notes)
    counts, ids = counts[:, kept], ids[kept]
    if counts.max() > _MAX_COUNT:
        row, column = np.argwhere(counts > _MAX_COUNT)[0]
        raise DataError(
            f"unit {ids[column]} has {counts[row, column]:g} spikes in the bin at {bins.edges[row]:.3f} s; the store "
            f"keeps up to {_MAX_COUNT}: set a smaller `bin_width_ms` or drop it with `drop_units: [{ids[column]}]`"
        )
    return counts.astype(np.uint8)


def _fast_enough(counts, ids, bins, recorded, config, notes) -> np.ndarray:
    """(units,) which reach `min_rate_hz`; where that is 0, a unit without a spike is an error."""
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
            f"no unit is left at `min_rate_hz` {config.min_rate_hz:g}; the fastest has {max(rates, default=0):.3g} Hz"
        )
    if not fast.all():
        notes.append(f"units below {config.min_rate_hz:g} Hz left out: {', '.join(map(str, ids[~fast]))}")
    return fast


def bin_spikes(trains: SpikeTrains, bins: Bins) -> np.ndarray:
    """(T, units) uint16 counts, at most 65535; spikes outside of the bins are not counted."""
    counts = np.empty((bins.n, len(trains.times)), dtype=np.uint16)
    for column, times in enumerate(trains.times):
        index = bins.index(times)
        counted = np.bincount(index[(index >= 0) & (index < bins.n)], minlength=bins.n)
        counts[:, column] = np.minimum(counted, np.iinfo(np.uint16).max)
    return counts


def _check_trains(trains: SpikeTrains, span, dropped):
    """Errors that mean a wrong clock or a damaged table rather than a quiet unit."""
    for unit, times in zip(trains.ids, trains.times, strict=True):
        if unit in dropped or not len(times):
            continue
        if not np.isfinite(times).all():
            raise DataError(f"unit {unit}: spike {int(np.argmin(np.isfinite(times)))} has no finite time")
        if np.any(np.diff(times) < 0):
            at = int(np.argmax(np.diff(times) < 0)) + 1
            raise DataError(
                f"unit {unit}: spike {at} at {times[at]:.4f} s comes before spike {at - 1}; sort the times, "
                f"or drop it with `drop_units: [{unit}]`"
            )
        if times[-1] < span[0] or times[0] > span[1]:
            raise DataError(
                f"unit {unit}: all {len(times)} spikes ({times[0]:.3f} to {times[-1]:.3f} s) lie outside of the "
                f"recording ({span[0]:.3f} to {span[1]:.3f} s); are they on its clock, and in seconds?"
            )


def _note_outside(trains, bins, notes):
    """A spike up to one bin beyond the ends is a matter of rounding; more is worth a word."""
    beyond = [((t < bins.start_s - bins.width_s) | (t > bins.stop_s + bins.width_s)).sum() for t in trains.times]
    if total := int(sum(beyond)):
        n = sum(map(len, trains.times))
        notes.append(
            f"{total} of {n} spikes lie outside of {bins.start_s:.2f} to {bins.stop_s:.2f} s and were left out"
        )


# LFP, trials and pieces


def _lfp(raw: Raw, bins: Bins, config: IngestConfig, decimate: Decimate) -> np.ndarray:
    """(T, channels); of a recording with gaps each piece is filtered by itself, and what lies between is 0."""
    channels = _kept_channels(raw.lfp, config)
    if raw.pieces is None:
        return lfp_on_bins(raw.lfp, bins, config, channels, decimate)
    lfp = np.zeros((bins.n, len(channels)), dtype=np.float32)
    for rows, part, (start, stop) in _pieces(raw, bins):
        lfp[rows] = lfp_on_bins(_within(raw.lfp, start, stop), part, config, channels)
    return lfp


def _behavior(raw: Raw, trace: Trace, bins: Bins, gap_s: float) -> np.ndarray:
    """(T, K); nothing is interpolated from one piece to the next, and what lies between is NaN."""
    if raw.pieces is None:
        return behavior_on_bins(trace, bins, gap_s)
    order = np.argsort(trace.times, kind="stable")
    times, values = trace.times[order], trace.values[order]
    behavior = np.full((bins.n, len(trace.names)), np.nan, dtype=np.float32)
    for rows, part, (start, stop) in _pieces(raw, bins):
        own = slice(*np.searchsorted(times, [start - 1e-9, stop + 1e-9]))
        if np.isfinite(values[own]).any():
            behavior[rows] = behavior_on_bins(replace(trace, times=times[own], values=values[own]), part, gap_s)
    if np.isnan(behavior).all():
        raise DataError("behavior is lost in every bin of every piece")
    return behavior


def _pieces(raw: Raw, bins: Bins):
    """(rows, the bins of these rows, (start, stop) in seconds) of each piece that holds a whole bin."""
    for start, stop in raw.pieces:
        first = max(0, int(np.ceil((start - bins.start_s) / bins.width_s - 1e-6)))
        last = min(bins.n, int(np.floor((stop - bins.start_s) / bins.width_s + 1e-6)))
        if last > first:
            yield slice(first, last), replace(bins, first=bins.first + first, n=last - first), (start, stop)


def _within(signal: Signal, start: float, stop: float) -> Signal:
    """The samples of a signal from `start` to `stop` seconds, as a signal that knows no others."""
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
    """(T,) int32 piece of each bin that lies in one as a whole, -1 elsewhere; None where there is no gap."""
    if raw.pieces is None:
        return None
    label = np.full(bins.n, -1, dtype=np.int32)
    for number, (rows, _, _) in enumerate(_pieces(raw, bins)):
        label[rows] = number
    return label


def _kept_channels(signal: Signal, config: IngestConfig) -> np.ndarray:
    channels = range(signal.n_channels)
    _check_numbers("drop_channels", config.drop_channels, channels, "LFP channel")
    kept = np.array([c for c in channels if c not in config.drop_channels], dtype=int)
    if not len(kept):
        raise DataError(f"`drop_channels` leaves none of the {signal.n_channels} LFP channels")
    electrodes, counts = np.unique(kept // signal.bands, return_counts=True)
    if np.any(counts != signal.bands):
        at = int(electrodes[np.argmax(counts != signal.bands)])
        own = list(range(at * signal.bands, (at + 1) * signal.bands))
        raise DataError(f"`drop_channels` must name all {signal.bands} bands of an electrode, such as {own}")
    return kept


def _check_numbers(option, dropped, known, what):
    unknown = [i for i in dropped if i not in known]
    if unknown:
        numbers = f"they are numbered {min(known)} to {max(known)}" if len(known) else "there are none"
        raise DataError(f"`{option}`: there is no {what} {unknown[0]}; {numbers}")


def _trial(raw: Raw, bins: Bins, recorded: np.ndarray) -> np.ndarray | None:
    """(T,) int32 label per bin, -1 outside of trials, in gaps, and in trials that are not there as a whole.

    A trial whose start or stop is NaN was never timed, and is none.
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
