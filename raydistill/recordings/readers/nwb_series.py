"""LFP and behavior of an NWB file: which series to use, its clock, its values in physical units.

A value in an ElectricalSeries is data x conversion x channel_conversion + offset (NWB schema); all other series
have no channel_conversion. In some published files (DANDI 000070) the conversion is NaN: their values are used
unchanged, in an unknown unit.
"""

import re
from functools import partial

import numpy as np

from raydistill.config.manifest import Behavior, Lfp
from raydistill.errors import DataError, suggest
from raydistill.recordings.raw import Signal, Trace, as_columns

_SLICE = 1_000_000  # time stamps read at once
# vel or velocity as a separate word: cursor_vel, HandVelocity, but not level or novel_maze.
_VELOCITY = re.compile(r"(?:(?<![A-Za-z])v|V)el(?:ocity)?(?![a-z])")


def lfp(nwb, sections: tuple[Lfp, ...] | None) -> tuple[Signal, ...]:
    """The series that the sections name; None or `auto`: the only one in an LFP container, if there is one."""
    from pynwb.ecephys import LFP

    signals = []
    for section in (Lfp(),) if sections is None else sections:
        series = _chosen(nwb, section.values, "lfp", lambda s: isinstance(s.parent, LFP))
        if series is not None:
            signals.append(_signal(series))
    return tuple(signals)


def _signal(series) -> Signal:
    data, path = series.data, _path(series)
    if data.ndim > 2:
        raise DataError(f"{path} has the shape {data.shape}; (samples, channels) is needed")
    n_channels = 1 if data.ndim == 1 else data.shape[1]
    gain = np.full(n_channels, _factor(series))
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
        DataError: a time stamp is more than 1 ms and more than half a sample off a uniform clock.
    """
    if series.timestamps is None:
        return float(series.rate), float(series.starting_time)
    stamps = series.timestamps
    n = len(stamps)
    if n != len(series.data):
        raise DataError(f"{_path(series)} has {len(series.data)} samples but {n} time stamps")
    if n < 2 or not stamps[n - 1] > stamps[0]:
        raise DataError(f"{_path(series)} has no ascending time stamps")
    start, step = float(stamps[0]), float(stamps[n - 1] - stamps[0]) / (n - 1)
    for a in range(0, n, _SLICE):
        part = np.asarray(stamps[a : a + _SLICE], dtype=np.float64)
        off = np.abs(part - (start + step * np.arange(a, a + len(part))))
        worst = int(np.argmax(~(off <= max(1e-3, step / 2))))
        if not off[worst] <= max(1e-3, step / 2):
            raise DataError(
                f"{_path(series)} is not sampled uniformly: time stamp {a + worst} ({part[worst]:.4f} s) is "
                f"{off[worst] * 1e3:.3g} ms off a clock of {1 / step:.6g} Hz; split the file at its gaps"
            )
    return 1 / step, start


def behavior(nwb, sections: tuple[Behavior, ...] | None) -> tuple[Trace, ...]:
    """The series that the sections name; None or `auto`: the only one, or the only velocity."""
    preferred = (lambda s: s.name == "velocity", _is_velocity)
    traces = []
    for section in (Behavior(),) if sections is None else sections:
        fits = lambda s: _path(s).startswith("processing/behavior/")  # noqa: E731
        series = _chosen(nwb, section.values, "behavior", fits, preferred)
        if series is None and sections is not None:
            raise DataError("there is no series under processing/behavior; name another or set `behavior: null`")
        if series is not None:
            traces.append(_trace(series, section))
    return tuple(traces)


def _trace(series, section: Behavior) -> Trace:
    values = as_columns(series.data[:], _path(series)) * _factor(series) + float(series.offset)
    if series.timestamps is not None:
        times = np.asarray(series.timestamps[:], dtype=np.float64)
    else:
        times = series.starting_time + np.arange(len(values)) / series.rate
    if len(times) != len(values):
        raise DataError(f"{_path(series)} has {len(values)} samples but {len(times)} time stamps")
    names = _column_names(series, values.shape[1])
    unit = str(series.unit) if np.isfinite(series.conversion) else ""
    return Trace(times=times, values=values, names=names, units=(unit,) * len(names), processing=section)


def _factor(series) -> float:
    return float(series.conversion) if np.isfinite(series.conversion) else 1.0


def _is_velocity(series) -> bool:
    return any(_VELOCITY.search(name) for name in (series.name, series.parent.name))


def _column_names(series, n: int) -> tuple[str, ...]:
    """Names such as position_x or velocity_y, which are the same for all files whatever the series is called."""
    from pynwb.behavior import Position

    name = "velocity" if _is_velocity(series) else "position" if isinstance(series.parent, Position) else series.name
    axes = [name] if n == 1 else [f"{name}_{a}" for a in "xyz"[:n]] if n <= 3 else [f"{name}_{i}" for i in range(n)]
    return tuple(axes)


def _path(series) -> str:
    """Path of the series in the file, such as processing/behavior/Position/led_1."""
    return series.data.name.strip("/").removesuffix("/data")


def _chosen(nwb, choice, key: str, fits, preferred=()):
    """The series at path `choice`; for `auto` the only one that `fits`, or the only one of a `preferred` kind."""
    import pynwb

    if choice is None:
        return None
    series = {_path(o): o for o in nwb.objects.values() if isinstance(o, pynwb.TimeSeries) and hasattr(o.data, "name")}
    if choice != "auto":
        if choice.strip("/") not in series:
            raise DataError(f'there is no series "{choice}" for `{key}`{suggest(choice.strip("/"), series)}')
        return series[choice.strip("/")]
    candidates = sorted(p for p in series if fits(series[p]))
    for kind in preferred:
        of_kind = [p for p in candidates if kind(series[p])]
        candidates = of_kind if len(of_kind) == 1 else candidates
    if len(candidates) > 1:
        raise DataError(
            f"several series could be `{key}`: {', '.join(candidates)}; name one as `{key}: PATH` in a manifest, "
            f"or with --set defaults.{key}=PATH"
        )
    return series[candidates[0]] if candidates else None
