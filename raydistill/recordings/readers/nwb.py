"""NWB 2 files through pynwb, from a path or a URI: units, trials, intervals. nwb_series.py reads LFP and behavior.

Files stay open while they are read, and series are read in slices, never as a whole. If units were observed in
several intervals, as on DANDI 000070, each interval is a piece of the recording.
"""

import dataclasses
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raydistill.config.manifest import Behavior, Interval, Lfp, SessionEntry, Spikes, Trials, UnitFilter
from raydistill.errors import ConfigError, DataError, one_line, suggest
from raydistill.recordings.intervals import overlap
from raydistill.recordings.raw import Raw, SpikeTrains
from raydistill.recordings.readers.nwb_exported import exported, is_exported
from raydistill.recordings.readers.nwb_series import behavior, lfp
from raydistill.recordings.recording import Layout, Recording, RecordingSource, as_name
from raydistill.recordings.remote import Remote
from raydistill.recordings.search import files_below


@dataclass(frozen=True, kw_only=True, slots=True)
class NwbOptions:
    """The parts of an NWB file to use. `auto`: the only candidate in the file; None: leave the modality out."""

    spikes: Spikes | None = dataclasses.field(default_factory=Spikes)
    """Without a `table`, the file's own units, if it has any."""
    lfp: tuple[Lfp, ...] | None = None
    """None: the only candidate in the file, if there is one; empty: leave LFP out."""
    behavior: tuple[Behavior, ...] | None = None
    """None: the only candidate in the file, if there is one; empty: leave behavior out."""
    trials: Trials | None = None
    intervals: tuple[Interval, ...] = ()
    unit_filter: UnitFilter | None = None


# Keys that apply to NWB files; all others describe arrays.
_KEYS = {
    "spikes": {"table", "time_unit", "rate_hz"},
    "lfp": {"values", "scale", "time_unit"},
    "behavior": {"values", "names", "units", "time_unit", "max_speed", "smooth_s", "derive", "columns", "circular"},
    "trials": {"table", "where", "time_unit"},
}
_CLOCK_KEYS = {"file", "offset_s", "time_scale"}


def describe(entry: SessionEntry) -> NwbOptions:
    """The options for a manifest's entry.

    Raises:
        ConfigError: the entry has keys that belong to files of arrays.
    """
    spikes: Spikes | None = Spikes() if entry.spikes == "auto" else None
    if isinstance(entry.spikes, Spikes):
        spikes = entry.spikes
    elif isinstance(entry.spikes, str) and entry.spikes != "auto":
        spikes = Spikes(table=entry.spikes)
    trials = Trials(table=entry.trials) if isinstance(entry.trials, str) else entry.trials
    options = NwbOptions(
        spikes=spikes,
        lfp=entry.lfp_sections,
        behavior=entry.behavior_sections,
        trials=trials,
        intervals=entry.intervals,
        unit_filter=entry.unit_filter,
    )
    wrong: list[str] = []
    for name, keys in _KEYS.items():
        sections = getattr(options, name) or ()
        for section in sections if isinstance(sections, tuple) else (sections,):
            wrong += [f"{name}.{key}" for key in _changed_fields(section) if key not in keys | _CLOCK_KEYS]
    if wrong:
        raise ConfigError(
            f"`{wrong[0]}` describes a file of arrays; an NWB file states it itself: give only the path of the series"
        )
    return options


def _changed_fields(options) -> list[str]:
    """Names of the fields that differ from their defaults."""
    defaults = type(options)()
    return [f.name for f in dataclasses.fields(options) if getattr(options, f.name) != getattr(defaults, f.name)]


def find(folder: Path) -> list[Recording]:
    """The NWB 2 files anywhere in a folder, one recording each; hidden files are skipped."""
    files = files_below(folder, lambda name: name.lower().endswith(LAYOUT.endings))
    source = RecordingSource(layout=LAYOUT.name, options=NwbOptions())
    return [Recording(name=as_name(p.stem), path=p, source=source, config=LAYOUT.config) for p in files]


@contextmanager
def open_raw(path: Path | Remote, source: RecordingSource[NwbOptions], bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of an NWB file; series are read in slices while the context is open.

    Args:
        bin_width_ms: gaps of observation no longer than this are ignored.

    Raises:
        DataError: the file is not NWB 2, or does not hold what `source.options` names (the candidates are listed).
    """
    import pynwb

    file_name = path if isinstance(path, Remote) else path.name
    with _hdf5(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb warns about schema versions and about values that it fills in
        try:
            io = pynwb.NWBHDF5IO(file=file, mode="r", load_namespaces=True)
            nwb = io.read()
        except Exception as err:
            raise DataError(f"{path}: cannot be read as NWB 2 ({one_line(err)})") from err
        with io:
            try:
                options = source.options
                yield exported(nwb, options) if is_exported(nwb) else _raw(nwb, options, bin_width_ms / 1000)
            except DataError as err:
                raise DataError(f"{file_name}: {err}") from err


@contextmanager
def _hdf5(path: Path | Remote):
    import h5py

    with path.opened() if isinstance(path, Remote) else nullcontext(path) as place:
        try:
            file = h5py.File(place, "r")
        except Exception as err:
            raise DataError(f"{path}: not a readable NWB file ({one_line(err)})") from err
        with file:
            yield file


def _raw(nwb, options: NwbOptions, bin_s: float) -> Raw:
    subject = nwb.subject.subject_id if nwb.subject else None
    groups = {g.location for g in nwb.electrode_groups.values() if g.location not in (None, "", "unknown")}
    spikes, pieces = _units(nwb.units, options.unit_filter, bin_s) if options.spikes else (None, None)
    return Raw(
        spikes=spikes,
        lfp=lfp(nwb, options.lfp),
        behavior=behavior(nwb, options.behavior),
        trial_intervals=None if options.trials is None else _rows(_table(nwb, options.trials.table)),
        pieces=pieces,
        windows=tuple(_window(nwb, interval) for interval in options.intervals),
        subject=subject,
        region=", ".join(sorted(groups)),
    )


# Spikes


def _units(units, unit_filter, bin_s: float) -> tuple[SpikeTrains | None, np.ndarray | None]:
    """The spike trains, and (pieces, 2) intervals in which all units were observed; None: there is no gap."""
    if units is None or "spike_times" not in units.colnames:
        return None, None
    rows = _filtered_rows(units, unit_filter)
    times = tuple(np.asarray(units.get_unit_spike_times(i), dtype=np.float64) for i in rows)
    intervals = _observed(units, rows, bin_s)
    if not len(intervals):
        return SpikeTrains(times=times, ids=tuple(rows)), None
    trains = SpikeTrains(times=times, ids=tuple(rows), observed=(float(intervals[0, 0]), float(intervals[-1, 1])))
    return trains, intervals if len(intervals) > 1 else None


def _filtered_rows(units, unit_filter) -> list[int]:
    """Rows of the units table that pass the filter; all rows if the table lacks the filter's column."""
    rows = range(len(units))
    if unit_filter is None or unit_filter.column not in units.colnames:
        return list(rows)
    labels = [_words(cell) for cell in units[unit_filter.column][:]]
    selected = [i for i in rows if not set(unit_filter.keep).isdisjoint(labels[i])]
    if not selected:
        raise DataError(
            f"no unit has {unit_filter.column} {' or '.join(unit_filter.keep)}; values in the file: "
            f"{', '.join(sorted(set().union(*labels)))}; set `unit_filter: {{keep: [...]}}`, or "
            "`unit_filter: null` for all"
        )
    return selected


def _observed(units, rows: list[int], bin_s: float) -> np.ndarray:
    """(intervals, 2) seconds in which every unit was observed, more than a bin apart; empty if the file states none."""
    if "obs_intervals" not in units.colnames:
        return np.empty((0, 2))
    stated = [overlap(spans, 1) for spans in (_stated(units, i) for i in rows) if len(spans)]
    if not stated:
        return np.empty((0, 2))
    shared = overlap(np.concatenate(stated), len(stated))
    shared = shared[shared[:, 1] > shared[:, 0]]
    if not len(shared):
        raise DataError(
            "its units were never observed all at the same time (obs_intervals); select some with `unit_filter`"
        )
    apart = shared[1:, 0] - shared[:-1, 1] > bin_s
    return np.column_stack([shared[np.r_[True, apart], 0], shared[np.r_[apart, True], 1]])


def _stated(units, unit: int) -> np.ndarray:
    """(n, 2) intervals in which a unit was observed.

    Raises:
        DataError: an interval starts before the previous one, as on DANDI 000070, where a session was recorded in
            several files.
    """
    spans = np.reshape(units.get_unit_obs_intervals(unit), (-1, 2)).astype(np.float64)
    spans = spans[spans[:, 1] > spans[:, 0]]  # also leaves out what is NaN
    back = np.diff(spans[:, 0]) < 0
    if back.any():
        at = int(np.argmax(back))
        raise DataError(
            f"unit {unit}: an observed interval from {spans[at, 0]:.3f} s is followed by one from "
            f"{spans[at + 1, 0]:.3f} s: the clock was reset, so times are ambiguous; save each part as a separate file"
        )
    return spans


# Tables


def _table(nwb, name: str):
    tables = dict(nwb.intervals or {})
    tables |= {"trials": nwb.trials} if nwb.trials is not None else {}
    key = name.removeprefix("intervals/")
    if key not in tables:
        raise DataError(f'there is no interval table "{key}"{suggest(key, tables)}')
    return tables[key]


def _rows(table) -> np.ndarray:
    """(rows, 2) start and stop in seconds."""
    return np.stack([table["start_time"][:], table["stop_time"][:]], axis=1).astype(np.float64)


def _window(nwb, interval: Interval) -> tuple[float, float]:
    if interval.table is None:
        return interval.seconds
    table = _table(nwb, interval.table)
    matching = _matching(table, interval)
    rows = _rows(table)[matching]
    listed = ", ".join(f"{a:.1f} to {b:.1f} s" for a, b in rows)
    if interval.index is None and len(rows) != 1:
        matches = f"{len(rows)} rows: {listed}; choose one with `index`" if matching else "no row"
        raise DataError(f"`interval` {interval.table}, {interval.column} {interval.value} matches {matches}")
    if interval.index is not None and not 0 <= interval.index < len(rows):
        raise DataError(f"`interval.index` {interval.index} is not among the {len(rows)} matching rows: {listed}")
    start, stop = rows[interval.index or 0]
    return float(start), float(stop)


def _matching(table, interval) -> list[int]:
    """Rows of the table whose column holds the interval's value; all rows if it has no value."""
    rows = range(len(table))
    if interval.value is None:
        return list(rows)
    if interval.column not in table.colnames:
        raise DataError(f'{interval.table} has no column "{interval.column}"{suggest(interval.column, table.colnames)}')
    return [i for i in rows if interval.value in _words(table[interval.column][i])]


def _words(cell) -> list[str]:
    """The strings in a cell: one, several if the column is ragged, or the name of the object it refers to."""
    cells = [cell] if isinstance(cell, str) or np.ndim(cell) == 0 else cell
    return [str(getattr(c, "name", c)) for c in cells]


LAYOUT = Layout(
    name="nwb",
    title="any NWB 2 file",
    files="`*.nwb`",
    find=find,
    open=open_raw,
    options=NwbOptions,
    endings=(".nwb",),
    describe=describe,
    describes_itself=True,
)
