"""The manifest: a YAML file that describes recordings and where they are (docs/bring-your-own-data.md)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Any, Literal

from raydistill.config.load import MAY_BE_EMPTY, Overrides
from raydistill.config.numbers import (
    AnyNumber,
    Count,
    CountOrZero,
    Duration,
    Factor,
    Hertz,
    Micrometres,
    Positive,
    Seconds,
    check_limits,
)
from raydistill.config.recordings import BinWidth, IngestConfig
from raydistill.errors import ConfigError

TimeUnit = Literal["s", "ms", "us", "samples"]
CellValue = bool | AnyNumber | Annotated[str, MAY_BE_EMPTY]
"""A value in a column of a table."""
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}

Axis = Literal["trials", "time", "units", "channels", "columns"]
"""A dimension of an array; units, channels and columns are words for the dimension that is neither of the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FromFile:
    """Where a signal is, and how its clock relates to that of the session."""

    file: str | None = None
    """The file of this signal, if it is not the `file` of the session."""
    offset_s: Seconds = 0.0
    """Seconds added to the times of this signal, after `time_scale`."""
    time_scale: Positive = 1.0
    """Seconds of the session per second of this signal's clock, for clocks of different speed."""
    time_unit: TimeUnit = "s"
    """Unit of the time stamps; `samples` needs `rate_hz`."""

    def _check_clock(self, rate_hz: float | None) -> None:
        check_limits(self)
        if self.time_unit == "samples" and not rate_hz:
            raise ConfigError("`time_unit: samples` needs the `rate_hz` of these samples")

    def _check_samples(self, times: str | None, rate_hz: float | None, start_s: float) -> None:
        """Raise ConfigError for settings of a sampled signal that contradict each other, or would have no effect."""
        if times and rate_hz and self.time_unit != "samples":
            raise ConfigError("give `times` or `rate_hz`, not both")
        if start_s and (times or not rate_hz):
            instead = "the time stamps say when samples were taken" if times else "without it, bin 0 begins at 0 s"
            raise ConfigError(f"`start_s` applies to samples at `rate_hz`; {instead}; `offset_s` moves a clock")
        self._check_clock(rate_hz)


def seconds_per_unit(time_unit: TimeUnit, rate_hz: float | None = None) -> float:
    """Seconds per unit of a time stamp; `samples` are at `rate_hz`."""
    return 1 / rate_hz if time_unit == "samples" and rate_hz else _SECONDS[time_unit]


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """A row of `channels`: the electrode of an LFP channel or of a unit."""

    electrode: str = ""
    array: str = ""
    """Array, probe or shank."""
    region: str = ""
    x_um: Micrometres | None = None
    """Position in micrometres."""
    y_um: Micrometres | None = None
    z_um: Micrometres | None = None
    bad: bool = False
    """Leave the channel or unit out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spikes(FromFile):
    """Spikes: `counts` per bin or `times` in a file of arrays, or the `table` of units in an NWB file."""

    counts: str | None = None
    """Path of a (bins, units) matrix of spike counts."""
    times: str | None = None
    """Path of a list with the spike times of each unit, of a vector with those of one unit, or of one vector with all
    spike times (then `unit_ids`)."""
    unit_ids: str | None = None
    """Path of a vector with the unit of each entry of `times`."""
    table: str | None = None
    """NWB: path of the table of units, if it is not `units`."""
    rate_hz: Hertz | None = None
    """If given, `times` are sample numbers at this rate; otherwise they are in `time_unit`."""
    times_from: Literal["recording", "trial"] = "recording"
    """What spike times that are given per trial are relative to."""
    axes: tuple[Axis, ...] = ()
    """Dimensions of a tensor of counts, such as [trials, time, units], or of a cell array of times, such as
    [units, trials]."""
    transpose: bool = False
    """Set this if the counts are stored as (units, bins)."""
    channels: str | tuple[Channel, ...] = ()
    """The electrode of each unit: a CSV file with the columns of `Channel`, or a list."""

    def __post_init__(self):
        if self.counts is not None and self.times is not None:
            raise ConfigError("give either `counts` or `times`")
        if self.counts and (self.unit_ids or self.rate_hz):
            raise ConfigError("`unit_ids` and `rate_hz` belong to `times`, not to `counts`")
        if self.counts and self.time_unit != "s":
            raise ConfigError("`time_unit` belongs to `times`, not to `counts`, which have one row per bin")
        if self.rate_hz and self.time_unit not in ("s", "samples"):
            raise ConfigError(
                f"with `rate_hz`, `times` are sample numbers, so that `time_unit: {self.time_unit}` contradicts it; "
                "leave out one of them"
            )
        self._check_clock(self.rate_hz)

    @property
    def seconds_per_unit(self) -> float:
        """Seconds per unit of `times`."""
        return 1 / self.rate_hz if self.rate_hz else seconds_per_unit(self.time_unit)


@dataclass(frozen=True, kw_only=True, slots=True)
class Lfp(FromFile):
    """LFP, or features of it."""

    values: str = "auto"
    """Path of a (samples, channels) matrix, or of a series in an NWB file. A `*` in the last part of the path stands
    for any characters: one variable per channel."""
    times: str | None = None
    """Path of a vector with the time stamp of each sample in `time_unit`; it may have gaps."""
    rate_hz: Hertz | None = None
    """Sampling rate; if it and `times` are missing, there is one sample per bin."""
    start_s: Seconds = 0.0
    """Time of the first sample in seconds."""
    scale: Factor = 1.0
    """Factor to physical units."""
    bands: Count = 1
    """Features per electrode, such as band powers. The features of one electrode are adjacent columns. Features are
    not filtered, unless `ingest.filters` is given."""
    axes: tuple[Axis, ...] = ()
    """Dimensions of a tensor, such as [trials, time, channels]."""
    transpose: bool = False
    """Set this if the matrix is stored as (channels, samples)."""
    channels: str | tuple[Channel, ...] = ()
    """The electrode of each channel (of the bands of one, once): a CSV file with the columns of `Channel`, or a
    list."""

    def __post_init__(self):
        self._check_samples(self.times, self.rate_hz, self.start_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Behavior(FromFile):
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
    """Path of a vector with the time stamp of each sample in `time_unit`."""
    rate_hz: Hertz | None = None
    """Sampling rate; if both it and `times` are missing, there is one sample per bin."""
    start_s: Seconds = 0.0
    """Time of the first sample in seconds, if `rate_hz` is given."""
    axes: tuple[Axis, ...] = ()
    """Dimensions of a tensor, such as [trials, time, columns]."""
    transpose: bool = False
    """Set this if the matrix is stored as (columns, samples)."""
    lost_value: AnyNumber | None = None
    """The number that the tracker writes where it has lost the animal, such as -1: these values are left out."""
    max_speed: Positive | None = None
    """A sample that could be reached only faster than this (behavior unit per second) counts as lost tracking."""
    smooth_s: Duration | None = None
    """Standard deviation in seconds of the Gaussian that smooths the samples between gaps, before anything is derived
    from them."""
    derive: Literal["velocity", "speed"] | None = None
    """`velocity`: differentiate every column. `speed`: the length of the velocity of all columns together, as one
    column. The result replaces the columns, unless `columns` asks for both."""
    circular: bool | Positive | dict[str, Positive] = False
    """Which columns return to where they began, such as angles: true, all, with the period of their unit (radians,
    degrees or cycles); a number, all, with this period in their unit; or a mapping from column to period. A circular
    column `hd` is stored as its cosine and sine, `hd_cos` and `hd_sin`."""
    columns: tuple[str, ...] = ()
    """Names of the columns to keep, in this order; empty: all."""

    def __post_init__(self):
        self._check_samples(self.times, self.rate_hz, self.start_s)
        for what in ("names", "units"):
            if getattr(self, what) and getattr(self, f"{what}_attribute"):
                raise ConfigError(f"give `{what}` or `{what}_attribute`, not both")


WHICH_TRIALS = "give one of `labels`, `start_s` with `stop_s`, `start_where_zero`, or (NWB) `table`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trials(FromFile):
    """Trials: labels per bin, starts and stops, bins without movement, or the table of an NWB file. Arrays that are
    stored trial by trial need none of these, and may have a `where` alone."""

    labels: str | None = None
    """Path of a vector with the trial number of each bin. Each run of one number is one trial."""
    outside: Literal["negative", "zero", "nan"] = "negative"
    """Which `labels` mean that a bin is in no trial; `zero` and `nan` also include negative numbers."""
    start_s: str | None = None
    """Path of a vector with the start of each trial in `time_unit`; needs `stop_s` as well."""
    stop_s: str | None = None
    rate_hz: Hertz | None = None
    """With `time_unit: samples`, the rate of these samples."""
    one_based: bool = False
    """Samples are counted from 1 and the stop is the last sample of the trial, as in MATLAB."""
    start_where_zero: tuple[str, ...] = ()
    """A trial starts at each bin in which these behavior columns are exactly 0."""
    table: str | None = None
    """NWB: name of the interval table."""
    where: dict[str, tuple[CellValue, ...]] = field(default_factory=dict)
    """Use only trials with these values: path of a vector with one value per trial, or column of the NWB table ->
    the value, or a list of values."""

    def __post_init__(self):
        given = sum(map(bool, (self.labels, self.start_s, self.start_where_zero, self.table)))
        if given > 1 or not (given or self.where):
            raise ConfigError(WHICH_TRIALS)
        if bool(self.start_s) != bool(self.stop_s):
            raise ConfigError("give both `start_s` and `stop_s`")
        if self.one_based and self.time_unit != "samples":
            raise ConfigError("`one_based` applies to `time_unit: samples`")
        if self.rate_hz and self.time_unit != "samples":
            raise ConfigError("`rate_hz` applies to `time_unit: samples`, which is not set")
        if self.time_unit != "s" and not (self.start_s or self.table):
            raise ConfigError(
                f"`time_unit: {self.time_unit}` is the unit of `start_s` and `stop_s`, which are not given"
            )
        if self.outside != "negative" and not self.labels:
            raise ConfigError(f"`outside: {self.outside}` applies to `labels`, which are not given")
        self._check_clock(self.rate_hz)


@dataclass(frozen=True, kw_only=True, slots=True)
class Label(FromFile):
    """A label: the class of each bin or trial, such as the direction of a reach, as text or as numbers."""

    values: str
    """Path of a vector with one class per bin or per trial of the file. NWB: TABLE/COLUMN of a table of intervals, or
    with `inside` its TABLE."""
    inside: Annotated[str, MAY_BE_EMPTY] | None = None
    """NWB: the class of all rows of the table."""
    outside: Annotated[str, MAY_BE_EMPTY] | None = None
    """The class of all bins that are in no trial, or row of the table; by default they have none."""

    def __post_init__(self):
        if self.time_unit == "samples":
            raise ConfigError("`time_unit: samples` does not apply to labels; give the times in s, ms or us")
        self._check_clock(None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """The part of a recording to use: from `start_s` to `stop_s`, or a row of an interval table (NWB)."""

    start_s: Seconds | None = None
    stop_s: Seconds | None = None
    table: str | None = None
    """Name of the table, such as epochs."""
    column: str = "tags"
    """Column of the table in which `value` is searched."""
    value: Annotated[str, MAY_BE_EMPTY] | None = None
    """Use the row whose `column` holds this value."""
    index: CountOrZero | None = None
    """Which of several such rows to use, from 0."""

    def __post_init__(self):
        check_limits(self)
        if (self.table is None) == (self.start_s is None and self.stop_s is None):
            raise ConfigError("give either `start_s`/`stop_s` or a `table`")
        start, stop = self.seconds
        if not start < stop:
            raise ConfigError(f"an interval must end after it starts, but got `start_s: {start:g}`, `stop_s: {stop:g}`")

    @property
    def seconds(self) -> tuple[float, float]:
        """Start and stop in seconds; infinite where one is not given."""
        return -inf if self.start_s is None else self.start_s, inf if self.stop_s is None else self.stop_s


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitFilter:
    """Which rows of an NWB file's units table are used. If the table has no such column, all rows are used."""

    column: str = "quality"
    keep: tuple[CellValue, ...] = ("sorted", "good")
    """Values of the column; units with others are left out."""

    @property
    def words(self) -> tuple[str, ...]:
        """`keep` as text."""
        return tuple(f"{value:g}" if isinstance(value, float) else str(value) for value in self.keep)


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionEntry:
    """One recording of a manifest. `auto`: the only candidate in an NWB file; null: leave the modality out."""

    file: str | None = None
    """Name of the file relative to the folder, or the https:// or s3:// URI of an NWB file. Signals in other files name
    them as `file` in their section."""
    name: str | None = None
    """Name of the session; default: the name of the file without its suffix."""
    subject: str | None = None
    """Default for NWB: the subject named in the file, or else the name of the session."""
    dataset: str = ""
    task: str = ""
    region: str = ""
    bin_width_ms: BinWidth | None = None
    """Set this if the arrays of this file are already binned at this width."""
    spikes: str | Spikes | None = "auto"
    """A string is the path of a counts matrix, or of an NWB table of units."""
    lfp: str | Lfp | tuple[Lfp, ...] | None = "auto"
    """A string is the path of a matrix with one sample per bin, or of an NWB series. A list holds several."""
    behavior: str | Behavior | tuple[Behavior, ...] | None = "auto"
    """A string is the path of a matrix with one sample per bin, or of an NWB series. A list holds several, each on its
    own clock."""
    trials: str | Trials | None = None
    """A string is the path of labels per bin, or the name of an NWB table."""
    labels: dict[str, str | Label] = field(default_factory=dict)
    """Name -> a label of bins or trials, which a sweep can decode. A string is short for its `values`."""
    pieces: Literal["auto", "trials", "none"] = "auto"
    """Where a recording has gaps that its files do not state. `trials`: trials that were laid end to end; no filter,
    derivative or segment crosses from one to the next. `auto`: as the files say, and an error if behavior jumps between
    trials that follow each other without a gap. `none`: as the files say."""
    interval: Interval | tuple[Interval, ...] | None = None
    """The part of the recording to use. A list holds several; nothing crosses from one to the next."""
    unit_filter: UnitFilter | None = None
    """NWB only: which units are used; null: all."""
    ingest: Annotated[dict[str, Any], Overrides(IngestConfig)] = field(default_factory=dict)

    def __post_init__(self):
        check_limits(self)

    @property
    def lfp_sections(self) -> tuple[Lfp, ...] | None:
        """`lfp` as sections, a path as the `values` of one; empty for null, None for auto."""
        return _sections(self.lfp, lambda path: Lfp(values=path))

    @property
    def behavior_sections(self) -> tuple[Behavior, ...] | None:
        """`behavior` as sections, a path as the `values` of one; empty for null, None for auto."""
        return _sections(self.behavior, lambda path: Behavior(values=path))

    @property
    def label_sections(self) -> dict[str, Label]:
        """`labels`, each as a section."""
        return {
            name: Label(values=section) if isinstance(section, str) else section
            for name, section in self.labels.items()
        }

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """`interval` as a tuple."""
        return (
            () if self.interval is None else (self.interval,) if isinstance(self.interval, Interval) else self.interval
        )


def _sections(value: Any, from_path: Callable[[str], Any]) -> Any:
    if value == "auto":
        return None
    if value is None or isinstance(value, tuple):
        return value or ()
    return (from_path(value) if isinstance(value, str) else value,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """A YAML manifest: recordings of one folder and the values that they share."""

    folder: str | None = None
    """Folder of the files, relative to the manifest; default: the folder of the manifest."""
    links: tuple[str, ...] = ()
    """Files and folders, relative to that folder, that HDF5 files may link to. Links to files next to and below the
    file, below the folder, and below that of the manifest, are always allowed."""
    ingest: Annotated[dict[str, Any], Overrides(IngestConfig)] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    """Values for every session that does not set its own. The keys of a section complete those that a session gives."""
    sessions: tuple[Annotated[dict[str, Any], Overrides(SessionEntry)], ...]
