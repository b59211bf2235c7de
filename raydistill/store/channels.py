"""Where each LFP channel and each unit was recorded: electrode, array, region and position, one row per channel."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raydistill.errors import DataError

_TEXTS = ("electrode", "array", "region")
_POSITIONS = ("x_um", "y_um", "z_um")
COLUMNS = (*_TEXTS, *_POSITIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelTable:
    """One row per LFP electrode or per unit. Features (bands) of one electrode share a row.

    Unknown texts are empty, unknown positions are None: zero is a position.
    """

    electrode: tuple[str, ...]
    """Name or number of the electrode in the recording; unique only within its array."""
    array: tuple[str, ...]
    """Array, probe or shank of the electrode."""
    region: tuple[str, ...]
    """Brain region, as the recording names it."""
    x_um: tuple[float | None, ...]
    """Position in micrometres."""
    y_um: tuple[float | None, ...]
    z_um: tuple[float | None, ...]

    def __post_init__(self):
        lengths = {name: len(getattr(self, name)) for name in COLUMNS}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the columns of a table of channels must be equally long, but got {lengths}")

    def __len__(self) -> int:
        return len(self.electrode)

    @property
    def says_nothing(self) -> bool:
        """Whether no row holds an array, a region or a position."""
        texts = any(self.array) or any(self.region)
        return not texts and all(value is None for name in _POSITIONS for value in getattr(self, name))

    def rows(self, selected: Sequence[int]) -> "ChannelTable":
        """The table of some rows, in this order."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        return ChannelTable(**{name: tuple(values[i] for i in selected) for name, values in columns.items()})

    def names(self, column: str) -> tuple[str, ...]:
        """The different texts of a column, sorted, without the empty one."""
        return tuple(sorted(set(getattr(self, column)) - {""}))


def arrays_in(units: ChannelTable | None, electrodes: ChannelTable | None) -> dict[str, dict[str, Any]]:
    """Array -> its number of units and of LFP electrodes, and its regions; "" holds those of an unknown array."""
    found: dict[str, dict[str, Any]] = {}
    for what, table in (("units", units), ("electrodes", electrodes)):
        for array, region in zip(table.array, table.region, strict=True) if table else ():
            counts = found.setdefault(array, {"units": 0, "electrodes": 0, "regions": []})
            counts[what] += 1
            if region and region not in counts["regions"]:
                counts["regions"].append(region)
    return found


def array_names(units: ChannelTable | None, electrodes: ChannelTable | None) -> str:
    """The arrays of a session and their regions in a few words, such as "M1 (motor cortex), PMd"; "" if unknown."""
    words = []
    for array, counts in arrays_in(units, electrodes).items():
        regions = ", ".join(region for region in counts["regions"] if region != array)
        name = array or regions
        if name:
            words.append(f"{name} ({regions})" if regions and array else name)
    return ", ".join(words)


def channel_table(n: int, **columns: Sequence[Any]) -> ChannelTable:
    """A table of n rows from some of its columns; values that are None, NaN or missing are unknown.

    Args:
        n: number of rows.
        columns: by the names of `COLUMNS`, n values each.

    Raises:
        DataError: a column does not exist, has another length, or a position is not a number.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        raise DataError(f'a table of channels has no column "{unknown[0]}"; its columns are {", ".join(COLUMNS)}')
    for name, values in columns.items():
        if len(values) != n:
            raise DataError(f"`{name}` has {len(values)} rows but there are {n} channels")
    texts = {name: tuple(_text(value) for value in columns.get(name, [""] * n)) for name in _TEXTS}
    positions = {name: tuple(_position(name, value) for value in columns.get(name, [None] * n)) for name in _POSITIONS}
    return ChannelTable(**texts, **positions)  # type: ignore[arg-type]


def joined(tables: Sequence[tuple[ChannelTable | None, int]]) -> ChannelTable | None:
    """The tables of several signals below each other; None if none of them has one.

    Args:
        tables: each with its number of rows, which a missing table has as unknown ones.
    """
    if all(table is None for table, _ in tables):
        return None
    parts = [table or channel_table(n) for table, n in tables]
    return ChannelTable(**{name: sum((getattr(part, name) for part in parts), ()) for name in COLUMNS})


def table_to_json(table: ChannelTable | None) -> dict[str, list] | None:
    """JSON data of a table."""
    return None if table is None else {name: list(getattr(table, name)) for name in COLUMNS}


def table_from_json(tree: dict[str, list] | None) -> ChannelTable | None:
    """The table of JSON data. TypeError or KeyError: it is not one."""
    return None if tree is None else ChannelTable(**{name: tuple(tree[name]) for name in COLUMNS})


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value.decode() if isinstance(value, bytes) else value).strip()


def _position(name: str, value: Any) -> float | None:
    try:
        number = math.nan if value in (None, "") else float(value)
    except (TypeError, ValueError):
        raise DataError(f"`{name}` must hold numbers in micrometres, got {value!r}") from None
    return number if math.isfinite(number) else None
