"""Spikes: checks of their times, counts per bin, and the units to store."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.bins import Bins, covered
from raydistill.recordings.raw import Counts, Raw, SpikeTrains

_MAX_COUNT = 255
_SILENT, _MANY = 0.05, 50  # share of the recording, and spikes expected in it, from which their absence is told


def units_to_store(
    raw: Raw, spikes: SpikeTrains | Counts, bins: Bins, recorded: np.ndarray, config: IngestConfig, notes: list[str]
) -> np.ndarray:
    """(units,) the columns among those of the file. Everything is checked here, before the long work on the LFP.

    Args:
        recorded: (T,) the bins to which rates refer.
        notes: what was left out is added to it.
    """
    if isinstance(spikes, Counts):
        ids = np.arange(spikes.values.shape[1]) if spikes.ids is None else np.array(spikes.ids, dtype=int)
    else:
        _check_trains(spikes, covered(raw, bins.width_s), config)
        ids = np.array(spikes.ids, dtype=int)
        if not raw.windows:
            _note_outside(spikes, bins, notes)
            _note_silence(spikes, bins, notes)
    selected = np.flatnonzero(~np.isin(ids, config.drop_units))
    rates = np.empty(len(selected))
    for column, unit in enumerate(selected.tolist()):
        counts = _counts(spikes, unit, bins)
        _check_most(counts, int(ids[unit]), bins)
        rates[column] = counts.sum(where=recorded, dtype=np.float64) / (recorded.sum() * bins.width_s)
    return selected[_fast_enough(rates, ids[selected], bins, config, notes)]


def without_dropped(spikes: SpikeTrains | Counts | None, config: IngestConfig) -> SpikeTrains | Counts | None:
    """The spikes without the times of units to leave out, which say nothing about the time of the recording.

    Raises:
        DataError: a unit to leave out does not exist, or none is left.
    """
    if spikes is None:
        return None
    n = spikes.values.shape[1] if isinstance(spikes, Counts) else len(spikes.times)
    ids = range(n) if spikes.ids is None else spikes.ids
    check_numbers("drop_units", config.drop_units, ids, "unit")
    kept = [i for i, unit in enumerate(ids) if unit not in config.drop_units]
    if n and not kept:
        raise DataError(f"`drop_units` leaves none of the {n} units")
    if isinstance(spikes, Counts) or len(kept) == n:
        return spikes
    if spikes.channels is not None and len(spikes.channels) != n:
        return spikes  # an error that to_session names
    return replace(
        spikes,
        times=tuple(spikes.times[i] for i in kept),
        ids=tuple(spikes.ids[i] for i in kept),
        channels=None if spikes.channels is None else spikes.channels.rows(kept),
    )


def spikes_on_bins(spikes: SpikeTrains | Counts, units: np.ndarray, bins: Bins) -> np.ndarray:
    """(T, units) uint8 counts of some units.

    They are counted one at a time, because those of a long recording in a wider type would take most of the memory.
    """
    counts = np.empty((bins.n, len(units)), dtype=np.uint8)
    for column, unit in enumerate(units.tolist()):
        counts[:, column] = _counts(spikes, unit, bins)
    return counts


def _counts(spikes: SpikeTrains | Counts, unit: int, bins: Bins) -> np.ndarray:
    return spikes.values[bins.rows, unit] if isinstance(spikes, Counts) else counts_of(spikes.times[unit], bins)


def _check_most(counts: np.ndarray, unit: int, bins: Bins) -> None:
    if counts.max() > _MAX_COUNT:
        row = int(np.argmax(counts > _MAX_COUNT))
        raise DataError(
            f"unit {unit} has {counts[row]:g} spikes in the bin at {bins.edges[row]:.3f} s; the store holds counts up "
            f"to {_MAX_COUNT}: set a smaller `bin_width_ms` or drop the unit with `drop_units: [{unit}]`"
        )


def _fast_enough(rates, ids, bins, config, notes) -> np.ndarray:
    """(units,) whether each reaches `min_rate_hz`; if that is 0, a unit without a spike is an error."""
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


def counts_of(times: np.ndarray, bins: Bins) -> np.ndarray:
    """(T,) number of the spikes of a unit in each bin; those outside the bins are not counted. `times` in seconds."""
    index = bins.index(times)
    return np.bincount(index[(index >= 0) & (index < bins.n)], minlength=bins.n)


def _check_trains(trains: SpikeTrains, span: tuple[float, float], config: IngestConfig) -> None:
    """Raise DataError for spike times that mean a wrong clock or a damaged table.

    Args:
        span: start and end, in seconds, of the time that all modalities cover.
    """
    used = [(u, t) for u, t in zip(trains.ids, trains.times, strict=True) if u not in config.drop_units and len(t)]
    for unit, times in used:
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
                f"recording ({span[0]:.3f} to {span[1]:.3f} s); are they in seconds on the same clock? `time_unit` and "
                "`offset_s` of `spikes` say otherwise"
            )
    n = sum(len(times) for _, times in used)
    outside = _n_outside(used, span)
    if trains.observed is not None and _n_outside(used, trains.observed) > config.max_lost * n:
        raise DataError(
            f"{_n_outside(used, trains.observed)} of {n} spikes are outside {trains.observed[0]:.2f} to "
            f"{trains.observed[1]:.2f} s, in which all units were observed according to the file; leave out units that "
            "were observed for a shorter time by `unit_filter`, or set `max_lost` above "
            f"{config.max_lost:g}"
        )
    if outside > config.max_lost * n:
        first, last = min(times[0] for _, times in used), max(times[-1] for _, times in used)
        raise DataError(
            f"{outside} of {n} spikes ({outside / n:.1%}) are outside the recording ({span[0]:.2f} to {span[1]:.2f} "
            f"s); they extend from {first:.2f} to {last:.2f}: are they in seconds, milliseconds or samples? Set "
            f"`time_unit` or `rate_hz` of `spikes`, or `max_lost` above {config.max_lost:g} if they are right"
        )


def _n_outside(units: Sequence[tuple[int, np.ndarray]], span: tuple[float, float]) -> int:
    """Number of the spikes of these units (number, times in seconds) before or after a span."""
    return sum(int(((times < span[0]) | (times > span[1])).sum()) for _, times in units)


def _note_outside(trains, bins, notes):
    """Note the spikes that are more than one bin, the limit of rounding, before the first or after the last bin."""
    beyond = [((t < bins.start_s - bins.width_s) | (t > bins.stop_s + bins.width_s)).sum() for t in trains.times]
    if total := int(sum(beyond)):
        n = sum(map(len, trains.times))
        notes.append(
            f"{total} of {n} spikes ({total / n:.1%}) are outside {bins.start_s:.2f} to {bins.stop_s:.2f} s and were "
            "left out"
        )


def _note_silence(trains: SpikeTrains, bins: Bins, notes: list[str]) -> None:
    """Note a time at the start or end of the recording in which spikes are missing, as with a wrong rate of LFP."""
    used = [times for times in trains.times if len(times)]
    if not used:
        return
    first, last = min(times[0] for times in used), max(times[-1] for times in used)
    expected = sum(map(len, used)) / max(last - first, bins.width_s)  # spikes per second
    for start, stop in ((bins.start_s, first), (last, bins.stop_s)):
        silent = stop - start
        if silent > _SILENT * (bins.stop_s - bins.start_s) and silent * expected > _MANY:
            notes.append(
                f"no unit has a spike from {start:.2f} to {stop:.2f} s, {silent / (bins.stop_s - bins.start_s):.0%} of "
                "the recording; are the rates and time units of all signals right? `interval` selects a part"
            )


def check_extent(trains: SpikeTrains, bins: Bins, config: IngestConfig) -> None:
    """Raise DataError if no unit has a spike in most of the recording, as if their times were in minutes."""
    used = [t[(t >= bins.start_s) & (t <= bins.stop_s)] for t in trains.times]
    used = [times for times in used if len(times)]
    if sum(map(len, used)) < 2 * _MANY:
        return
    first, last = min(times[0] for times in used), max(times[-1] for times in used)
    silent = 1 - (last - first) / (bins.stop_s - bins.start_s)
    if silent > config.max_lost:
        raise DataError(
            f"the spikes of all units extend from {first:.2f} to {last:.2f} s only, of {bins.start_s:.2f} to "
            f"{bins.stop_s:.2f} s ({silent:.0%} without a spike): are they in seconds, as the other signals? Set "
            "`time_unit` or `rate_hz` of `spikes`, use a part with `interval`, or set `max_lost` above "
            f"{config.max_lost:g} if they are right"
        )


def check_numbers(option: str, dropped, available, what: str) -> None:
    """Raise DataError if a unit or channel to leave out does not exist."""
    unknown = [i for i in dropped if i not in available]
    if unknown:
        numbers = f"they are numbered {min(available)} to {max(available)}" if len(available) else "there are none"
        raise DataError(f"`{option}`: there is no {what} {unknown[0]}; {numbers}")
