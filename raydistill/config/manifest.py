"""The manifest: a YAML file that describes recordings and where they are (docs/bring-your-own-data.md)."""

from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Any, Literal

from raydistill.config.load import Overrides
from raydistill.config.recordings import IngestConfig
from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Spikes:
    """Spikes in a file of arrays: `counts` per bin, or `times`."""

    counts: str | None = None
    """Path of a (bins, units) matrix of spike counts."""
    times: str | None = None
    """Path of a list with the spike times of each unit, or of one vector with all spike times (then `unit_ids`)."""
    unit_ids: str | None = None
    """Path of a vector with the unit of each entry of `times`."""
    rate_hz: float | None = None
    """If given, `times` are sample numbers at this rate; otherwise they are seconds."""
    transpose: bool = False
    """Set this if the counts are stored as (units, bins)."""

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
    """Sampling rate; if it is missing, there is one sample per bin."""
    start_s: float = 0.0
    """Time of the first sample in seconds."""
    scale: float = 1.0
    """Factor to physical units."""
    bands: int = 1
    """Features per electrode, such as band powers. The features of one electrode are adjacent columns."""
    transpose: bool = False
    """Set this if the matrix is stored as (channels, samples)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Behavior:
    """Behavior: its columns, their names, and how they are processed."""

    values: str = "auto"
    """Path of a (samples, columns) matrix, or of a series in an NWB file; auto (NWB): the only series under
    processing/behavior, or the only one named velocity."""
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    names_attribute: str | None = None
    """HDF5 attribute of the matrix that holds the names."""
    units_attribute: str | None = None
    """HDF5 attribute of the matrix that holds the units."""
    times: str | None = None
    """Path of a vector with the time stamp of each sample in seconds."""
    rate_hz: float | None = None
    """Sampling rate; if both it and `times` are missing, there is one sample per bin."""
    start_s: float = 0.0
    """Time of the first sample in seconds, if `rate_hz` is given."""
    transpose: bool = False
    """Set this if the matrix is stored as (columns, samples)."""
    max_speed: float | None = None
    """A sample that could be reached only faster than this (behavior unit per second) counts as lost tracking."""
    smooth_s: float | None = None
    """Standard deviation in seconds of the Gaussian that smooths the samples before anything is derived from them."""
    derive: Literal["velocity"] | None = None
    """Differentiate every column. The result replaces the column, unless `columns` asks for both."""
    columns: tuple[str, ...] = ()
    """Names of the columns to keep, in this order; empty: all."""

    def __post_init__(self):
        if self.times and self.rate_hz:
            raise ConfigError("give `times` or `rate_hz`, not both")
        for what in ("names", "units"):
            if getattr(self, what) and getattr(self, f"{what}_attribute"):
                raise ConfigError(f"give `{what}` or `{what}_attribute`, not both")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trials:
    """Trials in a file of arrays. For an NWB file, the name of its table is enough."""

    labels: str | None = None
    """Path of a vector with the trial number of each bin, negative outside trials."""
    start_s: str | None = None
    """Path of a vector with the start of each trial in seconds; needs `stop_s` as well."""
    stop_s: str | None = None
    start_where_zero: tuple[str, ...] = ()
    """A trial starts at each bin in which these behavior columns are exactly 0."""

    def __post_init__(self):
        if sum(map(bool, (self.labels, self.start_s, self.start_where_zero))) != 1:
            raise ConfigError("give one of `labels`, `start_s` with `stop_s`, or `start_where_zero`")
        if bool(self.start_s) != bool(self.stop_s):
            raise ConfigError("give both `start_s` and `stop_s`")


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """The part of a recording to use: from `start_s` to `stop_s`, or a row of an interval table (NWB)."""

    start_s: float | None = None
    stop_s: float | None = None
    table: str | None = None
    """Name of the table, such as epochs."""
    column: str = "tags"
    """Column of the table in which `value` is searched."""
    value: str | None = None
    """Use the row whose `column` holds this value."""
    index: int | None = None
    """Which of several such rows to use, from 0."""

    def __post_init__(self):
        if (self.table is None) == (self.start_s is None and self.stop_s is None):
            raise ConfigError("give either `start_s`/`stop_s` or a `table`")

    @property
    def seconds(self) -> tuple[float, float]:
        """Start and stop in seconds; infinite where one is not given."""
        return -inf if self.start_s is None else self.start_s, inf if self.stop_s is None else self.stop_s


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitFilter:
    """Which rows of an NWB file's units table are used. If the table has no such column, all rows are used."""

    column: str = "quality"
    keep: tuple[str, ...] = ("sorted", "good")


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionEntry:
    """One recording of a manifest. `auto`: the only candidate in an NWB file; null: leave the modality out."""

    file: str
    """Name of the file relative to the folder, or the https:// or s3:// URI of an NWB file."""
    name: str | None = None
    """Name of the session; default: the name of the file without its suffix."""
    subject: str | None = None
    """Default for NWB: the subject named in the file, or else the name of the session."""
    dataset: str = ""
    task: str = ""
    region: str = ""
    bin_width_ms: float | None = None
    """Set this if the arrays of this file are already binned at this width."""
    spikes: str | Spikes | None = "auto"
    """A string is the path of a counts matrix."""
    lfp: str | Lfp | None = "auto"
    """A string is the path of a matrix with one sample per bin, or of an NWB series."""
    behavior: str | Behavior | None = "auto"
    """A string is the path of a matrix with one sample per bin, or of an NWB series."""
    trials: str | Trials | None = None
    """A string is the path of labels per bin, or the name of an NWB table."""
    interval: Interval | None = None
    unit_filter: UnitFilter | None = field(default_factory=UnitFilter)
    """NWB only; null uses all units."""
    ingest: Annotated[dict[str, Any], Overrides(IngestConfig)] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A YAML manifest: recordings of one folder and the values that they share."""

    folder: str | None = None
    """Folder of the files, relative to the manifest; default: the folder of the manifest."""
    ingest: Annotated[dict[str, Any], Overrides(IngestConfig)] = field(default_factory=dict)
    defaults: Annotated[dict[str, Any], Overrides(SessionEntry)] = field(default_factory=dict)
    """Values for every session that does not set its own; a section is replaced as a whole."""
    sessions: tuple[Annotated[dict[str, Any], Overrides(SessionEntry)], ...]
