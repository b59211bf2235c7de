"""LFP of an NWB file: the series in an LFP container, or those that a manifest names."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from raydistill.config.manifest import Lfp
from raydistill.errors import DataError, counted
from raydistill.recordings.planning.electrodes import table_of
from raydistill.recordings.raw import Signal
from raydistill.recordings.readers.nwb_parts.clock import uniform_clock
from raydistill.recordings.readers.nwb_parts.electrodes import channels_of_series
from raydistill.recordings.readers.nwb_parts.file import NwbContent, listed
from raydistill.recordings.readers.nwb_parts.series import (
    all_series,
    check_data,
    factor,
    named_series,
    only_series,
    shape_of,
    slice_of,
    way_out,
)


@dataclass(frozen=True, kw_only=True)
class LfpSeries:
    """What was read as LFP."""

    signals: tuple[Signal, ...] = ()
    taken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def lfp(content: NwbContent, sections: tuple[Lfp, ...] | None) -> LfpSeries:
    """The series that the sections name; None or `auto`: the only one in an LFP container, if there is one.

    Raises:
        DataError: there is no such series, it cannot be read as uniformly sampled channels, or several could be meant.
    """
    signals: list[Signal] = []
    taken: list[str] = []
    notes: list[str] = []
    for section in (Lfp(),) if sections is None else sections:
        found = _found(content, section)
        if section.values == "auto":
            notes += _passed_over(content, found)
        if found is None and sections is not None:
            raise DataError(notes[-1] if notes else "no LFP: the file has no ElectricalSeries; set `lfp: null`")
        if found is not None:
            path, series = found
            with way_out("lfp", section.values):
                check_data(content, path)
                signal, note = _signal(path, series, section)
            signals.append(signal)
            notes += [note] if note else []
            taken.append(f"LFP of {counted(signal.n_channels, 'channel')} from {path}")
    return LfpSeries(signals=tuple(signals), taken=tuple(taken), notes=tuple(notes))


def _found(content: NwbContent, section: Lfp):
    """(path, series) of a section; None: there is no candidate."""
    from pynwb.ecephys import LFP

    if section.values != "auto":
        return named_series(content, section.values, "lfp")
    candidates = {path: series for path, series in all_series(content).items() if isinstance(series.parent, LFP)}
    return only_series(candidates, "lfp")


def _passed_over(content: NwbContent, found) -> list[str]:
    """A note about series that could be LFP and are not in an LFP container."""
    from pynwb.ecephys import LFP, ElectricalSeries, SpikeEventSeries

    others = [
        path
        for path, series in content.of_kind(ElectricalSeries).items()
        if not isinstance(series, SpikeEventSeries) and not isinstance(series.parent, LFP)
    ]
    called = [(path, s) for path, s in all_series(content).items() if path not in others and _is_called_lfp(path)]
    others += [path for path, s in called if np.ndim(s.data) <= 2]  # a spectrogram cannot be taken
    others = sorted(path for path in others if found is None or path != found[0])
    unreadable = [f"{path} {cause}" for path, cause in content.omitted.items() if _is_lfp_path(path)]
    unreadable += [
        f"{path} has the shape {s.data.shape}, which is no (samples, channels) matrix"
        for path, s in called
        if np.ndim(s.data) > 2
    ]
    if found is not None:
        return [f"seen but not taken as LFP: {listed(others)}; `lfp: PATH` takes one"] if others else []
    if not others:
        return [f"no LFP: {listed(unreadable)}"] if unreadable else []
    where = "is not in an LFP container" if len(others) == 1 else "are not in an LFP container"
    causes = [*unreadable, f"{listed(others)} {where}; set `lfp: {others[0]}`"]
    return [f"no LFP: {', '.join(causes)}"]


def _is_called_lfp(path: str) -> bool:
    return path.startswith(("acquisition/", "processing/")) and "lfp" in path.lower()


def _is_lfp_path(path: str) -> bool:
    return any(word in path.lower() for word in ("lfp", "ecephys", "electricalseries"))


def _signal(path: str, series, section: Lfp) -> tuple[Signal, str]:
    """A series as a signal, and a note about gaps in its clock."""
    n, width = shape_of(series, path, section.transpose)
    gain = np.full(width, factor(series) * section.scale)
    if getattr(series, "channel_conversion", None) is not None:
        per_channel = np.asarray(series.channel_conversion[:], dtype=np.float64)
        if len(per_channel) != width:
            raise DataError(f"{path} has {width} channels but {len(per_channel)} values of channel_conversion")
        gain = gain * per_channel
    clock = uniform_clock(series, path, n, section)
    channels, bad = channels_of_series(series, width)
    if section.channels and not isinstance(section.channels, str):  # the file that a string names was read before
        if len(section.channels) != width:
            raise DataError(f"`lfp.channels` has {len(section.channels)} rows but {path} has {width} channels")
        channels = table_of(section.channels)
        bad = tuple(c for c, channel in enumerate(section.channels) if channel.bad)
    signal = Signal(
        read=partial(_scaled, series, path, section.transpose, gain, float(series.offset) * section.scale),
        n_samples=n,
        n_channels=width,
        rate_hz=clock.rate_hz,
        start_s=clock.start_s,
        runs=clock.runs,
        channels=channels,
        bad=bad,
    )
    return signal, clock.note


def _scaled(series, path, transpose, gain, offset, start, stop):
    """(stop - start, C) float32 samples in the unit of the series, times `scale`."""
    values = slice_of(series, path, start, stop, transpose)
    values = np.multiply(values, gain, dtype=np.float32, casting="unsafe")
    return values + np.float32(offset) if offset else values
