"""NWB 2 files through pynwb: units, LFP, behavior, trials; series are read in slices, never as a whole.

A value in an ElectricalSeries is data x conversion x channel_conversion + offset (NWB schema); all other series
have no channel_conversion.
"""

import warnings
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from raydistill.errors import DataError, one_line, suggest
from raydistill.recordings.readers import Raw, Signal, SpikeTrains, Trace, as_columns

_SLICE = 1_000_000  # time stamps read at once


@contextmanager
def opened(path: Path, source):
    """Yield the `Raw` of an NWB file as the manifest's `source` says; slices are read while the context is open.

    Raises:
        DataError: not an NWB 2 file, or it does not hold what `source` names (the candidates are listed).
    """
    import pynwb

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynwb warns of schema versions and of what it fills in
        try:
            io = pynwb.NWBHDF5IO(str(path), "r", load_namespaces=True)
        except Exception as err:
            raise DataError(f"{path}: not a readable NWB file ({one_line(err)})") from err
        with io:
            try:
                nwb = io.read()
            except Exception as err:
                raise DataError(f"{path}: cannot be read as NWB 2 ({one_line(err)})") from err
            try:
                yield _raw(nwb, source)
            except DataError as err:
                raise DataError(f"{path.name}: {err}") from err


def _raw(nwb, source) -> Raw:
    subject = nwb.subject.subject_id if nwb.subject else None
    groups = {g.location for g in nwb.electrode_groups.values() if g.location not in (None, "", "unknown")}
    return Raw(
        spikes=None if source.spikes is None else _units(nwb, source.unit_filter),
        lfp=_lfp(nwb, source.lfp),
        behavior=_behavior(nwb, source.behavior),
        trial_intervals=None if source.trials is None else _rows(_table(nwb, source.trials)),
        window=_window(nwb, source.interval),
        subject=subject,
        region=", ".join(sorted(groups)),
    )


# Spikes


def _units(nwb, unit_filter) -> SpikeTrains | None:
    units = nwb.units
    if units is None or "spike_times" not in units.colnames:
        return None
    rows = _kept_rows(units, unit_filter)
    observed = None
    if "obs_intervals" in units.colnames:
        spans = [units.get_unit_obs_intervals(i) for i in rows]
        spans = [(s[0][0], s[-1][1]) for s in spans if len(s)]
        observed = (float(max(a for a, _ in spans)), float(min(b for _, b in spans))) if spans else None
    times = tuple(np.asarray(units.get_unit_spike_times(i), dtype=np.float64) for i in rows)
    return SpikeTrains(times=times, ids=tuple(rows), observed=observed)


def _kept_rows(units, unit_filter) -> list[int]:
    """Rows of the units table that pass; a table without the filter's column passes whole."""
    rows = range(len(units))
    if unit_filter is None or unit_filter.column not in units.colnames:
        return list(rows)
    labels = [str(v) for v in units[unit_filter.column][:]]
    kept = [i for i in rows if labels[i] in unit_filter.keep]
    if not kept:
        raise DataError(
            f"no unit has {unit_filter.column} {' or '.join(unit_filter.keep)}; the file says "
            f"{', '.join(sorted(set(labels)))}; set `unit_filter: {{keep: [...]}}`, or `unit_filter: null` for all"
        )
    return kept


# LFP


def _lfp(nwb, wanted) -> Signal | None:
    from pynwb.ecephys import LFP

    series = _chosen(nwb, wanted, "lfp", lambda s: isinstance(s.parent, LFP))
    if series is None:
        return None
    data, path = series.data, _path(series)
    if data.ndim > 2:
        raise DataError(f"{path} has the shape {data.shape}; (samples, channels) is needed")
    n_channels = 1 if data.ndim == 1 else data.shape[1]
    gain = np.full(n_channels, float(series.conversion))
    if getattr(series, "channel_conversion", None) is not None:
        per_channel = np.asarray(series.channel_conversion[:], dtype=np.float64)
        if len(per_channel) != n_channels:
            raise DataError(f"{path} has {n_channels} channels but {len(per_channel)} values of channel_conversion")
        gain = gain * per_channel
    rate_hz, start_s = _clock(series)
    read = partial(_scaled, data, gain, float(series.offset))
    return Signal(read=read, n_samples=len(data), n_channels=n_channels, rate_hz=rate_hz, start_s=start_s)


def _scaled(data, gain, offset, start, stop):
    """(stop - start, C) float32 samples in the unit of the series."""
    values = data[start:stop].reshape(stop - start, len(gain))
    values = np.multiply(values, gain, dtype=np.float32, casting="unsafe")
    return values + np.float32(offset) if offset else values


def _clock(series) -> tuple[float, float]:
    """Sampling rate and time of the first sample of a uniformly sampled series.

    Raises:
        DataError: its time stamps leave a uniform clock by more than 1 ms, or half a sample where that is more.
    """
    if series.timestamps is None:
        return float(series.rate), float(series.starting_time)
    stamps = series.timestamps
    n = len(stamps)
    if n < 2 or not stamps[n - 1] > stamps[0]:
        raise DataError(f"{_path(series)} has no ascending time stamps")
    start, step = float(stamps[0]), float(stamps[n - 1] - stamps[0]) / (n - 1)
    for a in range(0, n, _SLICE):
        part = np.asarray(stamps[a : a + _SLICE], dtype=np.float64)
        off = np.abs(part - (start + step * np.arange(a, a + len(part))))
        worst = int(np.argmax(~(off <= max(1e-3, step / 2))))
        if not off[worst] <= max(1e-3, step / 2):
            raise DataError(
                f"{_path(series)} is not sampled uniformly: time stamp {a + worst} ({part[worst]:.4f} s) lies "
                f"{off[worst] * 1e3:.3g} ms off a clock of {1 / step:.6g} Hz; split the file at its gaps"
            )
    return 1 / step, start


# Behavior


def _behavior(nwb, wanted) -> Trace | None:
    options = None if wanted is None or isinstance(wanted, str) else wanted
    path = options.values if options else wanted
    series = _chosen(nwb, path, "behavior", lambda s: _path(s).startswith("processing/behavior/"), "velocity")
    if series is None:
        if options:
            raise DataError("there is no series under processing/behavior; name another or set `behavior: null`")
        return None
    values = as_columns(series.data[:], _path(series)) * float(series.conversion) + float(series.offset)
    if series.timestamps is not None:
        times = np.asarray(series.timestamps[:], dtype=np.float64)
    else:
        times = series.starting_time + np.arange(len(values)) / series.rate
    if len(times) != len(values):
        raise DataError(f"{_path(series)} has {len(values)} samples but {len(times)} time stamps")
    names = _column_names(series, values.shape[1])
    return Trace(times=times, values=values, names=names, units=(str(series.unit),) * len(names))


def _column_names(series, n: int) -> tuple[str, ...]:
    from pynwb.behavior import Position

    name = "position" if isinstance(series.parent, Position) else series.name
    axes = [name] if n == 1 else [f"{name}_{a}" for a in "xyz"[:n]] if n <= 3 else [f"{name}_{i}" for i in range(n)]
    return tuple(axes)


# Choosing among series and tables


def _path(series) -> str:
    """Place of the series in the file, such as processing/behavior/Position/led_1."""
    return series.data.name.strip("/").removesuffix("/data")


def _chosen(nwb, wanted, key: str, fits, preferred=None):
    """The series at path `wanted`; for `auto` the only one that `fits`, or the only one of the `preferred` name."""
    import pynwb

    if wanted is None:
        return None
    series = {_path(o): o for o in nwb.objects.values() if isinstance(o, pynwb.TimeSeries) and hasattr(o.data, "name")}
    if wanted != "auto":
        if wanted.strip("/") not in series:
            raise DataError(f'there is no series "{wanted}" for `{key}`{suggest(wanted.strip("/"), series)}')
        return series[wanted.strip("/")]
    candidates = sorted(p for p in series if fits(series[p]))
    named = [p for p in candidates if series[p].name == preferred]
    candidates = named if len(named) == 1 else candidates
    if len(candidates) > 1:
        raise DataError(
            f"several series could be `{key}`: {', '.join(candidates)}; name one as `{key}: PATH` in a manifest, "
            f"or by --set defaults.{key}=PATH"
        )
    return series[candidates[0]] if candidates else None


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
    return [str(cell)] if isinstance(cell, str) or np.ndim(cell) == 0 else [str(c) for c in cell]
