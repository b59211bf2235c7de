"""Spikes from arrays: counts per bin, brought to the bins of the session, and times of each unit."""

from collections.abc import Sequence

import numpy as np

from raydistill.config.manifest import Spikes
from raydistill.errors import DataError
from raydistill.recordings.files.nodes import Node, check_readable, find, natural
from raydistill.recordings.planning.electrodes import table_of
from raydistill.recordings.raw import Counts, SpikeTrains
from raydistill.recordings.readers.array_parts.lists import is_vector, times_by_unit, unit_times, vector, words
from raydistill.recordings.readers.array_parts.matrices import Matrix
from raydistill.store.channels import ChannelTable

_SLICE_VALUES = 2**23  # counts in memory at once, beside those of the session
_ROUNDED_S = 1e-3  # times that are rounded to more than this are told


def rebinned(matrix: Matrix, ratio: int, n_bins: int) -> np.ndarray:
    """(n_bins, units) uint16 counts, at most 65535, in bins that hold `ratio` bins of the matrix each.

    Raises:
        DataError: a value is not a whole number from 0.
    """
    width = matrix.shape[1]
    check_readable(matrix.path, (n_bins, width))
    counts = np.empty((n_bins, width), dtype=np.uint16)
    step = max(1, _SLICE_VALUES // (ratio * max(1, width)))
    for first in range(0, n_bins, step):
        stop = min(n_bins, first + step)
        values = matrix.read(first * ratio, stop * ratio)
        _check_counts(values, first * ratio, matrix)
        sums = values.reshape(-1, ratio, width).sum(axis=1)  # (bins, ratio, units) -> (bins, units)
        counts[first:stop] = np.minimum(sums, np.iinfo(np.uint16).max)
    return counts


def _check_counts(values: np.ndarray, first: int, matrix: Matrix) -> None:
    if values.dtype.kind not in "buif":
        raise DataError(f"{matrix.path} holds {values.dtype} values, not spike counts")
    with np.errstate(invalid="ignore"):
        odd = ~((values >= 0) & (values == np.round(values)) & (values < 2**24))
    if odd.any():
        row, column = np.argwhere(odd)[0]
        raise DataError(
            f"{matrix.path} ({matrix.dtype}) holds values that are not spike counts (whole numbers from 0), such as "
            f"{values[row, column]} in row {first + row}, column {column}"
        )


def spike_trains(root: Node, section: Spikes, notes: list[str]) -> SpikeTrains:
    """The trains of a section with `times` on the clock of the recording.

    Raises:
        DataError: it holds no list of vectors of spike times.
    """
    assert section.times is not None
    node = find(root, section.times)
    if section.unit_ids is not None:
        times = _flat(root, node, section, notes)
    else:
        times = unit_times(node)
        if len(times) == 1 and is_vector(node):
            _check_one_unit(times[0], node, notes)
    _note_rounding(times, section, notes)
    with np.errstate(invalid="ignore"):  # preprocessing names times that are not finite
        seconds = [np.asarray(unit, dtype=np.float64) * section.seconds_per_unit for unit in times]
    return trains(seconds, section, notes)


def _note_rounding(times: Sequence[np.ndarray], section: Spikes, notes: list[str]) -> None:
    """Note times in a type that is too short for them, such as float32 for milliseconds since 1970."""
    short = [unit[np.isfinite(unit)] for unit in times if unit.dtype.kind == "f" and unit.dtype.itemsize < 8]
    last = max((np.abs(unit).max() for unit in short if len(unit)), default=np.float32(0))
    step_s = float(np.spacing(last)) * section.seconds_per_unit
    if step_s > _ROUNDED_S:
        notes.append(
            f"{section.times}: {last.dtype} numbers as high as {last:g} are rounded to {1000 * step_s:.3g} ms, so that "
            "spikes are in wrong bins; save the times as float64"
        )


def trains_of_trials(root: Node, section: Spikes, trials: np.ndarray | None, notes: list[str]) -> SpikeTrains:
    """The trains of a section whose times are stored trial by trial, on the clock of the recording.

    Args:
        trials: (trials, 2) start and stop of each in seconds, for times that are relative to their trial.

    Raises:
        DataError: the starts of trials are needed and not known.
    """
    assert section.times is not None
    node = find(root, section.times)
    by_unit = times_by_unit(node, section.axes)
    starts = np.zeros(len(by_unit[0]) if by_unit else 0)
    if section.times_from == "trial":
        if trials is None:
            raise DataError(
                f"{section.times} is relative to its trial, whose start is not known: give `trials` with `start_s` and "
                "`stop_s`, or LFP, behavior or counts per trial in the same file"
            )
        starts = _starts(node, trials, len(starts))
        _check_relative(node, by_unit, trials[:, 1] - trials[:, 0], section.seconds_per_unit)
    else:
        _check_apart(node, by_unit, section.seconds_per_unit, section.axes)
    times = []
    for unit in by_unit:
        parts = [np.asarray(t, dtype=np.float64) * section.seconds_per_unit for t in unit]
        times.append(np.sort(np.concatenate([part + s for part, s in zip(parts, starts, strict=True)])))
    return trains(times, section, notes)


def _check_relative(node: Node, by_unit: list[list[np.ndarray]], lengths: np.ndarray, scale: float) -> None:
    """Raise DataError if most spikes are after the end of their trial, so that they are not relative to its start."""
    late = sum(int((unit[k] * scale > lengths[k]).sum()) for unit in by_unit for k in range(len(lengths)))
    total = sum(len(times) for unit in by_unit for times in unit)
    if late > total / 2:
        raise DataError(
            f"{late} of {total} spikes of {node.path} ({late / total:.1%}) are after the end of their trial; is their "
            "`time_unit` right, and does the time in each trial begin at its start? If not, leave out "
            "`times_from: trial`"
        )


def _check_apart(node: Node, by_unit: list[list[np.ndarray]], scale: float, axes: Sequence[str]) -> None:
    """Raise DataError if the spikes of most trials are at the same time, so that they are relative to their trial."""
    by_trial = [np.concatenate(times) for times in zip(*by_unit, strict=True)]
    with np.errstate(invalid="ignore"):
        spans = np.array([(times.min(), times.max()) for times in by_trial if len(times) > 1]).reshape(-1, 2) * scale
    shared = np.minimum(spans[1:, 1], spans[:-1, 1]) - np.maximum(spans[1:, 0], spans[:-1, 0])
    lasting = spans[:, 1] - spans[:, 0]
    shorter = np.minimum(lasting[1:], lasting[:-1])
    if len(shared) and np.mean(shared > shorter / 2) > 0.5:
        (a, b), (c, d) = spans[:2]
        raise DataError(
            f"the spikes of one trial and the next in {node.path} are at the same time ({a:.3f} to {b:.3f} s, then "
            f"{c:.3f} to {d:.3f} s): if they are relative to their trial, set `times_from: trial` and give `trials` "
            f"with `start_s` and `stop_s`; or is the order of `axes: [{', '.join(axes)}]` wrong?"
        )


def _starts(node: Node, trials: np.ndarray, n: int) -> np.ndarray:
    if len(trials) != n:
        raise DataError(f"{node.path} has {n} trials but `trials` lists {len(trials)}")
    starts = trials[:, 0]
    if not np.isfinite(starts).all():
        raise DataError(f"trial {int(np.argmin(np.isfinite(starts)))} has no start, which its spikes need")
    return starts


def trains(times: list[np.ndarray], section: Spikes, notes: list[str]) -> SpikeTrains:
    """Units of a section from their times in seconds; units that are marked as bad are left out."""
    kept = good_units(len(times), section, notes)
    table = _table(section)
    return SpikeTrains(
        times=tuple(times[i] for i in kept),
        ids=tuple(kept),
        channels=None if table is None else table.rows(kept),
    )


def counts_of(values: np.ndarray, section: Spikes, notes: list[str]) -> Counts:
    """Counts of a section; units that are marked as bad are left out."""
    kept = good_units(values.shape[1], section, notes)
    table = _table(section)
    return Counts(
        values=values if len(kept) == values.shape[1] else values[:, kept],
        ids=tuple(kept),
        channels=None if table is None else table.rows(kept),
    )


def _table(section: Spikes) -> ChannelTable | None:
    return None if isinstance(section.channels, str) else table_of(section.channels)


def good_units(n: int, section: Spikes, notes: list[str]) -> list[int]:
    """Positions of the units that `channels` does not mark as bad.

    Raises:
        DataError: `channels` has another number of rows than there are units.
    """
    channels = section.channels
    if not channels or isinstance(channels, str):
        return list(range(n))
    if len(channels) != n:
        raise DataError(f"`spikes.channels` has {len(channels)} rows but {_path(section)} has {n} units")
    bad = [i for i, channel in enumerate(channels) if channel.bad]
    if len(bad) == n:
        raise DataError(f"`spikes.channels` marks all {n} units as bad")
    if bad:
        notes.append(f"{len(bad)} units are marked as bad and were left out: {', '.join(map(str, bad))}")
    return [i for i in range(n) if i not in bad]


def _path(section: Spikes) -> str:
    return section.counts or section.times or ""


def _check_one_unit(times: np.ndarray, node: Node, notes: list[str]) -> None:
    if np.any(np.diff(times) < 0):
        at = int(np.argmax(np.diff(times) < 0)) + 1
        raise DataError(
            f"{node.path} runs back at spike {at} ({times[at - 1]:g} to {times[at]:g}), so that it is not the times of "
            "one unit: name the vector with the unit of each spike as `unit_ids`"
        )
    notes.append(
        f"{node.path} is one vector and was taken as the spike times of one unit; if it holds those of several, name "
        "the vector with the unit of each spike as `unit_ids`"
    )


def _flat(root: Node, node: Node, section: Spikes, notes: list[str]) -> list[np.ndarray]:
    """The ascending times of each unit from a list of all spikes and one of their units."""
    assert section.unit_ids is not None
    times = vector(node, "spike times")
    owners = words(find(root, section.unit_ids), "units of spikes")
    if len(times) != len(owners):
        raise DataError(f"{section.times} has {len(times)} spikes but {section.unit_ids} has {len(owners)} entries")
    if owners.dtype.kind == "f" and np.isnan(owners).any():
        unknown = np.isnan(owners)
        notes.append(f"{unknown.sum()} of {len(times)} spikes have no unit (NaN in {section.unit_ids}), left out")
        times, owners = times[~unknown], owners[~unknown]
    ids, place = np.unique(owners, return_inverse=True)
    if ids.dtype.kind in "if" and (below := int(np.sum(ids < 0))):
        notes.append(
            f"{section.unit_ids} has numbers below 0 ({', '.join(f'{i:g}' for i in ids[:below])}), as some sorters "
            f"number noise; they were taken as units, which `drop_units: {list(range(below))}` leaves out"
        )
    if ids.dtype.kind == "U":
        rank = np.argsort(sorted(range(len(ids)), key=lambda i: natural(str(ids[i]))))
        place = rank[place]
    order = np.lexsort((times, place))  # by unit, then by time
    return np.split(times[order], np.cumsum(np.bincount(place, minlength=len(ids)))[:-1]) if len(ids) else []
