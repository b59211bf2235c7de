"""A planned recording, and the layout of files by which it is found and read."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from raydistill.config.manifest import Behavior, SessionEntry
from raydistill.config.recordings import IngestConfig
from raydistill.recordings.raw import Raw
from raydistill.recordings.remote import Remote

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of a layout that has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordingSource(Generic[Options]):
    """Which part of which files a recording is, and how its layout's reader reads them."""

    layout: str
    """A key of `layouts.LAYOUTS`."""
    options: Options
    """The options of this layout that a user can set; each reader defines a dataclass for them."""
    companions: tuple[str, ...] = ()
    """Further files of the recording, relative to the folder of its main file."""
    part: str | None = None
    """Which session of a file that holds several."""
    subject: str | None = None
    """None: the subject named in the file, or else the name of the session."""
    dataset: str = ""
    task: str = ""
    region: str = ""
    behavior: Behavior = field(default_factory=Behavior)
    """How the behavior that the reader returns is processed: `max_speed`, `smooth_s`, `derive`, `columns`."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A planned session: one main file, how to read it, and how to preprocess it."""

    name: str
    path: Path | Remote
    source: RecordingSource[Any]
    config: IngestConfig

    @property
    def files(self) -> list[Path | Remote]:
        """The main file and its companions."""
        if isinstance(self.path, Remote):
            return [self.path]
        return [self.path, *(self.path.parent / name for name in self.source.companions)]


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
    find: Callable[[Path], list[Recording]] | None = None
    """The recordings anywhere in a folder, with the default options and `config`; None: folders are not searched."""
    endings: tuple[str, ...] = ()
    """Suffixes of the files that a manifest may name; empty: manifests do not describe this layout."""
    describe: Callable[[SessionEntry], Any] | None = None
    """The options for a manifest's entry, with ConfigError for keys that do not apply. Goes with `endings`."""


def as_name(text: str) -> str:
    """`text` with every character that a session or subject name must not contain replaced by `_`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".")[:80] or "_"
