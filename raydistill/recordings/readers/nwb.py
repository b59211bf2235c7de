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

from raydistill.config.manifest import Behavior, Interval, SessionEntry, UnitFilter
from raydistill.errors import ConfigError, DataError, one_line, suggest
from raydistill.recordings.raw import Raw, SpikeTrains
from raydistill.recordings.readers.nwb_series import behavior, lfp
from raydistill.recordings.recording import Layout, Recording, RecordingSource, as_name
from raydistill.recordings.remote import Remote


@dataclass(frozen=True, kw_only=True, slots=True)
class NwbOptions:
    """The parts of an NWB file to use. `auto`: the only candidate in the file; None: leave the modality out."""

    spikes: bool = True
    lfp: str | None = "auto"
    behavior: str | Behavior | None = "auto"
    trials: str | None = None
    """Name of the interval table with the trials."""
    interval: Interval | None = None
    unit_filter: UnitFilter | None = dataclasses.field(default_factory=UnitFilter)


_BEHAVIOR_KEYS = {"values", "max_speed", "smooth_s", "derive", "columns"}  # all others describe a file of arrays


def describe(entry: SessionEntry) -> NwbOptions:
    """The options for a manifest's entry.

    Raises:
        ConfigError: the entry has keys that belong to files of arrays.
    """
    lfp, trials = entry.lfp, entry.trials
    wrong = [k for k in ("spikes", "lfp", "trials") if not isinstance(getattr(entry, k), str | None)]
    wrong += ["bin_width_ms"] if entry.bin_width_ms is not None else []
    if isinstance(entry.behavior, Behavior):
        wrong += [f"behavior.{key}" for key in _changed_fields(entry.behavior) if key not in _BEHAVIOR_KEYS]
    if wrong or not isinstance(lfp, str | None) or not isinstance(trials, str | None):
        raise ConfigError(f"`{wrong[0]}` describes a file of arrays; for an NWB file give only the path of the series")
    if entry.spikes not in ("auto", None):
        raise ConfigError("the spikes of an NWB file are its units table: leave `spikes` out, or set it to null")
    return NwbOptions(
        spikes=entry.spikes is not None,
        lfp=lfp,
        behavior=entry.behavior,
        trials=trials,
        interval=entry.interval,
        unit_filter=entry.unit_filter,
    )


def _changed_fields(options) -> list[str]:
    """Names of the fields that differ from their defaults."""
    return [f.name for f in dataclasses.fields(options) if getattr(options, f.name) != f.default]


def find(folder: Path) -> list[Recording]:
    """The NWB 2 files anywhere in a folder, one recording each; hidden files are skipped."""
    files = sorted(p for p in folder.rglob("[!.]*") if p.suffix.lower() in LAYOUT.endings and p.is_file())
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
                yield _raw(nwb, source.options, bin_width_ms / 1000)
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
        trial_intervals=None if options.trials is None else _rows(_table(nwb, options.trials)),
        pieces=pieces,
        window=_window(nwb, options.interval),
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
    stated = [_overlap(spans, 1) for spans in (_stated(units, i) for i in rows) if len(spans)]
    if not stated:
        return np.empty((0, 2))
    shared = _overlap(np.concatenate(stated), len(stated))
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


def _overlap(intervals: np.ndarray, at_least: int) -> np.ndarray:
    """(m, 2) intervals in which at least `at_least` of the (n, 2) intervals overlap."""
    times, steps = intervals.T.ravel(), np.repeat([1, -1], len(intervals))
    order = np.lexsort((-steps, times))  # at equal times starts come first, so that intervals that touch are joined
    enough = np.cumsum(steps[order]) >= at_least
    return times[order][np.diff(enough, prepend=False)].reshape(-1, 2)


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


def _window(nwb, interval) -> tuple[float, float] | None:
    if interval is None:
        return None
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
)
