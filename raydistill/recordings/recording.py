"""A planned recording, and the layout of files by which it is found and read."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from raydistill.config.manifest import SessionEntry
from raydistill.config.recordings import IngestConfig
from raydistill.files import size_of
from raydistill.recordings.raw import Raw
from raydistill.recordings.remote import Remote

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of a layout that has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Addition:
    """Signals of a recording that are in another file, or on another clock, than those of the main file."""

    path: Path | Remote
    layout: str
    """A key of `layouts.LAYOUTS`."""
    options: Any
    companions: tuple[str, ...] = ()
    """Further files that are read with it, relative to its folder."""
    offset_s: float = 0.0
    """Seconds added to the times of these signals, after `time_scale`."""
    time_scale: float = 1.0
    lfp_places: tuple[int, ...] = ()
    """Position of each series of LFP among those of the session, in the order in which the user lists them."""
    behavior_places: tuple[int, ...] = ()
    """Position of each trace of behavior among those of the session."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingSource(Generic[Options]):
    """Which part of which files a recording is, and how its layout's reader reads them."""

    layout: str
    """A key of `layouts.LAYOUTS`."""
    options: Options
    """The options of this layout that a user can set; each reader defines a dataclass for them."""
    companions: tuple[str, ...] = ()
    """Further files of the recording, relative to the folder of its main file. If the main file is a folder, and these
    are in it, no other files of that folder are read."""
    part: str | None = None
    """Which session of a file that holds several."""
    subject: str | None = None
    """None: the subject named in the file, or else the name of the session."""
    dataset: str = ""
    task: str = ""
    region: str = ""
    pieces: Literal["auto", "trials", "none"] = "auto"
    """See `config.manifest.SessionEntry.pieces`."""
    additions: tuple[Addition, ...] = ()
    """Signals from other files or on other clocks."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A planned session: one main file, how to read it, and how to preprocess it."""

    name: str
    path: Path | Remote
    source: RecordingSource[Any]
    config: IngestConfig
    chosen: tuple[str, ...] = ()
    """Paths of the values of `config` that the user set, such as "splits.segment_s"."""
    links: tuple[Path, ...] = ()
    """Files and folders that its HDF5 files may link to, besides those next to and below each of them."""

    @property
    def files(self) -> list[Path | Remote]:
        """See `read_files`."""
        return read_files(self.path, self.source)

    def absolute(self) -> "Recording":
        """The same recording, with absolute paths, for processes that have other working directories."""
        additions = tuple(dataclasses.replace(a, path=a.path.absolute()) for a in self.source.additions)
        source = dataclasses.replace(self.source, additions=additions)
        links = tuple(place.absolute() for place in self.links)
        return dataclasses.replace(self, path=self.path.absolute(), source=source, links=links)


def read_files(path: Path | Remote, source: RecordingSource) -> list[Path | Remote]:
    """All that is read, each once: first the main file and its companions, then the files of the additions.

    A folder of which only some files are read is represented by these, any other folder by itself.
    """
    files = files_of(path, source.companions)
    for addition in source.additions:
        files += files_of(addition.path, addition.companions)
    return list(dict.fromkeys(files))


def files_of(path: Path | Remote, companions: tuple[str, ...]) -> list[Path | Remote]:
    """A file and its companions, or the files of a folder that are read, or the folder if all of them are."""
    if not isinstance(path, Path):
        return [path]
    others: list[Path | Remote] = [path.parent / name for name in companions]
    return others if any(name.startswith(f"{path.name}/") for name in companions) else [path, *others]


def local_bytes(paths: Iterable[Path | Remote]) -> int:
    """Bytes of files and of what is in folders; what is not there, or on a server, counts as empty."""
    return sum(size_of(path) for path in paths if isinstance(path, Path) and path.exists())


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the files of one kind of recording are found and read. `layouts.LAYOUTS` holds one per reader."""

    name: str
    """The word for it on the command line."""
    title: str
    """The row of docs/datasets.md for this layout begins with this title, then `files`, then `sessions`."""
    files: str
    """How its files are named."""
    sessions: str = "the name of the file"
    """How its sessions are named."""
    open: Callable[[Any, RecordingSource[Any], float], AbstractContextManager[Raw]]
    """open(path, source, bin_width_ms): a context manager that yields a `Raw`, whose LFP is read inside the context.

    `bin_width_ms` is the width of the session's bins. A path on a server (`Remote`) reaches only layouts whose
    `endings` contain ".nwb". Raises DataError if the file is damaged or does not hold what `source` describes."""
    options: type = NoOptions
    """Dataclass of `RecordingSource.options`; every field needs a default."""
    config: IngestConfig = field(default_factory=IngestConfig)
    """How recordings that were found in a folder are preprocessed by default (docs/methods.md, Data and
    preprocessing)."""
    by_protocol: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Protocol -> values of `ingest` that differ from `config` under it, unless they are given."""
    find: Callable[[Path], list[Recording]] | None = None
    """The recordings anywhere in a folder, with the default options and `config`; None: folders are not searched."""
    endings: tuple[str, ...] = ()
    """Suffixes of the files that a manifest may name; empty: manifests do not describe this layout."""
    describe: Callable[[SessionEntry], Any] | None = None
    """The options for a manifest's entry, with ConfigError for keys that do not apply. Goes with `endings`. Of an entry
    with several files, each layout gets the signals in its own file, and None or () for the others."""
    describes_itself: bool = False
    """Its files state the subject and what they hold, so that the name of a file is enough."""
    finds_signals: bool = False
    """Its files state what they hold, though not the subject, so that a manifest need not describe the signals."""
    takes_folder: Callable[[Path], bool] | None = None
    """Whether a folder is one recording of this kind; None: only files are."""
    members: Callable[[Path], tuple[str, ...]] | None = None
    """The files that are read when a manifest names a file or folder, relative to the folder in which it is; None: that
    file or folder as a whole."""
    has_bins: bool = False
    """Its files can hold arrays with one value per bin, so that `bin_width_ms` applies to them."""


def default_name(path: Path | Remote) -> str:
    """The name of a session from that of its file, without the suffix of the format."""
    is_plain_folder = isinstance(path, Path) and path.is_dir() and path.suffix.lower() != ".zarr"
    return as_name(path.name if is_plain_folder else path.stem.removesuffix(".nwb"))


def as_name(text: str) -> str:
    """`text` with every character that a session or subject name must not contain replaced by `_`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".")[:80] or "_"
