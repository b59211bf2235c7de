"""The electrodes of the columns in Gallego-Carracedo's files, as their guides give them.

In some files the columns of LFP power are ordered by band, in others by electrode. The field `..._lfp_guide` gives the
electrode and band of each column. With it, the columns are sorted by electrode and then by band, the local motor
potential (coded as 0 to 0 Hz) first. The field `..._unit_guide` gives the electrode of each column of counts.

Axes: n units, m columns of LFP power.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.files.matlab73 import StructArray
from raydistill.recordings.readers.trialdata import BinnedTrial
from raydistill.store.channels import ChannelTable, channel_table

_REGIONS = {"LeftS1Area2": "area 2"}


def region_of(array: str) -> str:
    """The brain region of an array as the files name it."""
    return _REGIONS.get(array, array)


@dataclass(frozen=True, kw_only=True)
class LfpGuide:
    """The columns of LFP power of one array."""

    orders: list[np.ndarray]
    """For each trial, the (m,) order that sorts its columns by electrode and then by band."""
    columns: np.ndarray
    """(m, 3) electrode, lower and upper edge of the band in Hz of the sorted columns."""


def lfp_guide(data: StructArray, array: str, trials: Sequence[BinnedTrial]) -> LfpGuide:
    """The order of an array's columns of LFP power.

    Raises:
        DataError: a guide does not fit its columns or the guides of other trials.
    """
    orders: list[np.ndarray] = []
    columns = None
    for trial in trials:
        what = f"trial {trial.index + 1}: {array}_lfp_guide"
        guide, m = data.array(f"{array}_lfp_guide", trial.index), data.shape(f"{array}_lfp", trial.index)[1]
        if guide.shape != (m, 3):
            raise DataError(f"{what} has the shape {guide.shape}, but {array}_lfp has {m} columns: ({m}, 3) is needed")
        orders.append(channel_major(guide, what))
        columns = guide[orders[0]] if columns is None else columns
        if not np.array_equal(guide[orders[-1]], columns):
            raise DataError(f"{what} names other electrodes or bands than that of trial {trials[0].index + 1}")
    assert columns is not None, "there is at least one trial"
    return LfpGuide(orders=orders, columns=columns)


def channel_major(guide: np.ndarray, what: str = "the guide") -> np.ndarray:
    """(m,) order of columns: by electrode, then by band, the local motor potential (0 to 0 Hz) first.

    Args:
        guide: (m, 3) electrode, lower and upper edge of the band in Hz for each column.

    Raises:
        DataError: the electrodes do not all have the same bands, each once.
    """
    order = np.lexsort((guide[:, 2], guide[:, 1], guide[:, 0]))
    electrodes, counts = np.unique(guide[:, 0], return_counts=True)
    if len(set(counts)) == 1:
        bands = guide[order, 1:].reshape(len(electrodes), counts[0], 2)  # (m, 2) -> (electrodes, bands, 2)
        if np.all(bands == bands[0]) and len(np.unique(bands[0], axis=0)) == counts[0]:
            return order
    raise DataError(f"{what} must give each of {len(electrodes)} electrodes the same bands, each once")


def bands_of_all(guides: Mapping[str, LfpGuide]) -> int:
    """Number of bands per electrode, which must be the same for all arrays, as patches of electrodes share a size."""
    counts = {len(np.unique(guide.columns[:, 1:], axis=0)) for guide in guides.values()}
    if len(counts) > 1:
        raise DataError(f"the arrays {' and '.join(guides)} have different bands; use only one of them")
    return counts.pop()


def lfp_table(guides: Mapping[str, LfpGuide], bands: int) -> ChannelTable:
    """One row per electrode, in the order of the sorted columns."""
    return _table({array: guide.columns[::bands, 0].tolist() for array, guide in guides.items()})


def unit_table(
    data: StructArray, arrays: Sequence[str], trials: Sequence[BinnedTrial]
) -> tuple[ChannelTable, tuple[str, ...]]:
    """One row per column of counts, and notes on the arrays whose guide is missing or does not fit the counts.

    Raises:
        DataError: the guides of two trials name different units, so that a column does not stay that of one unit.
    """
    electrodes, notes = {}, []
    for array in arrays:
        n = data.shape(f"{array}_spikes", trials[0].index)[1]
        electrodes[array], problem = _unit_electrodes(data, f"{array}_unit_guide", trials, n)
        if problem:
            notes.append(f"{problem}; the electrodes of {array}_spikes are unknown")
    return _table(electrodes), tuple(notes)


def _unit_electrodes(
    data: StructArray, field: str, trials: Sequence[BinnedTrial], n: int
) -> tuple[Sequence[float | None], str]:
    """The electrode of each of n units, and what is wrong with the guide; "" if nothing is."""
    unknown = [None] * n
    if field not in data.fields:
        return unknown, f"there is no {field}" if n else ""
    first = None
    for trial in trials:
        what = f"trial {trial.index + 1}: {field}"
        try:
            guide = data.array(field, trial.index)
        except DataError as err:
            return unknown, str(err)
        if guide.ndim != 2 or len(guide) != n or (n and guide.shape[1] != 2):
            return unknown, f"{what} has the shape {guide.shape}, not ({n}, 2)"
        first = guide if first is None else first
        if not np.array_equal(guide, first, equal_nan=True):
            raise DataError(f"{what} names other units than that of trial {trials[0].index + 1}")
    return (unknown if first is None or not n else first[:, 0].tolist()), ""


def _table(electrodes: Mapping[str, Sequence[float | None]]) -> ChannelTable:
    """The electrodes of each array, one array after the other."""
    arrays = [array for array, numbers in electrodes.items() for _ in numbers]
    return channel_table(
        len(arrays),
        electrode=[number for numbers in electrodes.values() for number in numbers],
        array=arrays,
        region=[region_of(array) for array in arrays],
    )
