"""Behavior of an NWB file: the series under processing/behavior, or those that a manifest names."""

import re
from dataclasses import dataclass

import numpy as np

from raydistill.config.manifest import Behavior
from raydistill.errors import DataError
from raydistill.recordings.raw import Trace
from raydistill.recordings.readers.nwb_parts.clock import sample_times
from raydistill.recordings.readers.nwb_parts.file import NwbContent, listed
from raydistill.recordings.readers.nwb_parts.series import (
    all_series,
    check_data,
    factor,
    named_series,
    only_series,
    shape_of,
    slice_of,
    way_out,
)

_PLACE = "processing/behavior/"
# vel or velocity as a separate word: cursor_vel, HandVelocity, but not level or novel_maze.
_VELOCITY = re.compile(r"(?:(?<![A-Za-z])v|V)el(?:ocity)?(?![a-z])")


@dataclass(frozen=True, kw_only=True)
class BehaviorSeries:
    """What was read as behavior."""

    traces: tuple[Trace, ...] = ()
    taken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def behavior(content: NwbContent, sections: tuple[Behavior, ...] | None) -> BehaviorSeries:
    """The series that the sections name; None or `auto`: the only one under processing/behavior, or the only velocity.

    Raises:
        DataError: there is no such series, it cannot be read as samples on a clock, or several could be meant.
    """
    traces: list[Trace] = []
    taken: list[str] = []
    notes: list[str] = []
    for section in (Behavior(),) if sections is None else sections:
        found = _found(content, section)
        if section.values == "auto":
            notes += _passed_over(content, found)
        if found is None and sections is not None:
            cause = notes[-1] if notes else f"no behavior: the file has no series under {_PLACE.strip('/')}"
            raise DataError(f"{cause}; or set `behavior: null`")
        if found is not None:
            path, series = found
            with way_out("behavior", section.values):
                check_data(content, path)
                trace = _trace(path, series, section)
            traces.append(trace)
            taken.append(f"behavior {', '.join(trace.names)} from {path}")
    return BehaviorSeries(traces=tuple(traces), taken=tuple(taken), notes=tuple(notes))


def _found(content: NwbContent, section: Behavior):
    """(path, series) of a section; None: there is no candidate."""
    if section.values != "auto":
        return named_series(content, section.values, "behavior")
    candidates = {
        path: series
        for path, series in _samples(content).items()
        if path.startswith(_PLACE) and not _holds_events(series)
    }
    return only_series(candidates, "behavior", (lambda s: s.name == "velocity", _is_velocity))


def _samples(content: NwbContent) -> dict:
    """Path -> series of the file that could be behavior: vectors or matrices of numbers, sampled in time."""
    from pynwb import icephys, image, misc, ogen, ophys
    from pynwb.ecephys import ElectricalSeries

    others = (
        ElectricalSeries,
        icephys.PatchClampSeries,
        image.ImageSeries,
        image.IndexSeries,
        misc.AbstractFeatureSeries,
        misc.AnnotationSeries,
        misc.DecompositionSeries,
        misc.IntervalSeries,
        ogen.OptogeneticSeries,
        ophys.RoiResponseSeries,
    )
    return {path: series for path, series in all_series(content).items() if not isinstance(series, others)}


def _holds_events(series) -> bool:
    """Whether a container says that its series are events, such as licks, which no line connects."""
    from pynwb.behavior import BehavioralEvents

    return isinstance(series.parent, BehavioralEvents)


def _passed_over(content: NwbContent, found) -> list[str]:
    """A note about series that could be behavior and were not taken."""
    others = sorted(
        path
        for path in _samples(content)
        if path.startswith(("acquisition/", "processing/"))
        and not path.startswith(("processing/ecephys/", "processing/ophys/"))
        and "lfp" not in path.lower()
        and (found is None or path != found[0])
    )
    if found is not None:
        return [f"seen but not taken as behavior: {listed(others)}; `behavior: PATH` takes one"] if others else []
    unreadable = [f"{path} {cause}" for path, cause in content.omitted.items() if path.startswith(_PLACE.strip("/"))]
    if not others:
        return [f"no behavior: {listed(unreadable)}"] if unreadable else []
    events = [path for path in others if _holds_events(content.objects[path])]
    series = [path for path in others if path not in events]
    causes = list(unreadable)
    if events:
        causes.append(f"{listed(events)} {'holds' if len(events) == 1 else 'hold'} events, not samples")
    if series:
        where = "is" if len(series) == 1 else "are"
        causes.append(f"{listed(series)} {where} not under {_PLACE.strip('/')}; set `behavior: {series[0]}`")
    return [f"no behavior: {', '.join(causes)}"]


def _trace(path: str, series, section: Behavior) -> Trace:
    from pynwb.misc import IntervalSeries

    if isinstance(series, IntervalSeries):
        raise DataError(f"{path} holds starts and stops of intervals, not samples; name another series for `behavior`")
    n, width = shape_of(series, path, section.transpose)
    values = slice_of(series, path, 0, n, section.transpose) * factor(series) + float(series.offset)
    names = section.names or _column_names(series, width)
    unit = str(series.unit) if np.isfinite(series.conversion) else ""
    units = section.units or (unit,) * width
    for what, words in (("names", names), ("units", units)):
        if len(words) != width:
            raise DataError(f"{path} has {width} columns but {len(words)} {what}: {', '.join(words)}")
    times = sample_times(series, path, n, section)
    return Trace(times=times, values=values, names=names, units=units, processing=section)


def _is_velocity(series) -> bool:
    return any(_VELOCITY.search(name) for name in (series.name, series.parent.name))


def _column_names(series, n: int) -> tuple[str, ...]:
    """Names such as position_x or velocity_y, which are the same for all files whatever the series is called."""
    from pynwb.behavior import Position

    name = "velocity" if _is_velocity(series) else "position" if isinstance(series.parent, Position) else series.name
    axes = [name] if n == 1 else [f"{name}_{a}" for a in "xyz"[:n]] if n <= 3 else [f"{name}_{i}" for i in range(n)]
    return tuple(axes)
