"""What a manifest says of a file of arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from raydistill.config.manifest import Behavior, Interval, Label, Lfp, SessionEntry, Spikes, Trials
from raydistill.errors import ConfigError

Section = TypeVar("Section", Lfp, Behavior)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayOptions:
    """Where the arrays of a recording are in its file; None: the recording lacks the modality."""

    spikes: Spikes | None = None
    lfp: tuple[Lfp, ...] = ()
    behavior: tuple[Behavior, ...] = ()
    trials: Trials | None = None
    labels: dict[str, Label] = field(default_factory=dict)
    intervals: tuple[Interval, ...] = ()
    bin_width_ms: float | None = None
    """Bin width of arrays that are already binned."""

    @property
    def bin_s(self) -> float | None:
        """Bin width of the file in seconds; None if no array is binned."""
        return None if self.bin_width_ms is None else self.bin_width_ms / 1000


def describe(entry: SessionEntry) -> ArrayOptions:
    """The options for a manifest's entry, with a path in place of a section written out as that section.

    Raises:
        ConfigError: the entry lacks what these files need, or has keys that belong to NWB files.
    """
    spikes, trials = entry.spikes, entry.trials
    if isinstance(spikes, str):
        spikes = None if spikes == "auto" else Spikes(counts=spikes)
    trials = Trials(labels=trials) if isinstance(trials, str) else trials
    lfp = tuple(_named(section, entry) for section in entry.lfp_sections or ())
    behavior = tuple(_named(section, entry) for section in entry.behavior_sections or ())
    if spikes is not None:
        _check_spikes(spikes, trials)
    for name, sections, column in (("lfp", lfp, "channels"), ("behavior", behavior, "columns")):
        for section in sections:
            if section.values == "auto":
                raise ConfigError(f"give the path of `{name}` as `{name}.values`")
            _check_axes(name, section, column)
            if section.time_unit != "s" and not section.times:
                raise ConfigError(
                    f"`time_unit: {section.time_unit}` of `{name}` is the unit of its `times`, which are not given; "
                    "`start_s` is in seconds"
                )
    if trials is not None and trials.table:
        raise ConfigError("`trials.table` belongs to NWB files; give `labels`, or `start_s` and `stop_s`")
    if any(interval.table for interval in entry.intervals):
        raise ConfigError("`interval.table` belongs to NWB files; give `start_s` and `stop_s`")
    if entry.unit_filter is not None:
        raise ConfigError("`unit_filter` belongs to NWB files; use `ingest.drop_units`")
    return ArrayOptions(
        spikes=spikes,
        lfp=lfp,
        behavior=behavior,
        trials=trials,
        labels=_labels(entry),
        intervals=entry.intervals,
        bin_width_ms=entry.bin_width_ms,
    )


def _labels(entry: SessionEntry) -> dict[str, Label]:
    for name, label in entry.label_sections.items():
        if label.inside is not None or label.time_unit != "s":
            raise ConfigError(
                f"labels.{name}: `inside` and `time_unit` belong to the tables of NWB files; an array has a class per "
                "bin or trial"
            )
    return entry.label_sections


def _named(section: Section, entry: SessionEntry) -> Section:
    """A section that names no array of a file that holds only one, with the name of that one."""
    if section.values != "auto" or entry.file is None or not entry.file.lower().endswith(".npy"):
        return section
    return replace(section, values=Path(entry.file).stem)


def _check_spikes(spikes: Spikes, trials: Trials | None) -> None:
    if spikes.table or not (spikes.counts or spikes.times):
        raise ConfigError(
            "give the path of the spikes as `spikes.counts` or `spikes.times`; `table` belongs to NWB files"
        )
    if spikes.counts:
        if spikes.times_from == "trial":
            raise ConfigError("`times_from` applies to `spikes.times`, not to `counts`")
        _check_axes("spikes", spikes, "units")
        return
    if spikes.unit_ids and (spikes.axes or spikes.times_from == "trial"):
        raise ConfigError("`unit_ids` goes with one vector of times; `axes` and `times_from` with one vector per trial")
    if spikes.axes and sorted(spikes.axes) not in (["trials"], ["trials", "units"]):
        raise ConfigError(
            f"`axes` of `spikes.times` must be [units, trials], [trials, units] or [trials], got {_list(spikes.axes)}"
        )
    if spikes.times_from == "trial" and not spikes.axes:
        raise ConfigError("`times_from: trial` needs `axes`, such as [units, trials], for the cells of `times`")
    if spikes.transpose:
        raise ConfigError("`transpose` applies to `spikes.counts`; for cells of times give `axes`")


def _check_axes(name: str, section: Spikes | Lfp | Behavior, column: str) -> None:
    axes: Sequence[str] = section.axes
    if not axes:
        return
    allowed = ("trials", "time", "units", "channels", "columns")
    columns = [axis for axis in axes if axis not in ("trials", "time")]
    if "time" not in axes or len(set(axes)) < len(axes) or len(columns) > 1 or len(axes) < 2:
        raise ConfigError(
            f"`axes` of `{name}` must name each dimension once, such as [trials, time, {column}] or [time, {column}], "
            f"got {_list(axes)}; the words are {', '.join(allowed)}"
        )
    if section.transpose:
        raise ConfigError(f"give `axes` or `transpose` of `{name}`, not both")


def _list(axes: Sequence[str]) -> str:
    return f"[{', '.join(axes)}]"
