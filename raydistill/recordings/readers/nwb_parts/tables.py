"""Tables of an NWB file: trials, the part of the recording to use, and rows selected by the value of a column."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from raydistill.config.manifest import Interval, Label, Trials, seconds_per_unit
from raydistill.errors import DataError, suggest
from raydistill.recordings.raw import RawLabel
from raydistill.recordings.readers.nwb_parts.file import NwbContent, listed


def trial_intervals(
    content: NwbContent, section: Trials | None
) -> tuple[np.ndarray | None, np.ndarray | None, tuple[str, ...]]:
    """(trials, 2) start and stop in seconds of the rows of a table that `where` selects, their numbers, what was taken.

    Raises:
        DataError: there is no such table, column or row.
    """
    if section is None or section.table is None:
        return None, None, ()
    path, table = interval_table(content, section.table)
    rows = np.arange(len(table))
    for column, values in section.where.items():
        cells = column_of(table, column, path)
        rows = rows[[has_one_of(cells[row], values) for row in rows]]
        if not len(rows):
            found = sorted({str(word) for cell in cells for word in words(cell)})
            raise DataError(
                f"`trials.where` {column} {' or '.join(map(str, values))} leaves none of the {len(table)} rows of "
                f"{path}; values of {column}: {listed(found)}"
            )
    n = f"{len(rows)} of {len(table)}" if section.where else f"{len(table)}"
    selected = f" ({', '.join(section.where)})" if section.where else ""
    scale = seconds_per_unit(section.time_unit, section.rate_hz)
    return _bounds(table, path)[rows] * scale, rows, (f"{n} trials from {path}{selected}",)


def labels_of(content: NwbContent, labels: Mapping[str, Label]) -> tuple[RawLabel, ...]:
    """The label of each row of a table of intervals, for each label of the session.

    Raises:
        DataError: there is no such table or column, or a cell holds several values.
    """
    found = []
    for name, label in labels.items():
        table_name, _, column = (label.values, "", "") if label.inside is not None else label.values.rpartition("/")
        if label.inside is None and not table_name:
            raise DataError(
                f"labels.{name}: give the table and its column as TABLE/COLUMN, such as trials/{label.values}, or "
                "`inside` with the class of all rows"
            )
        path, table = interval_table(content, table_name)
        if label.inside is None:
            cells = [words(cell) for cell in column_of(table, column, path)]
            if several := [cell for cell in cells if len(cell) > 1]:
                raise DataError(f"labels.{name}: a row of {path} has several values of {column}: {listed(several[0])}")
            values = [_as_class(cell[0]) if cell else "" for cell in cells]
        else:
            values = [label.inside] * len(table)
        intervals = _bounds(table, path) * seconds_per_unit(label.time_unit)
        found.append(RawLabel(name=name, values=np.array(values), intervals=intervals, outside=label.outside))
    return tuple(found)


def _as_class(value) -> str:
    """The name of a class from a cell; whole numbers have no decimal point."""
    if isinstance(value, bytes):
        return value.decode()
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return f"{value:g}" if is_number else str(value)


def window(content: NwbContent, interval: Interval) -> tuple[float, float]:
    """Start and stop in seconds of a part of the recording.

    Raises:
        DataError: the interval's value is not in exactly one row, and no `index` says which is meant.
    """
    if interval.table is None:
        return interval.seconds
    path, table = interval_table(content, interval.table)
    matching = range(len(table))
    if interval.value is not None:
        cells = column_of(table, interval.column, path)
        matching = [row for row in matching if has_one_of(cells[row], [interval.value])]  # type: ignore[assignment]
    rows = _bounds(table, path)[matching]
    shown = ", ".join(f"{a:.1f} to {b:.1f} s" for a, b in rows)
    of_value = "" if interval.value is None else f", {interval.column} {interval.value}"
    if interval.index is None and len(rows) != 1:
        matches = f"{len(rows)} rows: {shown}; choose one with `index`" if len(rows) else "no row"
        raise DataError(f"`interval` {interval.table}{of_value} matches {matches}")
    if interval.index is not None and not 0 <= interval.index < len(rows):
        raise DataError(f"`interval.index` {interval.index} is not among the {len(rows)} matching rows: {shown}")
    start, stop = rows[interval.index or 0]
    if not stop > start:
        raise DataError(f"`interval` {interval.table}{of_value} has no duration: it is from {start} to {stop} s")
    return float(start), float(stop)


def interval_table(content: NwbContent, name: str) -> tuple[str, Any]:
    """(path, table) of the table of intervals of this name, or at this path. DataError: there is none."""
    from hdmf.common import DynamicTable

    tables = {
        path: table
        for path, table in content.of_kind(DynamicTable).items()
        if {"start_time", "stop_time"} <= set(table.colnames)
    }
    for path in (content.resolved(name), content.resolved(f"intervals/{name}")):
        if path in tables:
            return path, tables[path]
    shown = [path.removeprefix("intervals/") for path in tables]
    raise content.missing("table of intervals", name.strip("/"), shown)


def invalid_time_note(content: NwbContent) -> tuple[str, ...]:
    """A note about time that the file marks as invalid, which no reader leaves out by itself."""
    table = content.nwb.invalid_times
    if table is None or not len(table):
        return ()
    seconds = np.nansum(np.diff(_bounds(table, "intervals/invalid_times"), axis=1))
    return (
        f"intervals/invalid_times marks {seconds:.1f} s in {len(table)} intervals as invalid, which are used; "
        "`interval` takes other parts",
    )


def column_of(table, name: str, path: str):
    """The cells of a column of a table. DataError: it has no such column."""
    if name not in table.colnames:
        raise DataError(f'{path} has no column "{name}"{suggest(name, table.colnames)}')
    return table[name][:]


def words(cell) -> list:
    """The values in a cell: one, several if the column is ragged, or the name of the object it refers to."""
    cells = [cell] if isinstance(cell, str | bytes) or np.ndim(cell) == 0 else cell
    return [getattr(c, "name", c) for c in cells]


def has_one_of(cell, values: Sequence) -> bool:
    """Whether a cell holds one of these values, compared as numbers, booleans or text."""
    return not {_comparable(word) for word in words(cell)}.isdisjoint(map(_comparable, values))


def _comparable(value) -> float | str:
    """A value in a form in which 1, 1.0, "1" and True are equal."""
    text = str(value.decode() if isinstance(value, bytes) else value).strip()
    if text.lower() in ("true", "false"):
        return float(text.lower() == "true")
    try:
        return float(text)
    except ValueError:
        return text


def _bounds(table, path: str) -> np.ndarray:
    """(rows, 2) start and stop in seconds."""
    columns = [np.asarray(table[name][:]) for name in ("start_time", "stop_time")]
    if any(column.dtype.kind not in "iuf" or column.ndim != 1 for column in columns):
        raise DataError(f"{path}: start_time and stop_time are not numbers")
    return np.stack(columns, axis=1).astype(np.float64)
