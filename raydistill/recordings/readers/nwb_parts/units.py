"""Spike trains of an NWB file: the table of units to use, the rows of it that pass a filter, when they were observed.

If units were observed in several intervals, as on DANDI 000070, each interval is a piece of the recording.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from raydistill.config.manifest import Spikes, UnitFilter
from raydistill.errors import DataError, counted, suggest
from raydistill.recordings.intervals import overlap
from raydistill.recordings.planning.electrodes import table_of
from raydistill.recordings.raw import SpikeTrains
from raydistill.recordings.readers.nwb_parts.electrodes import electrode_rows
from raydistill.recordings.readers.nwb_parts.file import NwbContent, listed
from raydistill.recordings.readers.nwb_parts.tables import has_one_of, words
from raydistill.store.channels import ChannelTable, channel_table

# Columns in which sorters and labs say how good a unit is, the most specific first.
_QUALITY = (
    *("quality", "unit_quality", "sorting_quality", "cluster_quality", "qc", "default_qc", "kslabel", "ks_label"),
    *("curation", "decision", "accept", "accepted", "is_accepted", "good", "is_good", "is_good_unit", "good_unit"),
    *("is_single_unit", "single_unit", "is_sua", "is_mua", "isolation", "unit_type", "unit_class", "sorting_label"),
    *("label", "cluster_group", "group"),
)
_BEST = ("good", "sorted", "true", "1", "1.0", "pass", "accept", "accepted", "sua", "single", "single unit")
_SHORT_S, _SHORT = 1.0, 0.01  # seconds, and a share, in which not all units were observed that are worth a note
_MOST_VALUES = 12  # a column with more different values does not say quality


@dataclass(frozen=True, kw_only=True)
class Units:
    """What was read from a table of units."""

    spikes: SpikeTrains | None = None
    pieces: np.ndarray | None = None
    """(pieces, 2) intervals in seconds in which all units were observed; None: there is no gap."""
    taken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def units(content: NwbContent, section: Spikes | None, unit_filter: UnitFilter | None, bin_s: float) -> Units:
    """The units of the table that a section names, or of the file's own; None: spikes are left out on purpose.

    Args:
        bin_s: gaps of observation no longer than this are ignored.

    Raises:
        DataError: there is no such table, it cannot be read, or no unit passes the filter.
    """
    if section is None:
        return Units()
    tables = _tables(content)
    path = content.resolved(section.table or "units")
    if path not in tables and section.table is not None:
        raise content.missing("table of units for `spikes`", path, tables)
    cause = _why_empty(content, tables.get(path), path)
    others = sorted(other for other, table in tables.items() if other != path and "spike_times" in table.colnames)
    if cause and section.table is not None:
        raise DataError(cause)
    if cause:
        return Units(notes=_without_units(content, cause, others))
    table = tables[path]
    rows, notes = _filtered_rows(table, path, unit_filter)
    scale = section.seconds_per_unit
    times = tuple(times * scale for times in _spike_times(table, path, rows))
    observed, cut_short = _observed(table, path, rows, scale, bin_s)
    notes += cut_short
    spikes = SpikeTrains(
        times=times,
        ids=tuple(rows),
        observed=(float(observed[0, 0]), float(observed[-1, 1])) if len(observed) else None,
        channels=_channels(table, path, rows, section),
    )
    if others and section.table is None:
        notes.append(f"seen but not taken as spikes: {listed(others)}; `spikes: PATH` takes one")
    return Units(
        spikes=spikes,
        pieces=observed if len(observed) > 1 else None,
        taken=(f"{counted(len(rows), 'unit')} from {path}",),
        notes=tuple(notes),
    )


# The table


def _tables(content: NwbContent) -> dict:
    """Path -> table of each table of units in the file, with or without spike times."""
    from hdmf.common import DynamicTable
    from pynwb.misc import Units as UnitsTable

    tables = content.of_kind(DynamicTable)
    return {p: t for p, t in tables.items() if isinstance(t, UnitsTable) or "spike_times" in t.colnames}


def _why_empty(content: NwbContent, table, path: str) -> str:
    """Why a table has no spikes to read; empty if it has."""
    if table is None:
        return f"{path} {content.omitted[path]}" if path in content.omitted else f"the file has no table {path}"
    if not len(table):
        return f"{path} is empty"
    if "spike_times" not in table.colnames:
        return f"{path} has no spike_times, only {listed(table.colnames) or 'numbers of units'}"
    return ""


def _without_units(content: NwbContent, cause: str, others: list[str]) -> tuple[str, ...]:
    """A note if the file has spikes elsewhere, or a table of units without spikes."""
    from pynwb.ecephys import Clustering, SpikeEventSeries

    if others:
        return (f"no spikes: {cause}; set `spikes: {others[0]}`{f' (or {listed(others[1:])})' if others[1:] else ''}",)
    events = sorted(content.of_kind((Clustering, SpikeEventSeries)))
    if events:
        return (f"no spikes: {cause}, and {listed(events)} cannot be taken, because only tables of units are read",)
    return () if cause.startswith("the file has no") else (f"no spikes: {cause}",)


# Its rows


def _filtered_rows(table, path: str, unit_filter: UnitFilter | None) -> tuple[list[int], list[str]]:
    """Rows of the units that pass the filter, and a note about what it leaves out or could leave out."""
    rows = list(range(len(table)))
    if unit_filter is None:
        return rows, _quality_note(table)
    column, keep = unit_filter.column, unit_filter.words
    if column not in table.colnames:
        advice = suggest(column, table.colnames)
        return rows, [f'`unit_filter` leaves no unit out, because {path} has no column "{column}"{advice}']
    cells = table[column][:]
    selected = [row for row in rows if has_one_of(cells[row], keep)]
    if not selected:
        found = sorted({str(word) for cell in cells for word in words(cell)})
        raise DataError(
            f"no unit has {column} {' or '.join(keep)}; values in the file: {', '.join(found)}; set `unit_filter: "
            "{keep: [...]}`, or `unit_filter: null` for all"
        )
    if len(selected) == len(rows):
        return rows, []
    out = sorted({str(word) for row in set(rows) - set(selected) for word in words(cells[row])} - set(keep))
    return selected, [f"{len(rows) - len(selected)} of {len(rows)} units left out: {column} is {listed(out)}"]


def _quality_note(table) -> list[str]:
    """A note if units differ in a column that says how good they are, and no filter was set."""
    by_key = {name.lower(): name for name in reversed(table.colnames)}
    for key in _QUALITY:
        name = by_key.get(key)
        if name is None or np.ndim(table[name].data) != 1 or len(table[name].data) != len(table):
            continue
        counts = Counter(str(word) for cell in table[name][:] for word in words(cell))
        if 1 < len(counts) <= _MOST_VALUES and (len(counts) < len(table) or _best_of(counts)):
            shown = ", ".join(f"{n} {value or '(empty)'}" for value, n in counts.most_common())
            best = _best_of(counts) or counts.most_common(1)[0][0]
            return [
                f"units of every {name} are taken: {shown}; `unit_filter: {{column: {name}, keep: [{best}]}}` selects"
            ]
    return []


def _best_of(values) -> str | None:
    """The value that says that a unit is good; None: no value does."""
    return next((value for word in _BEST for value in values if value.strip().lower() == word), None)


def _spike_times(table, path: str, rows: list[int]) -> list[np.ndarray]:
    """Spike times of some units, in the unit of the file."""
    column = table["spike_times"]
    if not hasattr(column, "target"):
        raise DataError(
            f"{path}/spike_times has no index (spike_times_index), so that its {len(column.data)} times cannot be "
            f"assigned to the {len(table)} units"
        )
    ends, values = np.asarray(column.data[:]).astype(np.int64), column.target.data
    _check_index(ends, len(values), path)
    if np.asarray(values[:0]).dtype.kind not in "iuf" or np.ndim(values) != 1:
        raise DataError(f"{path}/spike_times holds {np.asarray(values[:0]).dtype} values, not a vector of numbers")
    starts = np.r_[0, ends[:-1]]
    return [np.asarray(values[starts[row] : ends[row]], dtype=np.float64) for row in rows]


def _check_index(ends: np.ndarray, n: int, path: str) -> None:
    if len(ends) and (np.any(np.diff(ends, prepend=0) < 0) or ends[-1] > n):
        raise DataError(f"{path}/spike_times_index does not fit its {n} spike times; the table is damaged")


# Where and when


def _channels(table, path: str, rows: list[int], section: Spikes) -> ChannelTable | None:
    """Where each unit was recorded: its first electrode, or else its group; None: nothing is known."""
    if section.channels and not isinstance(section.channels, str):  # the file that a string names was read before
        if len(section.channels) != len(table):
            raise DataError(f"`spikes.channels` has {len(section.channels)} rows but {path} has {len(table)} units")
        listed_channels = table_of(section.channels)
        return None if listed_channels is None else listed_channels.rows(rows)
    if "electrodes" in table.colnames and hasattr(table["electrodes"], "target"):
        index, region = table["electrodes"], table["electrodes"].target
        ends, electrodes = np.asarray(index.data[:]).astype(np.int64), np.asarray(region.data[:]).astype(np.int64)
        starts = np.r_[0, ends[:-1]]
        first = [int(electrodes[starts[row]]) if starts[row] < ends[row] else None for row in rows]
        known = [row for row in first if row is not None]
        if known and 0 <= min(known) <= max(known) < len(region.table):
            return electrode_rows(region.table, first)
    if "electrode_group" not in table.colnames:
        return None
    groups = [table["electrode_group"][row] for row in rows]
    regions = [str(getattr(group, "location", "") or "") for group in groups]
    channels = channel_table(
        len(rows),
        array=[str(getattr(group, "name", "")) for group in groups],
        region=["" if region == "unknown" else region for region in regions],
    )
    return None if channels.says_nothing else channels


def _observed(table, path: str, rows: list[int], scale: float, bin_s: float) -> tuple[np.ndarray, list[str]]:
    """(intervals, 2) seconds in which every unit was observed, more than a bin apart; empty if the file states none.

    Also a note if some units were observed for less time than others, because the rest of the time is left out.
    """
    if "obs_intervals" not in table.colnames:
        return np.empty((0, 2)), []
    by_unit = {row: overlap(spans, 1) for row in rows if len(spans := _stated(table, path, row) * scale)}
    if not by_unit:
        return np.empty((0, 2)), []
    stated = np.concatenate(list(by_unit.values()))
    shared = overlap(stated, len(by_unit))
    shared = shared[shared[:, 1] > shared[:, 0]]
    if not len(shared):
        raise DataError(
            "its units were never observed all at the same time (obs_intervals); select some with `unit_filter`"
        )
    apart = shared[1:, 0] - shared[:-1, 1] > bin_s
    shared = np.column_stack([shared[np.r_[True, apart], 0], shared[np.r_[apart, True], 1]])
    seconds = {row: np.diff(spans).sum() for row, spans in by_unit.items()}
    total, together = np.diff(overlap(stated, 1)).sum(), np.diff(shared).sum()
    if total - together <= max(_SHORT_S, _SHORT * total):
        return shared, []
    shortest = min(seconds, key=seconds.__getitem__)
    return shared, [
        f"all units were observed at the same time in {together:.1f} of {total:.1f} s (obs_intervals; unit {shortest} "
        f"in {seconds[shortest]:.1f} s), and no other time is used; `unit_filter` can leave units out"
    ]


def _stated(table, path: str, unit: int) -> np.ndarray:
    """(n, 2) intervals in which a unit was observed, in the unit of the file.

    Raises:
        DataError: an interval starts before the previous one, as on DANDI 000070, where a session was recorded in
            several files; or they are not pairs of numbers.
    """
    values = np.asarray(table["obs_intervals"][unit])
    if values.dtype.kind not in "iuf" or values.size % 2:
        raise DataError(f"{path}/obs_intervals of unit {unit} are not pairs of numbers")
    spans = values.astype(np.float64).reshape(-1, 2)
    spans = spans[spans[:, 1] > spans[:, 0]]  # also leaves out what is NaN
    back = np.diff(spans[:, 0]) < 0
    if back.any():
        at = int(np.argmax(back))
        raise DataError(
            f"unit {unit}: an observed interval from {spans[at, 0]:.3f} s is followed by one from "
            f"{spans[at + 1, 0]:.3f} s: the clock was reset, so times are ambiguous; save each part as a separate file"
        )
    return spans
