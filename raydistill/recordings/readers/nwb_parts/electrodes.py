"""Where channels and units of an NWB file were recorded: rows of its table of electrodes."""

import re
from collections.abc import Sequence

import numpy as np

from raydistill.store.channels import ChannelTable, channel_table

# Columns of the table of electrodes, without the words channel, electrode and is, and what their values say.
_BAD = ("bad", "noisy", "dead", "broken", "faulty", "excluded", "exclude", "artifact")
_GOOD = ("good", "valid", "valid_data", "include", "included", "use", "usable", "working")
_QUALITY = ("quality", "status", "label", "condition")
_TRUE, _FALSE = ("true", "1", "1.0", "yes", "y", "t"), ("false", "0", "0.0", "no", "n", "f")
_BAD_WORDS = ("bad", "noise", "noisy", "dead", "broken", "faulty", "excluded", "artifact")
# The position in the brain, or else on the probe, both in micrometres (NWB schema).
_POSITIONS = (("x", "y", "z"), ("rel_x", "rel_y", "rel_z"))


def channels_of_series(series, n_channels: int) -> tuple[ChannelTable | None, tuple[int, ...]]:
    """The electrodes of an ElectricalSeries, and its channels that the file marks as bad.

    Nothing is known about another series, and about one whose electrodes are not those of its channels.
    """
    region = getattr(series, "electrodes", None)
    if region is None:
        return None, ()
    rows = np.ravel(region.data[:]).astype(int).tolist()
    if len(rows) != n_channels or not rows or not 0 <= min(rows) <= max(rows) < len(region.table):
        return None, ()
    marked = bad_electrodes(region.table)
    return electrode_rows(region.table, rows), tuple(c for c, row in enumerate(rows) if marked[row])


def electrode_rows(table, rows: Sequence[int | None]) -> ChannelTable | None:
    """The electrodes at some rows of the table of electrodes, None for an unknown one; None: it says nothing of them.

    Positions that are 0 for all electrodes were never set, and are unknown.
    """

    def picked(values) -> list:
        return [None if row is None else values[row] for row in rows]

    columns = {"electrode": picked(_electrode_names(table)), "region": picked(_texts(table, "location"))}
    arrays = _texts(table, "group_name")
    columns["array"] = picked(arrays if any(arrays) else _texts(table, "group"))
    for names in _POSITIONS:
        positions = {axis: _numbers(table, name) for axis, name in zip("xyz", names, strict=True)}
        stated = np.concatenate(list(positions.values()))
        if np.any(stated[np.isfinite(stated)] != 0):
            columns |= {f"{axis}_um": picked(values.tolist()) for axis, values in positions.items()}
            break
    channels = channel_table(len(rows), **columns)
    return None if channels.says_nothing else channels


def bad_electrodes(table) -> np.ndarray:
    """(electrodes,) whether the table marks each as bad, in whatever column it does so."""
    bad = np.zeros(len(table), dtype=bool)
    for name in table.colnames:
        key = re.sub(r"(^|_)(is|channels?|electrodes?)(?=_|$)", "", name.lower()).strip("_")
        if key not in _BAD + _GOOD + _QUALITY or np.ndim(table[name].data) != 1:
            continue
        saying_bad = _BAD_WORDS + (_TRUE if key in _BAD else _FALSE if key in _GOOD else ())
        bad |= [str(value).strip().lower() in saying_bad for value in table[name][:]]
    return bad


def _electrode_names(table) -> list:
    """Names of the channels where each has its own, or else the numbers of the electrodes."""
    names = _texts(table, "channel_name")
    return names if all(names) and names else [int(number) for number in table.id[:]]


def _texts(table, name: str) -> list[str]:
    """A column of texts, or the names of the objects that it refers to; empty where the file does not know."""
    if name not in table.colnames:
        return [""] * len(table)
    cells = [getattr(cell, "name", cell) for cell in table[name][:]]
    texts = [str(cell.decode() if isinstance(cell, bytes) else cell).strip() for cell in cells]
    return ["" if text.lower() in ("unknown", "none", "nan", "n/a", "null") else text for text in texts]


def _numbers(table, name: str) -> np.ndarray:
    """(electrodes,) float64, NaN where the column is missing or holds no numbers."""
    values = np.asarray(table[name].data[:]) if name in table.colnames else np.array([])
    if values.shape != (len(table),) or values.dtype.kind not in "iuf":
        return np.full(len(table), np.nan)
    return values.astype(np.float64)
