"""What to read and how: a manifest in YAML, or NWB files that speak for themselves, as planned recordings.

Planning opens no recording. It finds what needs no data to be found: misspelt keys, options that the kind of
file does not have, two sessions of one name, names that cannot be folders.
"""

import dataclasses
import re
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

from raydistill.config.load import Overrides, Where, build, override, read_yaml
from raydistill.config.recordings import IngestConfig
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.published import Published
from raydistill.recordings.readers import ENDINGS
from raydistill.recordings.remote import Remote, located
from raydistill.store.session import check_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Spikes:
    """Spikes in a file of arrays: `counts` per bin, or `times`."""

    counts: str | None = None
    """Path of a (bins, units) matrix of spike counts."""
    times: str | None = None
    """Path of a list with the spike times of each unit, or of one vector with all spike times (then `unit_ids`)."""
    unit_ids: str | None = None
    """Path of a vector that names the unit of each of the `times`."""
    rate_hz: float | None = None
    """The `times` are sample numbers of a clock of this rate; without it they are seconds."""
    transpose: bool = False
    """The counts lie as (units, bins)."""

    def __post_init__(self):
        if (self.counts is None) == (self.times is None):
            raise ConfigError("give either `counts` or `times`")
        if self.counts and (self.unit_ids or self.rate_hz):
            raise ConfigError("`unit_ids` and `rate_hz` belong to `times`, not to `counts`")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lfp:
    """LFP, or features of it, in a file of arrays."""

    values: str
    """Path of a (samples, channels) matrix."""
    rate_hz: float | None = None
    """Sampling rate; without it there is one sample a bin."""
    start_s: float = 0.0
    """Time of the first sample."""
    scale: float = 1.0
    """Factor to physical units."""
    bands: int = 1
    """Features of each electrode, such as band powers; they lie beside each other among the columns."""
    transpose: bool = False
    """The matrix lies as (channels, samples)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Behavior:
    """Behavior: which columns, what they are called, and what is derived from them."""

    values: str = "auto"
    """Path of a (samples, columns) matrix, or of a series in an NWB file; auto (NWB): the only series under
    processing/behavior, or the only one named velocity."""
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    names_attribute: str | None = None
    """HDF5 attribute of the matrix that holds the names."""
    units_attribute: str | None = None
    times: str | None = None
    """Path of a time stamp, in seconds, for each sample."""
    rate_hz: float | None = None
    """Sampling rate; without it and `times` there is one sample a bin."""
    start_s: float = 0.0
    """With `rate_hz`: the time of the first sample."""
    transpose: bool = False
    """The matrix lies as (columns, samples)."""
    max_speed: float | None = None
    """Samples that could only be reached faster than this (behavior unit per second) are lost tracking."""
    smooth_s: float | None = None
    """Standard deviation of a Gaussian that smooths the samples, before anything is derived from them."""
    derive: Literal["velocity"] | None = None
    """Differentiate every column; the result stands in its place unless `columns` asks for both."""
    columns: tuple[str, ...] = ()
    """Names of the columns to keep, in this order; none given: all."""

    def __post_init__(self):
        if self.times and self.rate_hz:
            raise ConfigError("give `times` or `rate_hz`, not both")
        for what in ("names", "units"):
            if getattr(self, what) and getattr(self, f"{what}_attribute"):
                raise ConfigError(f"give `{what}` or `{what}_attribute`, not both")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trials:
    """Trials in a file of arrays; an NWB file only needs the name of its table."""

    labels: str | None = None
    """Path of a vector with the trial number of each bin, negative outside of trials."""
    start_s: str | None = None
    """Path of the trials' starts in seconds; `stop_s` goes with it."""
    stop_s: str | None = None
    start_where_zero: tuple[str, ...] = ()
    """A trial begins at each bin where these behavior columns are exactly 0."""

    def __post_init__(self):
        if sum(map(bool, (self.labels, self.start_s, self.start_where_zero))) != 1:
            raise ConfigError("give one of `labels`, `start_s` with `stop_s`, or `start_where_zero`")
        if bool(self.start_s) != bool(self.stop_s):
            raise ConfigError("`start_s` and `stop_s` go together")


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """The part of a recording to take: from `start_s` to `stop_s`, or a row of an interval table (NWB)."""

    start_s: float | None = None
    stop_s: float | None = None
    table: str | None = None
    """Name of the table, such as epochs."""
    column: str = "tags"
    value: str | None = None
    """Take the row whose `column` holds this value."""
    index: int | None = None
    """Which of several such rows, from 0."""

    def __post_init__(self):
        if (self.table is None) == (self.start_s is None and self.stop_s is None):
            raise ConfigError("give either `start_s`/`stop_s` or a `table`")

    @property
    def seconds(self) -> tuple[float, float]:
        """Start and stop where they are given in seconds, open where one is missing."""
        return -inf if self.start_s is None else self.start_s, inf if self.stop_s is None else self.stop_s


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitFilter:
    """Which rows of an NWB file's units table are taken; a file without that column gives all its units."""

    column: str = "quality"
    keep: tuple[str, ...] = ("sorted", "good")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One recording of a manifest. `auto`: what an NWB file holds, if there is no choice; null: leave it out."""

    file: str
    """Name of the file relative to the folder, or the https:// or s3:// URI of an NWB file."""
    name: str | None = None
    """Name of the session; default: the file's, without its ending."""
    subject: str | None = None
    """Default for NWB: the file's subject, or else the session's name."""
    dataset: str = ""
    task: str = ""
    region: str = ""
    bin_width_ms: float | None = None
    """The arrays of this file are already binned at this width."""
    spikes: str | Spikes | None = "auto"
    """A word is the path of a counts matrix."""
    lfp: str | Lfp | None = "auto"
    """A word is the path of a matrix with one sample a bin, or of an NWB series."""
    behavior: str | Behavior | None = "auto"
    """A word is the path of a matrix with one sample a bin, or of an NWB series."""
    trials: str | Trials | None = None
    """A word is the path of labels per bin, or the name of an NWB table."""
    interval: Interval | None = None
    unit_filter: UnitFilter | None = field(default_factory=UnitFilter)
    """NWB only; null takes all units."""
    ingest: Annotated[dict[str, Any], Overrides(IngestConfig)] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A YAML manifest: recordings in one folder and what they have in common."""

    folder: str | None = None
    """Where the files lie, relative to the manifest; default: beside it."""
    ingest: Annotated[dict[str, Any], Overrides(IngestConfig)] = field(default_factory=dict)
    defaults: Annotated[dict[str, Any], Overrides(Source)] = field(default_factory=dict)
    """Values of every session that does not give its own; a section is replaced as a whole."""
    sessions: tuple[Annotated[dict[str, Any], Overrides(Source)], ...]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A planned session: one file, how to read it, how to preprocess it."""

    name: str
    path: Path | Remote
    source: Source | Published
    config: IngestConfig


def described(source: Path | Remote, folder: Path | None = None, overrides=()) -> list[Recording]:
    """The recordings of a manifest or of an NWB file.

    Args:
        source: path of a .yaml manifest, or path or URI of an NWB file.
        folder: where a manifest's files lie, if not where it says itself.
        overrides: "path=value" strings on the manifest's keys, such as "ingest.bin_width_ms=20"; without a
            manifest they apply to the one that the NWB files amount to.
    Raises:
        ConfigError, DataError: `source` is nothing to read, or says something that cannot be meant.
    """
    if source.suffix.lower() in (".yaml", ".yml"):
        return _planned(read_yaml(source), source, folder, overrides)
    if folder is not None:
        raise ConfigError(f"{source}: --folder is for the files of a manifest; other files are named directly")
    return _planned({"sessions": [{"file": _nwb_file(source)}]}, source, Path(), overrides)


def nwb_recordings(folder: Path, overrides=(), apart=frozenset()) -> list[Recording]:
    """The NWB 2 files anywhere in a folder, apart from those that belong to other recordings."""
    there = (p for p in folder.rglob("[!.]*") if p.suffix.lower() == ".nwb" and p.is_file())
    files = sorted(p for p in there if p not in apart)
    tree = {"sessions": [{"file": str(path)} for path in files]}
    return _planned(tree, folder, Path(), overrides) if files else []


def _planned(tree: dict, source: Path, base: Path | None, overrides) -> list[Recording]:
    """The recordings that a manifest's tree describes; files lie in `base`, or where the manifest says."""
    for text in overrides:
        override(tree, text)
    where = Where(str(source))
    manifest = build(Manifest, tree, where)
    if not manifest.sessions:
        raise where.error("`sessions` is empty: name at least one recording")
    base = source.parent / (manifest.folder or "") if base is None else base
    items = tree["sessions"] if isinstance(tree["sessions"], list) else [tree["sessions"]]
    places = [where.down(tree, "sessions").down(items, i) for i in range(len(items))]
    planned = [_recording(manifest, own, base, at) for own, at in zip(manifest.sessions, places, strict=True)]
    _refuse_same_names(planned, places)
    return planned


def _nwb_file(source: Path | Remote) -> str:
    """What a manifest would call this file."""
    if isinstance(source, Remote):
        return source.uri
    if not source.exists():
        raise DataError(f"{source}: no such file or folder; give a manifest (.yaml), a .nwb file or a folder of them")
    if source.suffix.lower() != ".nwb":
        raise ConfigError(
            f"{source}: only .nwb files can be read without a manifest; describe this one in a .yaml manifest "
            "(docs/bring-your-own-data.md)"
        )
    return str(source)


def _recording(manifest: Manifest, own: dict, base: Path, place: Where) -> Recording:
    values = {**manifest.defaults, **own}
    if "file" not in values:
        raise place.error("a session lacks `file`")
    source = Source(**values)
    path = located(base, source.file)
    if path.suffix.lower() not in ENDINGS:
        raise place.error(f"`file` ends in {path.suffix!r}; a recording ends in one of {', '.join(ENDINGS)}")
    name = source.name if source.name is not None else file_name_as_session(path)
    try:
        _check_kind(source, is_nwb=path.suffix.lower() == ".nwb")
        config = _config(manifest, source)
        check_name(name)
        if source.subject is not None:
            check_name(source.subject, "subject")
    except ConfigError as err:
        raise place.error(f"session {name}: {err}") from None
    except DataError as err:
        raise place.error(str(err)) from None
    return Recording(name=name, path=path, source=source, config=config)


def _config(manifest: Manifest, source: Source) -> IngestConfig:
    """The manifest's ingest section with the session's own values and the width of the file's bins."""
    values = {**manifest.ingest, **source.ingest}
    if source.bin_width_ms is not None:
        asked = values.setdefault("bin_width_ms", source.bin_width_ms)
        if asked != source.bin_width_ms:
            raise ConfigError(
                f"`ingest.bin_width_ms` is {asked:g} but the file's bins are {source.bin_width_ms:g} ms wide; "
                "bins of a file are taken as they are"
            )
    return IngestConfig(**values)


def _check_kind(source: Source, is_nwb: bool):
    """Options of the other kind of file are mistakes, not noise."""
    if is_nwb:
        wrong = [k for k in ("spikes", "lfp", "trials") if not isinstance(getattr(source, k), str | None)]
        wrong += ["bin_width_ms"] if source.bin_width_ms is not None else []
        if isinstance(source.behavior, Behavior):
            own = {"values", "max_speed", "smooth_s", "derive", "columns"}
            wrong += [f"behavior.{k}" for k in _given(source.behavior) if k not in own]
        if wrong:
            raise ConfigError(f"`{wrong[0]}` describes a file of arrays; of an NWB file give the series' path only")
        if source.spikes not in ("auto", None):
            raise ConfigError("`spikes` of an NWB file are its units table: leave `spikes` out, or null for none")
        return
    if source.subject is None:
        raise ConfigError("give its `subject`: a file of arrays does not name it")
    if source.spikes in ("auto", None) and source.lfp in ("auto", None):
        raise ConfigError("give the path of `spikes` or `lfp`, or both")
    if isinstance(source.behavior, Behavior) and source.behavior.values == "auto":
        raise ConfigError("give the path of the behavior as `behavior.values`")
    if source.interval is not None and source.interval.table:
        raise ConfigError("`interval.table` belongs to NWB files; give `start_s` and `stop_s`")
    if source.unit_filter != UnitFilter():
        raise ConfigError("`unit_filter` belongs to NWB files; use `ingest.drop_units`")


def _given(options):
    """Names of the fields that differ from their defaults."""
    return [f.name for f in dataclasses.fields(options) if getattr(options, f.name) != f.default]


def _refuse_same_names(planned: list[Recording], places: list[Where]):
    seen = {}
    for recording, place in zip(planned, places, strict=True):
        if recording.name in seen:
            other, there = seen[recording.name]
            first = f" (line {there.line})" if there.line else ""
            raise place.error(
                f"two sessions are named {recording.name}: {other.path}{first} and {recording.path}; "
                "give one of them another `name`"
            )
        seen[recording.name] = recording, place


def file_name_as_session(path: Path | Remote) -> str:
    """The file's name without its ending, as a word that can name a session."""
    return as_name(path.stem)


def as_name(text: str) -> str:
    """`text` with everything that a session or subject name may not hold replaced by `_`."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".")[:80] or "_"
