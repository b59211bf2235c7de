"""Columns of behavior that return to where they began: angles, phases, laps. K samples, D columns.

They are processed unwrapped: a step from 359 to 1 degree is one of +2 degrees. A turn of half a period or more from one
sample to the next cannot be told from a smaller one the other way round.
"""

import math
import re
from collections.abc import Collection, Sequence

import numpy as np

from raydistill.errors import DataError, suggest
from raydistill.recordings.raw import Trace

_PERIOD_OF_UNIT = {
    **dict.fromkeys(("radians", "radian", "rad", "rads"), 2 * np.pi),
    **dict.fromkeys(("degrees", "degree", "deg", "degs", "°"), 360.0),
    **dict.fromkeys(("cycles", "cycle", "turns", "turn", "revolutions"), 1.0),
}
_ANGLE_WORDS = {
    *("angle", "angles", "azimuth", "bearing", "dir", "direction", "hd", "headdirection", "headdir", "heading"),
    *("orientation", "phase", "phi", "psi", "rotation", "theta", "yaw"),
}
_NEAR = 0.8, 1.05  # of a period: a step between them is one around the end of the period
_GAP = 5  # median steps in time
_LAPS, _OTHER_STEPS = 3, 0.2  # fewest laps that are pointed out, and the longest step within one, of the range


def periods_of(
    trace: Trace, circular: bool | float | dict[str, float], used: Collection[str]
) -> tuple[float | None, ...]:
    """The period of each of the D columns in its unit, None for a column that is not circular.

    Args:
        circular: as `config.manifest.Behavior.circular`.
        used: the names of the columns that are kept or derived from; others need no unit.

    Raises:
        DataError: true is given for a column whose unit is not one of angles, or a name is not one of a column.
    """
    if isinstance(circular, dict):
        if unknown := [name for name in circular if name not in trace.names]:
            raise DataError(f'`circular`: there is no behavior column "{unknown[0]}"{suggest(unknown[0], trace.names)}')
        return tuple(circular.get(name) for name in trace.names)
    if not isinstance(circular, bool):
        return (float(circular),) * len(trace.names)
    if not circular:
        return (None,) * len(trace.names)
    periods = tuple(_PERIOD_OF_UNIT.get(unit.strip().lower()) for unit in trace.units)
    straight = [i for i, name in enumerate(trace.names) if periods[i] is None and name in used]
    if straight:
        name, unit = trace.names[straight[0]], trace.units[straight[0]]
        stated = f'the unit "{unit}"' if unit else "no unit"
        example = next((f"{n}: {p:.7g}" for n, p in zip(trace.names, periods, strict=True) if p), f"{name}: PERIOD")
        raise DataError(
            f"`circular: true` takes the period from the unit (radians, degrees or cycles), but the behavior column "
            f'"{name}" has {stated}; name the circular columns with their '
            f"periods, `circular: {{{example}}}`"
        )
    return periods


def unwrapped(values: np.ndarray, periods: Sequence[float | None]) -> np.ndarray:
    """(K, D) with each circular column continued by the shorter way from one valid sample to the next."""
    values = values.copy()
    for column, period in enumerate(periods):
        if period is not None:
            valid = np.isfinite(values[:, column])
            values[valid, column] = np.unwrap(values[valid, column], period=period)
    return values


def distance(place: Sequence[float], other: Sequence[float], periods: Sequence[float | None]) -> float:
    """Between two samples of D columns each, the shorter way round in circular ones."""
    steps = [a - b if p is None else math.remainder(a - b, p) for a, b, p in zip(place, other, periods, strict=True)]
    return math.hypot(*steps)


def on_the_circle(
    values: np.ndarray, names: Sequence[str], units: Sequence[str], periods: Sequence[float | None]
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Values, names and units with each circular column replaced by its cosine and sine, without a unit.

    Raises:
        DataError: two columns would have one name.
    """
    columns: list[np.ndarray] = []
    new_names: list[str] = []
    new_units: list[str] = []
    for column, name, unit, period in zip(values.T, names, units, periods, strict=True):
        if period is None:
            columns.append(column)
            new_names.append(name)
            new_units.append(unit)
        else:
            angle = 2 * np.pi * (column / period)
            columns += [np.cos(angle), np.sin(angle)]
            new_names += [f"{name}_cos", f"{name}_sin"]
            new_units += ["", ""]
    if twice := [name for name in new_names if new_names.count(name) > 1]:
        raise DataError(f'behavior would have two columns "{twice[0]}"; rename one, or choose others with `columns`')
    return np.column_stack(columns), tuple(new_names), tuple(new_units)


def circular_notes(
    trace: Trace, periods: Sequence[float | None], used: Collection[str], cuts: Sequence[slice]
) -> tuple[str, ...]:
    """Notes on used columns that look circular and are not set so, and on those that turn too fast to follow.

    Args:
        cuts: the samples of each recorded interval. From one to the next, values may jump: that is no turn.
    """
    notes: list[str] = []
    for name, unit, values, period in zip(trace.names, trace.units, trace.values.T, periods, strict=True):
        valid = [np.flatnonzero(np.isfinite(values[cut])) + cut.start for cut in cuts]
        steps = np.concatenate([np.diff(values[at]) for at in valid])
        seconds = np.concatenate([np.diff(trace.times[at]) for at in valid])
        if len(steps) and name in used:
            inside = values[np.concatenate(valid)]
            if period is None:
                notes += _overlooked(name, unit, inside, steps, seconds)
            else:
                notes += _doubtful(name, steps, period)
    return tuple(notes)


def _overlooked(name: str, unit: str, values: np.ndarray, steps: np.ndarray, seconds: np.ndarray) -> list[str]:
    period = _PERIOD_OF_UNIT.get(unit.strip().lower())
    setting = "true" if period else ""
    if period is None and _ANGLE_WORDS & {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}:
        extent = float(np.ptp(values))
        fits = [p for p in (1.0, 2 * np.pi, 360.0) if _NEAR[0] * p < extent < _NEAR[1] * p]
        period, setting = (fits[0], f"{{{name}: {fits[0]:.7g}}}") if fits else (None, "")
    if period is None:
        return _laps(name, float(np.ptp(values)), steps, seconds)
    if not (jumps := int(np.sum((np.abs(steps) > _NEAR[0] * period) & (np.abs(steps) < _NEAR[1] * period)))):
        return []
    return [
        f'behavior column "{name}" jumps {jumps} times by about {period:.4g}, as an angle does at the end of its '
        f"period; `circular: {setting}` in the section `behavior` treats it as one"
    ]


def _laps(name: str, extent: float, steps: np.ndarray, seconds: np.ndarray) -> list[str]:
    """A note if values run through their range and jump back to where they began, as on a circular track."""
    steps = steps[seconds <= _GAP * np.median(seconds)]  # a jump over a time without samples is no lap
    jumps = steps[np.abs(steps) > _NEAR[0] * extent]
    others = np.abs(steps[np.abs(steps) <= _NEAR[0] * extent])
    one_way = max(np.sum(jumps > 0), np.sum(jumps < 0)) >= 0.8 * len(jumps)
    if len(jumps) < _LAPS or not one_way or not others.any() or others.max() > _OTHER_STEPS * extent:
        return []
    return [
        f'behavior column "{name}" jumps {len(jumps)} times across its range of {extent:.4g}, as a position does after '
        f"each lap; `circular: {{{name}: PERIOD}}` in the section `behavior` treats it as one"
    ]


def _doubtful(name: str, steps: np.ndarray, period: float) -> list[str]:
    steps = np.abs(steps)
    if (farthest := steps.max()) > 1.5 * period:
        return [f'behavior column "{name}" jumps by {farthest:.4g}, more than its period {period:.4g}; is that right?']
    turns = np.minimum(steps, np.abs(period - steps))
    if (share := np.mean(turns > 0.4 * period)) > 0.01:
        return [
            f'behavior column "{name}" turns by more than 0.4 of its period between {share:.0%} of its samples: which '
            "way is not certain"
        ]
    return []
