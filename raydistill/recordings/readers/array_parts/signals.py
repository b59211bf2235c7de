"""Sections of a manifest that describe arrays on the clock of the recording, as signals of a `Raw`."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from raydistill.config.manifest import Behavior, Channel, Lfp, seconds_per_unit
from raydistill.errors import DataError, counted, suggest
from raydistill.recordings.files.nodes import Cells, Node, find
from raydistill.recordings.planning.electrodes import table_of
from raydistill.recordings.raw import Counts, Signal, SpikeTrains, Trace
from raydistill.recordings.readers.array_parts.lists import vector
from raydistill.recordings.readers.array_parts.matrices import Described, Matrix, matrix, scaled
from raydistill.recordings.readers.array_parts.options import ArrayOptions
from raydistill.recordings.readers.array_parts.stamps import stamped_clock
from raydistill.store.channels import ChannelTable


@dataclass(frozen=True)
class Binned:
    """An array with one row per bin of the file."""

    path: str
    shape: tuple[int, int]
    described: Described | None = None
    """Its section; None for labels of trials."""


def check_width(bin_s: float | None, path: str, section: str) -> float:
    """The width of the file's bins in seconds, for an array with one row per bin.

    Raises:
        DataError: the manifest does not give it.
    """
    if bin_s is None:
        others = f", or the `rate_hz` or `times` of `{section}`" if section in ("lfp", "behavior") else ""
        raise DataError(f"{path} has one row per bin: give the file's `bin_width_ms`{others}")
    return bin_s


def lfp_signal(
    root: Node, section: Lfp, bin_s: float | None, windows: Sequence[tuple[float, float]], notes: list[str]
) -> Signal:
    """The signal of a section, read in slices.

    Args:
        bin_s: width of the file's bins in seconds.
        windows: start and end, in seconds, of each part of the time to use.
        notes: gaps are told in it.

    Raises:
        DataError: the file does not hold what the section describes.
    """
    described = Described(section)
    values = matrix(find(root, section.values), described)
    n, width = values.shape
    clock: dict = {"rate_hz": section.rate_hz, "start_s": section.start_s}
    if section.times:
        stamps = _stamps(root, section, described, values)
        stamped = stamped_clock(stamps, section.times, windows)
        notes += stamped.notes(section.values)
        clock = {"rate_hz": stamped.rate_hz, "start_s": stamped.runs[0].start_s}
        is_whole = len(stamped.runs) == 1 and stamped.runs[0].stop - stamped.runs[0].first == n
        clock["runs"] = () if is_whole else stamped.runs
    elif section.rate_hz is None:
        bin_s = check_width(bin_s, described.path, described.name)
        clock = {"rate_hz": 1 / bin_s, "start_s": bin_s / 2, "span": (0.0, n * bin_s)}
    channels, bad = electrodes(section, width)
    return Signal(
        read=partial(_scaled, values, section.scale),
        n_samples=n,
        n_channels=width,
        bands=section.bands,
        channels=channels,
        bad=bad,
        **clock,
    )


def scale_notes(root: Node, section: Lfp | Behavior) -> list[str]:
    """A note if the file states a scale of the values, as netCDF does, which nothing applies."""
    node = find(root, section.values)
    if isinstance(node, Cells) or node.kind != "number":
        return []
    found = node.attributes() or {}
    stated = [f"{name} {found[name][0]}" for name in ("scale_factor", "add_offset") if found.get(name)]
    if not stated or (isinstance(section, Lfp) and section.scale != 1):
        return []
    way_out = "set `scale` of `lfp`" if isinstance(section, Lfp) else "its values and `units` are those of the file"
    return [f"{section.values}: its file states {' and '.join(stated)}, not applied; {way_out}"]


def _scaled(values: Matrix, scale: float, start: int, stop: int) -> np.ndarray:
    return scaled(values.read(start, stop), scale)


def electrodes(section: Lfp, width: int) -> tuple[ChannelTable | None, tuple[int, ...]]:
    """The table of electrodes of `width` channels, and the channels that are marked as bad.

    Raises:
        DataError: the bands do not divide the channels, or the table has another number of rows.
    """
    if section.bands < 1 or width % section.bands:
        raise DataError(f"{section.values} has {width} columns, which is not a multiple of {section.bands} bands")
    channels = section.channels
    if not channels or isinstance(channels, str):
        return None, ()
    n = width // section.bands
    if len(channels) != n:
        per = f" with {section.bands} bands each" if section.bands > 1 else ""
        raise DataError(f"`lfp.channels` has {len(channels)} rows but {section.values} has {n} electrodes{per}")
    return table_of(channels), _bad(channels, section.bands)


def _bad(channels: tuple[Channel, ...], bands: int) -> tuple[int, ...]:
    electrodes = [i for i, channel in enumerate(channels) if channel.bad]
    return tuple(electrode * bands + band for electrode in electrodes for band in range(bands))


def behavior_trace(root: Node, section: Behavior, bin_s: float | None) -> Trace:
    """The trace of a section.

    Args:
        bin_s: width of the file's bins in seconds.

    Raises:
        DataError: the file does not hold what the section describes.
    """
    described = Described(section)
    node = find(root, section.values)
    found = matrix(node, described)
    names, units = column_words(node, described, found.shape)
    values = found.read(0, found.shape[0]).astype(np.float64)
    n, span = len(values), None
    if section.times:
        times = _stamps(root, section, described, found)
    elif section.rate_hz:
        times = section.start_s + np.arange(n) / section.rate_hz
    else:
        bin_s = check_width(bin_s, described.path, described.name)
        times, span = (np.arange(n) + 0.5) * bin_s, (0.0, n * bin_s)
    return Trace(times=times, values=values, names=names, units=units, span=span, processing=section)


def _stamps(root: Node, section: Lfp | Behavior, described: Described, values: Matrix) -> np.ndarray:
    """(samples,) time stamps in seconds."""
    assert section.times is not None
    stamps = vector(find(root, section.times), "time stamps").astype(np.float64)
    n, width = values.shape
    if len(stamps) != n:
        if len(stamps) == width:
            raise DataError(f"{described.turned(values.shape)} ({section.times} has {width} time stamps)")
        raise DataError(
            f"{described.path} has {n} samples but {section.times} has {len(stamps)} time stamps; one for each sample "
            "is needed"
        )
    return stamps * seconds_per_unit(section.time_unit, section.rate_hz)


def column_words(node: Node, described: Described, shape: tuple[int, int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units of the columns of behavior.

    Without `names`, a vector has the name of its variable, and other columns are named behavior_0, behavior_1.

    Raises:
        DataError: there are more or fewer of them than columns.
    """
    section = described.section
    assert isinstance(section, Behavior)
    n, width = shape
    names, units = section.names, section.units
    if section.names_attribute:
        names = _attribute(node, section.names_attribute)
    if section.units_attribute:
        units = _attribute(node, section.units_attribute)
    own = section.values.rsplit("/", 1)[-1]
    default = (own,) if width == 1 and "*" not in own else tuple(f"behavior_{i}" for i in range(width))
    names, units = names or default, units or ("",) * width
    for what, words in (("names", names), ("units", units)):
        if len(words) != width:
            if len(words) == n:
                raise DataError(f"{described.turned(shape)} (there are {n} {what}: {', '.join(words)})")
            raise DataError(f"{described.path} has {width} columns but {len(words)} {what}: {', '.join(words)}")
    return names, units


def _attribute(node: Node, name: str) -> tuple[str, ...]:
    attributes = node.attributes()
    if attributes is None:
        raise DataError(
            f'{node.path} has no attribute "{name}": only HDF5 files have attributes; give the names or units directly'
        )
    if name not in attributes:
        raise DataError(f'{node.path} has no attribute "{name}"{suggest(name, attributes)}')
    return attributes[name]


def check_lengths(binned: list[Binned]) -> int | None:
    """The number of bins of the file, on which all arrays with one row per bin agree; None if there are none.

    Raises:
        DataError: they differ; the message says which of them lies the other way round, if one does.
    """
    lengths = [array.shape[0] for array in binned]
    if len(set(lengths)) <= 1:
        return lengths[0] if lengths else None
    for array in binned:
        others = [other for other in binned if other is not array]
        if array.described is not None and {other.shape[0] for other in others} == {array.shape[1]}:
            told = ", ".join(f"{other.path} has {other.shape[0]}" for other in others)
            raise DataError(f"{array.described.turned(array.shape)} ({told} bins)")
    rows = ", ".join(f"{array.path} {array.shape[0]}" for array in binned)
    raise DataError(f"arrays with one value per bin differ in length: {rows}; is one of them transposed?")


def bins_per_bin(bin_s: float | None, width_s: float) -> int:
    """How many bins of the file, of `bin_s` seconds, one bin of the session holds.

    Raises:
        DataError: it is not a whole number.
    """
    ratio = 1.0 if bin_s is None else width_s / bin_s
    if ratio < 1 - 1e-9 or abs(ratio - round(ratio)) > 1e-6 * ratio:
        raise DataError(
            f"bins of {width_s * 1000:g} ms cannot be made of the file's bins of {(bin_s or 0) * 1000:g} ms; set "
            "`ingest.bin_width_ms` to a whole multiple of them"
        )
    return round(ratio)


def check_duration(signal: Signal, section: Lfp, seconds: float, bin_s: float) -> None:
    """Raise DataError if sampled LFP ends before or after the bins do, `seconds` from the start."""
    _, stop = signal.covers
    if abs(stop - seconds) <= bin_s:
        return
    shape = (signal.n_samples, signal.n_channels)
    if abs(section.start_s + signal.n_channels / signal.rate_hz - seconds) <= bin_s:
        described = Described(section)
        raise DataError(f"{described.turned(shape)} (the bins end at {seconds:.3f} s)")
    raise DataError(
        f"{section.values} ends at {stop:.3f} s ({signal.n_samples} samples at {signal.rate_hz:g} Hz) but the bins end "
        f"at {seconds:.3f} s; check `lfp.rate_hz` and `lfp.transpose`, or use a part of both with `interval`"
    )


def taken(
    spikes: SpikeTrains | Counts | None, options: ArrayOptions, lfp: tuple[Signal, ...], behavior: tuple[Trace, ...]
) -> tuple[str, ...]:
    """What was read from where, for `Raw.taken`."""
    words = []
    if spikes is not None and options.spikes is not None:
        n = len(spikes.times) if isinstance(spikes, SpikeTrains) else spikes.values.shape[1]
        words.append(f"{counted(n, 'unit')} from {options.spikes.counts or options.spikes.times}")
    for signal, section in zip(lfp, options.lfp, strict=True):
        plural = "s" * (signal.n_channels != 1)
        words.append(f"LFP of {signal.n_channels} channel{plural} from {section.values}")
    for trace, column in zip(behavior, options.behavior, strict=True):
        words.append(f"behavior {', '.join(trace.names)} from {column.values}")
    return tuple(words)
