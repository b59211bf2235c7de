"""What a reader of neo.rawio returns, as units and LFP.

neo calls the stretches between pauses segments. A stream is a set of channels with one clock.
"""

import re
from collections import Counter
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from raydistill.config.manifest import Lfp, UnitFilter
from raydistill.errors import DataError, of_library, suggest
from raydistill.recordings.planning.electrodes import table_of
from raydistill.recordings.raw import Run, Signal, SpikeTrains
from raydistill.store.channels import channel_table

_LFP_HZ = 3000.0
"""Highest rate of a stream that is taken for LFP without being named."""
# Streams of these names are not voltages of the brain, though some have the rate of LFP.
_OTHER = re.compile(r"aux|supply|temperature|adc|dac|analog|digital|sync|nidq|\bai\b|stim", re.IGNORECASE)
_VOLTS = {"v": 1.0, "mv": 1e-3, "uv": 1e-6, "µv": 1e-6, "μv": 1e-6, "nv": 1e-9}
_KIND = "unit_classification"  # the annotation that tells sorted units from noise
_NOISE = "noise"

Texts = tuple[str, ...]


def pieces_of(rawio: Any) -> np.ndarray:
    """(segments, 2) start and stop in seconds.

    Raises:
        DataError: there are several recordings, or the clock was reset.
    """
    if rawio.block_count() != 1:
        raise DataError(f"it holds {rawio.block_count()} recordings (blocks); name the file or folder of one of them")
    numbers = range(rawio.segment_count(0))
    spans = np.array([(rawio.segment_t_start(0, n), rawio.segment_t_stop(0, n)) for n in numbers], dtype=np.float64)
    for number, ((_, stop), (start, _)) in enumerate(pairwise(spans), start=1):
        if start < stop - 1e-3:
            raise DataError(
                f"segment {number} starts at {start:.3f} s, but segment {number - 1} ends at {stop:.3f} s: the clock "
                "was reset, so that times are ambiguous; save each segment as a file of its own"
            )
    return spans.reshape(-1, 2)


# Units


def units_of(
    rawio: Any, segments: np.ndarray, unit_filter: UnitFilter | None
) -> tuple[SpikeTrains | None, Texts, Texts]:
    """The units, what was taken, and a note on those left out; None: the file has no spikes.

    Args:
        segments: see `pieces_of`.
        unit_filter: on an annotation of neo; None: all units but those that were marked as noise.

    Raises:
        DataError: there is no such annotation, or no unit is left.
    """
    n_units = rawio.spike_channels_count()
    if not n_units:
        return None, (), ()
    annotations = [_texts(rawio, unit) for unit in range(n_units)]
    used, notes = _selected(annotations, unit_filter)
    kinds = Counter(annotations[unit].get(_KIND, "") for unit in used)
    listed = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common() if kind)
    names = rawio.header["spike_channels"]["name"]
    trains = SpikeTrains(
        times=tuple(_spike_times(rawio, unit, len(segments)) for unit in used),
        ids=tuple(used),
        observed=(float(segments[0, 0]), float(segments[-1, 1])) if rawio.signal_streams_count() else None,
        channels=channel_table(
            len(used), electrode=[annotations[unit].get("channel_id", str(names[unit])) for unit in used]
        ),
    )
    return trains, (f"{len(used)} units{f' ({listed})' if listed else ''}",), notes


def _texts(rawio: Any, unit: int) -> dict[str, str]:
    """What neo says about a unit."""
    own = rawio.raw_annotations["blocks"][0]["segments"][0]["spikes"][unit]
    return {str(key): str(value) for key, value in own.items() if not key.startswith("__")}


def _spike_times(rawio: Any, unit: int, n_segments: int) -> np.ndarray:
    """(spikes,) seconds, over all segments."""
    times = [np.empty(0)]
    for segment in range(n_segments):
        stamps = rawio.get_spike_timestamps(block_index=0, seg_index=segment, spike_channel_index=unit)
        if len(stamps):
            times.append(np.asarray(rawio.rescale_spike_timestamp(stamps, dtype="float64"), dtype=np.float64))
    return np.concatenate(times)


def _selected(annotations: list[dict[str, str]], unit_filter: UnitFilter | None) -> tuple[list[int], Texts]:
    units = range(len(annotations))
    column = _KIND if unit_filter is None else unit_filter.column
    known = sorted(set().union(*annotations))
    if unit_filter is not None and column not in known:
        raise DataError(f'`unit_filter`: units have no annotation "{column}"{suggest(column, known)}')
    labels = [annotations[unit].get(column, "") for unit in units]
    used = [u for u in units if (labels[u] != _NOISE if unit_filter is None else labels[u] in unit_filter.words)]
    counts = Counter(labels)
    listed = ", ".join(f"{n} {label or 'without a label'}" for label, n in counts.most_common())
    if not used:
        raise DataError(f"no unit is left of {len(annotations)} ({listed}); set `unit_filter`, or `spikes: null`")
    left_out = counts - Counter(labels[u] for u in used)
    if not left_out:
        return used, ()
    listed = ", ".join(f"{n} {label or 'without a label'}" for label, n in left_out.most_common())
    way = f"; `unit_filter: {{column: {column}, keep: [...]}}` selects others"
    return used, (f"{sum(left_out.values())} of {len(annotations)} units were left out ({listed}){way}",)


# LFP


def lfp_of(
    rawio: Any, segments: np.ndarray, sections: tuple[Lfp, ...] | None
) -> tuple[tuple[Signal, ...], Texts, Texts]:
    """The streams that the sections name, what was taken, and notes on the streams passed over.

    Args:
        segments: see `pieces_of`.
        sections: None or `auto`: the only stream of at most 3 kHz that is not known to be something else.

    Raises:
        DataError: there is no such stream, or a list of channels has another length.
    """
    streams = rawio.header["signal_streams"]
    signals, taken, used = [], [], list[int]()
    for section in (Lfp(),) if sections is None else sections:
        number = _stream(rawio, section.values, is_asked=sections is not None)
        if number is None:
            continue
        used.append(number)
        signal = _signal(rawio, number, len(segments), section)
        signals.append(signal)
        taken.append(
            f"LFP of {signal.n_channels} channels at {signal.rate_hz:g} Hz from stream {_name(streams[number])}"
        )
    passed = [_described(rawio, number) for number in range(len(streams)) if number not in used]
    notes = [] if sections == () or not passed else [f"signals not used: {', '.join(passed)}; `lfp: NAME` uses one"]
    notes += [note for number in used for note in _mixed(rawio, number)]
    return tuple(signals), tuple(taken), tuple(notes)


def _stream(rawio: Any, choice: str, is_asked: bool) -> int | None:
    streams = rawio.header["signal_streams"]
    if choice != "auto":
        for field in ("id", "name"):
            fitting = [number for number, stream in enumerate(streams) if str(stream[field]) == choice]
            if len(fitting) == 1:
                return fitting[0]
        known = ", ".join(_described(rawio, number) for number in range(len(streams))) or "none"
        raise DataError(f'there is no stream "{choice}" for `lfp`, or several; streams: {known}')
    slow = [n for n, stream in enumerate(streams) if _rate(rawio, n) <= _LFP_HZ and not _OTHER.search(_name(stream))]
    if len(slow) == 1:
        return slow[0]
    if is_asked:
        known = ", ".join(_described(rawio, number) for number in range(len(streams))) or "none"
        raise DataError(f"name the stream of `lfp` as its `values`; streams: {known}")
    return None


def _name(stream: Any) -> str:
    return str(stream["name"]) or str(stream["id"])


def _described(rawio: Any, number: int) -> str:
    stream = rawio.header["signal_streams"][number]
    n = rawio.signal_channels_count(number)
    return f"{_name(stream)} (id {stream['id']}, {n} channels at {_rate(rawio, number):g} Hz)"


def _rate(rawio: Any, number: int) -> float:
    return float(rawio.get_signal_sampling_rate(number))


def _channels(rawio: Any, number: int) -> np.ndarray:
    channels = rawio.header["signal_channels"]
    return channels[channels["stream_id"] == rawio.header["signal_streams"][number]["id"]]


def _mixed(rawio: Any, number: int) -> list[str]:
    """A note if a stream has channels of several units, some of which may be inputs from elsewhere."""
    names: dict[str, list[str]] = {}
    for channel in _channels(rawio, number):
        names.setdefault(str(channel["units"]), []).append(str(channel["name"]))
    if len(names) < 2:
        return []
    listed = "; ".join(
        f"{unit or 'no unit'}: {', '.join(each[:4])}{' ...' * (len(each) > 4)}" for unit, each in names.items()
    )
    stream = _name(rawio.header["signal_streams"][number])
    return [
        f"channels of stream {stream} have several units ({listed}); `ingest.drop_channels` leaves out what is not LFP"
    ]


def _signal(rawio: Any, number: int, n_segments: int, section: Lfp) -> Signal:
    channels = _channels(rawio, number)
    sizes = [rawio.get_signal_size(0, segment, number) for segment in range(n_segments)]
    starts = [float(rawio.get_signal_t_start(0, segment, number)) for segment in range(n_segments)]
    firsts = np.cumsum([0, *sizes])
    volts = np.array([_VOLTS.get(str(unit).strip().lower(), 1.0) for unit in channels["units"]]) * section.scale
    listed = section.channels if isinstance(section.channels, tuple) else ()  # a file of them was read when planning
    table = table_of(listed)
    if table is not None and len(table) != len(channels):
        raise DataError(f"`lfp.channels` has {len(table)} rows but the stream has {len(channels)} channels")
    return Signal(
        read=partial(_read, rawio, number, firsts, channels["gain"] * volts, channels["offset"] * volts),
        n_samples=int(firsts[-1]),
        n_channels=len(channels),
        rate_hz=_rate(rawio, number),
        start_s=starts[0],
        runs=tuple(
            Run(first=int(first), stop=int(first + size), start_s=start)
            for first, size, start in zip(firsts[:-1], sizes, starts, strict=True)
        )
        if n_segments > 1
        else (),
        channels=table or channel_table(len(channels), electrode=[str(name) for name in channels["name"]]),
        bad=tuple(i for i, channel in enumerate(listed) if channel.bad),
    )


def _read(rawio: Any, number: int, firsts: np.ndarray, gain: np.ndarray, offset: np.ndarray, start: int, stop: int):
    """(stop - start, C) float32 samples in volts, from all segments that they are in."""
    parts = [np.empty((0, len(gain)), dtype=np.float32)]
    for segment, (first, last) in enumerate(pairwise(firsts)):
        a, b = max(start, first), min(stop, last)
        if b <= a:
            continue
        try:
            raw = rawio.get_analogsignal_chunk(0, segment, int(a - first), int(b - first), number)
        except Exception as err:
            name = _name(rawio.header["signal_streams"][number])
            raise DataError(
                f"{rawio.source_name()}: samples of stream {name} cannot be read ({of_library(err)})"
            ) from err
        parts.append(np.multiply(raw, gain, dtype=np.float32, casting="unsafe") + offset.astype(np.float32))
    return np.concatenate(parts)
