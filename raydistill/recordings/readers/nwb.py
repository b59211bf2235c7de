"""NWB 2 files through pynwb, from a path or a URI: units, trials, intervals; nwb_series.py has LFP and behavior.

Files stay open while they are read, and series are read in slices, never as a whole. Units that were observed in
stretches, as on DANDI 000070, make a recording of pieces.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from raydistill.errors import DataError, one_line, suggest
from raydistill.recordings.readers import Raw, SpikeTrains
from raydistill.recordings.readers.nwb_series import behavior, lfp
from raydistill.recordings.remote import Remote


@contextmanager
def opened(path: Path | Remote, source, bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of an NWB file as the manifest's `source` says; slices are read while the context is open.

    Args:
        bin_width_ms: gaps of observation up to this long are none.
    Raises:
        DataError: not an NWB 2 file, or it does not hold what `source` names (the candidates are listed).
    """
    import pynwb

    named = path if isinstance(path, Remote) else path.name
    with _hdf5(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb warns of schema versions and of what it fills in
        try:
            io = pynwb.NWBHDF5IO(file=file, mode="r", load_namespaces=True)
            nwb = io.read()
        except Exception as err:
            raise DataError(f"{path}: cannot be read as NWB 2 ({one_line(err)})") from err
        with io:
            try:
                yield _raw(nwb, source, bin_width_ms / 1000)
            except DataError as err:
                raise DataError(f"{named}: {err}") from err


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


def _raw(nwb, source, bin_s: float) -> Raw:
    subject = nwb.subject.subject_id if nwb.subject else None
    groups = {g.location for g in nwb.electrode_groups.values() if g.location not in (None, "", "unknown")}
    spikes, pieces = (None, None) if source.spikes is None else _units(nwb.units, source.unit_filter, bin_s)
    return Raw(
        spikes=spikes,
        lfp=lfp(nwb, source.lfp),
        behavior=behavior(nwb, source.behavior),
        trial_intervals=None if source.trials is None else _rows(_table(nwb, source.trials)),
        pieces=pieces,
        window=_window(nwb, source.interval),
        subject=subject,
        region=", ".join(sorted(groups)),
    )


# Spikes


def _units(units, unit_filter, bin_s: float) -> tuple[SpikeTrains | None, np.ndarray | None]:
    """The spike trains, and the (pieces, 2) stretches in which all units were observed; None: there is no gap."""
    if units is None or "spike_times" not in units.colnames:
        return None, None
    rows = _kept_rows(units, unit_filter)
    times = tuple(np.asarray(units.get_unit_spike_times(i), dtype=np.float64) for i in rows)
    stretches = _observed(units, rows, bin_s)
    if not len(stretches):
        return SpikeTrains(times=times, ids=tuple(rows)), None
    trains = SpikeTrains(times=times, ids=tuple(rows), observed=(float(stretches[0, 0]), float(stretches[-1, 1])))
    return trains, stretches if len(stretches) > 1 else None


def _kept_rows(units, unit_filter) -> list[int]:
    """Rows of the units table that pass; a table without the filter's column passes whole."""
    rows = range(len(units))
    if unit_filter is None or unit_filter.column not in units.colnames:
        return list(rows)
    labels = [_words(cell) for cell in units[unit_filter.column][:]]
    kept = [i for i in rows if not set(unit_filter.keep).isdisjoint(labels[i])]
    if not kept:
        raise DataError(
            f"no unit has {unit_filter.column} {' or '.join(unit_filter.keep)}; the file says "
            f"{', '.join(sorted(set().union(*labels)))}; set `unit_filter: {{keep: [...]}}`, or "
            "`unit_filter: null` for all"
        )
    return kept


def _observed(units, rows: list[int], bin_s: float) -> np.ndarray:
    """(stretches, 2) seconds in which every unit was observed, more than a bin apart; empty where none is stated."""
    if "obs_intervals" not in units.colnames:
        return np.empty((0, 2))
    stated = [_overlap(spans, 1) for spans in (_stated(units, i) for i in rows) if len(spans)]
    if not stated:
        return np.empty((0, 2))
    shared = _overlap(np.concatenate(stated), len(stated))
    shared = shared[shared[:, 1] > shared[:, 0]]
    if not len(shared):
        raise DataError("its units were never observed all at once (obs_intervals); take some by `unit_filter`")
    apart = shared[1:, 0] - shared[:-1, 1] > bin_s
    return np.column_stack([shared[np.r_[True, apart], 0], shared[np.r_[apart, True], 1]])


def _stated(units, unit: int) -> np.ndarray:
    """(n, 2) intervals in which a unit was observed.

    Raises:
        DataError: they run back, as on DANDI 000070 where a session was recorded in several files.
    """
    spans = np.reshape(units.get_unit_obs_intervals(unit), (-1, 2)).astype(np.float64)
    spans = spans[spans[:, 1] > spans[:, 0]]  # also leaves out what is NaN
    back = np.diff(spans[:, 0]) < 0
    if back.any():
        at = int(np.argmax(back))
        raise DataError(
            f"unit {unit}: after an observed interval from {spans[at, 0]:.3f} s comes one from {spans[at + 1, 0]:.3f} "
            "s: the clock was set back, and one time means two moments; give each part a file of its own"
        )
    return spans


def _overlap(intervals: np.ndarray, at_least: int) -> np.ndarray:
    """(stretches, 2) in which at least so many of the (n, 2) intervals lie on one another."""
    times, steps = intervals.T.ravel(), np.repeat([1, -1], len(intervals))
    order = np.lexsort((-steps, times))  # at one moment starts come first: intervals that touch are one stretch
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
        found = f"{len(rows)} rows: {listed}; choose one by `index`" if matching else "no row"
        raise DataError(f"`interval` {interval.table}, {interval.column} {interval.value} matches {found}")
    if interval.index is not None and not 0 <= interval.index < len(rows):
        raise DataError(f"`interval.index` {interval.index} is not among the {len(rows)} matching rows: {listed}")
    start, stop = rows[interval.index or 0]
    return float(start), float(stop)


def _matching(table, interval) -> list[int]:
    """Rows of the table whose column holds the interval's value; all, if it names none."""
    rows = range(len(table))
    if interval.value is None:
        return list(rows)
    if interval.column not in table.colnames:
        raise DataError(f'{interval.table} has no column "{interval.column}"{suggest(interval.column, table.colnames)}')
    return [i for i in rows if interval.value in _words(table[interval.column][i])]


def _words(cell) -> list[str]:
    """What a cell says: a word, several where the column is ragged, or the name of the object it refers to."""
    cells = [cell] if isinstance(cell, str) or np.ndim(cell) == 0 else cell
    return [str(getattr(c, "name", c)) for c in cells]
