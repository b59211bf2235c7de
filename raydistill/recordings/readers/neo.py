"""Raw files of recording systems, read by the optional package neo: Blackrock, Plexon, Spike2, Intan and others.

Streams of signals become LFP, and the spikes that were detected while recording become units. A pause in the recording
is a gap. neo_signals.py turns what neo returns into a `Raw`.
"""

import importlib
import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raydistill.config.manifest import Interval, Lfp, SessionEntry, Spikes, UnitFilter
from raydistill.errors import ConfigError, DataError, of_library, one_line
from raydistill.recordings.raw import Raw
from raydistill.recordings.readers.neo_signals import lfp_of, pieces_of, units_of
from raydistill.recordings.recording import Layout, RecordingSource

_BLACKROCK = tuple(f".ns{number}" for number in range(1, 7))
_CLASSES = {  # suffix -> class of neo.rawio
    ".nev": "BlackrockRawIO",
    **dict.fromkeys(_BLACKROCK, "BlackrockRawIO"),
    ".plx": "PlexonRawIO",
    ".smr": "Spike2RawIO",
    ".smrx": "CedRawIO",
    ".rhd": "IntanRawIO",
    ".rhs": "IntanRawIO",
}
_FOLDERS = {  # a file by which a folder is known -> class of neo.rawio
    "*.ncs": "NeuralynxRawIO",
    "*.tsq": "TdtRawIO",
    "*.continuous": "OpenEphysRawIO",
    "*.meta": "SpikeGLXRawIO",
    "*/*.meta": "SpikeGLXRawIO",
    **{"/".join([*["*"] * depth, "structure.oebin"]): "OpenEphysBinaryRawIO" for depth in range(5)},
}
_SPLIT_INTAN = ("info.rhd", "info.rhs")  # whose signals are in further files of the folder
_OPTIONS: dict[str, Any] = {"gap_tolerance_ms": 1.0, "progress_bar": False}  # of the classes that have them
_CLOCK_KEYS = {"file", "offset_s", "time_scale"}


@dataclass(frozen=True, kw_only=True, slots=True)
class NeoOptions:
    """Which signals of a raw file are used."""

    spikes: Spikes | None = field(default_factory=Spikes)
    """None: leave spikes out."""
    lfp: tuple[Lfp, ...] | None = None
    """Their `values` are names or ids of streams. None: the only stream with the rate of LFP; empty: leave LFP out."""
    unit_filter: UnitFilter | None = None
    """None: all units but those that were marked as noise."""
    intervals: tuple[Interval, ...] = ()


def describe(entry: SessionEntry) -> NeoOptions:
    """The options for a manifest's entry.

    Raises:
        ConfigError: the entry has keys that do not apply to raw files.
    """
    if entry.behavior_sections or entry.trials is not None or entry.labels:
        word = "behavior" if entry.behavior_sections else "trials" if entry.trials is not None else "labels"
        raise ConfigError(f"`{word}` is not read from raw files of a recording system; name its file in its section")
    if isinstance(entry.spikes, str) and entry.spikes != "auto":
        raise ConfigError("`spikes` of a raw file has no path: leave it out, or set it to null")
    if any(interval.table for interval in entry.intervals):
        raise ConfigError("`interval.table` belongs to NWB files; give `start_s` and `stop_s`")
    spikes = Spikes() if isinstance(entry.spikes, str) else entry.spikes
    if spikes is not None:
        _check_keys("spikes", spikes, Spikes(), set())
    for section in entry.lfp_sections or ():
        _check_keys("lfp", section, Lfp(), {"values", "scale", "channels"})
    return NeoOptions(spikes=spikes, lfp=entry.lfp_sections, unit_filter=entry.unit_filter, intervals=entry.intervals)


def _check_keys(name: str, section: Spikes | Lfp, default: Spikes | Lfp, keys: set[str]) -> None:
    for key in section.__dataclass_fields__:
        if getattr(section, key) != getattr(default, key) and key not in keys | _CLOCK_KEYS:
            raise ConfigError(f"`{name}.{key}` does not apply to raw files of a recording system")


def takes_folder(path: Path) -> bool:
    """Whether a folder is a recording of a system that writes folders."""
    return _folder_class(path) is not None


def members(path: Path) -> tuple[str, ...]:
    """The files that are read when this one is named; empty: this file or folder only."""
    if path.is_dir():
        return ()
    if path.name in _SPLIT_INTAN:
        return tuple(file.name for file in sorted(path.parent.glob("*.dat")))
    if _CLASSES[path.suffix.lower()] != "BlackrockRawIO":
        return ()
    suffixes = _BLACKROCK if path.suffix == ".nev" else (".nev",)
    return tuple(path.with_suffix(suffix).name for suffix in suffixes if path.with_suffix(suffix).is_file())


@contextmanager
def open_raw(path: Path, source: RecordingSource[NeoOptions], bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of a raw file; signals are read in slices while the context is open.

    Raises:
        DataError: neo is not installed or cannot read the file, or it does not hold what `source.options` names.
    """
    options = source.options
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        rawio = _opened(path)
        try:
            segments = pieces_of(rawio)
            spikes, taken, notes = units_of(rawio, segments, options.unit_filter) if options.spikes else (None, (), ())
            signals, taken_lfp, notes_lfp = lfp_of(rawio, segments, options.lfp)
        except DataError as err:
            raise DataError(f"{path.name}: {err}") from err
        except Exception as err:
            raise DataError(f"{path.name}: neo cannot read its signals ({of_library(err)})") from err
    told = dict.fromkeys(f"neo: {one_line(w.message)}" for w in warned if w.category is UserWarning)  # type: ignore[arg-type]
    yield Raw(
        spikes=spikes,
        lfp=signals,
        pieces=segments if len(segments) > 1 else None,
        windows=tuple(interval.seconds for interval in options.intervals),
        taken=tuple(f"{text} of {path.name}" for text in (*taken, *taken_lfp)),
        notes=(*notes, *notes_lfp, *told),
    )


def _opened(path: Path) -> Any:
    """The reader of neo, with the headers read."""
    try:
        rawio_module = importlib.import_module("neo.rawio")
    except ImportError:
        raise DataError(
            f"{path.name}: raw files of recording systems need a further package: pip install 'raydistill[neo]'"
        ) from None
    name = _folder_class(path) if path.is_dir() else _CLASSES[path.suffix.lower()]
    reader = getattr(rawio_module, name or "")
    known = inspect.signature(reader.__init__).parameters
    options = {key: value for key, value in _OPTIONS.items() if key in known}
    if path.suffix.lower() in _BLACKROCK:
        options["nsx_to_load"] = int(path.suffix[-1])
    place = "dirname" if "dirname" in known and path.is_dir() else "filename"
    try:
        rawio = reader(**{place: str(path)}, **options)
        rawio.parse_header()
    except Exception as err:
        raise DataError(f"{path}: neo cannot read it as {name.removesuffix('RawIO')} ({of_library(err)})") from err  # type: ignore[union-attr]
    return rawio


def _folder_class(path: Path) -> str | None:
    fitting = (name for pattern, name in _FOLDERS.items() if next(path.glob(pattern), None))
    return next(fitting, None)


LAYOUT = Layout(
    name="neo",
    title="raw files of recording systems, through [neo](https://neo.readthedocs.io)",
    files="`*.nev`, `*.ns1` to `*.ns6`, `*.plx`, `*.smr`, `*.smrx`, `*.rhd`, `*.rhs`, and folders of Neuralynx, TDT, "
    "SpikeGLX and Open Ephys, named in a [manifest](bring-your-own-data.md)",
    sessions="`name` in the manifest, or the name of the file or folder",
    open=open_raw,
    options=NeoOptions,
    endings=tuple(_CLASSES),
    describe=describe,
    finds_signals=True,
    takes_folder=takes_folder,
    members=members,
)
