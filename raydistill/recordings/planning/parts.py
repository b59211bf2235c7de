"""The signals of a manifest's session, by the file and the clock that they are on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from raydistill.config.manifest import Behavior, FromFile, Interval, Label, Lfp, SessionEntry, Spikes, Trials
from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalsOfFile:
    """The signals of a session that are in one file and on one clock."""

    file: str | None
    entry: SessionEntry
    """The session's entry with these signals only."""
    offset_s: float = 0.0
    time_scale: float = 1.0
    lfp_places: tuple[int, ...] = ()
    """Position of each series of LFP among those of the session."""
    behavior_places: tuple[int, ...] = ()
    """Position of each section of behavior among those of the session."""


Section = TypeVar("Section", bound=FromFile)
Clock = tuple[str | None, float, float]  # file, offset_s, time_scale


def parts_of(entry: SessionEntry) -> list[SignalsOfFile]:
    """The signals by file and clock, first those of the main file on the session's clock.

    Raises:
        ConfigError: the entry names no file, or no signal is on the session's clock.
    """
    spikes: dict[Clock, Spikes] = {}
    lfp: dict[Clock, list[Lfp]] = defaultdict(list)
    behavior: dict[Clock, list[Behavior]] = defaultdict(list)
    trials: dict[Clock, Trials] = {}
    labels: dict[Clock, dict[str, str | Label]] = defaultdict(dict)
    if isinstance(entry.spikes, Spikes):
        spikes[_clock(entry.spikes, entry)] = _in_its_file(entry.spikes)
    for section in entry.lfp_sections or ():
        lfp[_clock(section, entry)].append(_in_its_file(section))
    for column in entry.behavior_sections or ():
        behavior[_clock(column, entry)].append(_in_its_file(column))
    if isinstance(entry.trials, Trials):
        trials[_clock(entry.trials, entry)] = _in_its_file(entry.trials)
    for name, label in entry.label_sections.items():
        labels[_clock(label, entry)][name] = _in_its_file(label)
    clocks = list(dict.fromkeys([*spikes, *lfp, *behavior, *trials, *labels]))
    main = _main_clock(entry, clocks)
    first = SignalsOfFile(
        file=main[0],
        entry=replace(
            entry,
            file=main[0],
            spikes=spikes.get(main) if isinstance(entry.spikes, Spikes) else entry.spikes,
            lfp="auto" if entry.lfp_sections is None else tuple(lfp[main]),
            behavior="auto" if entry.behavior_sections is None else tuple(behavior[main]),
            trials=trials.get(main) if isinstance(entry.trials, Trials) else entry.trials,
            labels=labels[main],
            unit_filter=entry.unit_filter if not spikes or main in spikes else None,
        ),
    )
    others = [
        SignalsOfFile(
            file=clock[0],
            offset_s=clock[1],
            time_scale=clock[2],
            lfp_places=_places(entry.lfp_sections, clock, entry),
            behavior_places=_places(entry.behavior_sections, clock, entry),
            entry=replace(
                entry,
                file=clock[0],
                spikes=spikes.get(clock),
                lfp=tuple(lfp[clock]),
                behavior=tuple(behavior[clock]),
                trials=trials.get(clock),
                labels=labels[clock],
                interval=_on_clock(entry.intervals, clock),
                unit_filter=entry.unit_filter if clock in spikes else None,
            ),
        )
        for clock in clocks
        if clock != main
    ]
    return [first, *others]


def _on_clock(intervals: tuple[Interval, ...], clock: Clock) -> tuple[Interval, ...] | None:
    """The intervals on the clock of a further file, which may need them to know which of two equal stamps to use."""
    if not intervals or any(interval.table for interval in intervals):
        return None
    _, offset_s, scale = clock

    def moved(time: float | None) -> float | None:
        return None if time is None else (time - offset_s) / scale

    return tuple(replace(i, start_s=moved(i.start_s), stop_s=moved(i.stop_s)) for i in intervals)


def _places(sections: Sequence[FromFile] | None, clock: Clock, entry: SessionEntry) -> tuple[int, ...]:
    return tuple(i for i, section in enumerate(sections or ()) if _clock(section, entry) == clock)


def _in_its_file(section: Section) -> Section:
    """The section without the name of its file, which is no setting: a renamed file is the same recording."""
    return replace(section, file=None)


def _clock(section: FromFile, entry: SessionEntry) -> Clock:
    file = section.file if section.file is not None else entry.file
    if file is None:
        raise ConfigError("a session lacks `file`: give it for the session, or for each of its signals")
    return file, section.offset_s, section.time_scale


def _main_clock(entry: SessionEntry, clocks: list[Clock]) -> Clock:
    if entry.file is not None:
        return entry.file, 0.0, 1.0
    if not clocks or (isinstance(entry.spikes, str) and entry.spikes != "auto") or isinstance(entry.trials, str):
        raise ConfigError("a session lacks `file`: give it for the session, or for each of its signals")
    main = next((clock for clock in clocks if clock[1:] == (0.0, 1.0)), None)
    if main is None:
        raise ConfigError(
            "one signal must be on the clock of the session: leave out its `offset_s` and `time_scale`, and give those "
            "of the others relative to it"
        )
    return main
