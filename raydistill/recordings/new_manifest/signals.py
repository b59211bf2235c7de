"""Which variables are LFP and which behavior."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from raydistill.recordings.new_manifest.axes import orientation, tensor_axes, trial_orientation
from raydistill.recordings.new_manifest.clocks import clock, is_clock, trial_clock
from raydistill.recordings.new_manifest.findings import Findings, several
from raydistill.recordings.new_manifest.looks import Look
from raydistill.recordings.new_manifest.names import (
    BANDS,
    BEHAVIOR,
    LETTERS,
    LFP,
    START,
    STOP,
    TIME,
    TRIAL,
    all_words,
    column_names,
    is_description,
    own_words,
    says,
    words,
)
from raydistill.recordings.new_manifest.text import Line, Section, choice, option, placeholder
from raydistill.recordings.new_manifest.values import period_of
from raydistill.recordings.time_columns import is_time

_WIDEST_BEHAVIOR = 4
"""A matrix without a telling name and more columns is taken as LFP."""
_MOST = 12
_FEWEST = 10
"""Fewer numbers, or numbers per trial, are no samples of a signal."""
_POSITIONS = set(
    ["pos", "position", "positions", "x", "y", "z", "px", "py", "location", "led", "hand", "cursor", "wheel"]
)
_FACTORS = set(["unit", "units", "bit", "volts", "bitvolts", "conversion", "gain", "resolution", "scale", "lsb"])
_VOLTS = {"mv": 1e-3, "millivolts": 1e-3, **dict.fromkeys(["uv", "µv", "μv", "microvolts"], 1e-6)}
_VELOCITIES = set(["vel", "velocity", "velocities", "vx", "vy", "vz", "speed"])


def lfp(found: Findings) -> Line | None:
    """The section of LFP, or the list of sections; None: nothing looks like LFP."""
    return _line(found, "lfp", _is_lfp_by_name, _is_lfp_by_shape, _lfp_section)


def behavior(found: Findings) -> Line | None:
    """The section of behavior, or the list of sections; None: nothing looks like behavior."""
    return _line(found, "behavior", _is_behavior_by_name, _is_behavior_by_shape, _behavior_section)


def _line(
    found: Findings,
    key: str,
    by_name: Callable[[Look], bool],
    by_shape: Callable[[Findings, Look], bool],
    section: Callable[[Findings, Look], Section],
) -> Line | None:
    signals = [look for look in found.left if _is_signal(look, found)]
    named = [look for look in signals if by_name(look)]
    asks = []
    if not named:
        fitting = [look for look in signals if by_shape(found, look)]
        if not fitting:
            return None
        best = max(fitting, key=lambda look: (look.size, look.path))
        others = [look for look in fitting if look is not best]
        asks.append(f"is {best.path} {key.upper() if key == 'lfp' else key}? It was chosen by its shape, not its name")
        if others:
            asks.append(f"other variables could be {key}: {several(others)}")
        named = [best]
    if len(named) > _MOST:
        asks.append(f"other variables could be {key}: {several(named[_MOST:])}")
        named = named[:_MOST]
    first_in_trials = _is_in_trials(named[0]) if found.in_trials is None else found.in_trials
    named = [look for look in named if _is_in_trials(look) == first_in_trials]
    found.in_trials = first_in_trials
    for look in named:
        found.use(look, key)
    sections = [section(found, look) for look in named]
    if len(sections) > 1:
        asks.append(f"all of these together, or only one? {several(named)} will be side by side")
    return Line(key=key, value=sections[0] if len(sections) == 1 else sections, questions=tuple(asks))


# Which variable


def _is_signal(look: Look, found: Findings) -> bool:
    """Whether it holds many numbers that can be samples."""
    if found.in_trials is not None and found.in_trials != _is_in_trials(look):
        return False
    if is_description(look.path):
        return False
    if look.kind == "cell":
        parts = look.elements
        if _is_in_trials(look) and np.median([max(shape, default=1) for shape in look.shapes]) < _FEWEST:
            return False  # a target or another fact of each trial
        if look.of == "matrices":
            return all(p.is_number for p in parts)
        if look.of != "vectors" or says(look.path, TIME | START | STOP):
            return False
        return not all(p.seen is not None and p.seen.is_ascending for p in parts)
    if not look.is_number or look.size < _FEWEST or look.dtype == "bool" or len(look.shape) > 3:
        return False
    if says(look.path, TRIAL | START | STOP) and not says(look.path, LFP | BEHAVIOR - {"x", "y", "z", "pos"}):
        return False
    if look.is_vector:
        ascending = look.seen is not None and look.seen.is_ascending
        if says(look.path, TIME) and ascending:
            return False
        return look.size != found.n_trials and look.size not in _numbers_of_trials(found)
    if len(look.shape) == 2 and max(look.shape) in _numbers_of_trials(found):
        return False  # a row of facts for each trial, such as its target
    return sum(size >= 2 for size in look.shape) >= 2


def _is_in_trials(look: Look) -> bool:
    """Whether it is stored trial by trial."""
    return len(look.shape) == 3 if look.kind != "cell" else not _is_pattern(look)


def _numbers_of_trials(found: Findings) -> set[int]:
    """How many trials there may be, by starts or stops of them."""
    return {o.size for o in found.looks if o.is_vector and says(o.path, START | STOP)}


def _is_lfp_by_name(look: Look) -> bool:
    named = own_words(look.path) & (LFP | BANDS)
    if named and not (named <= {"raw", "field", "power", "band"} and own_words(look.path) & BEHAVIOR):
        return True
    return bool(all_words(look.path) & (LFP - {"raw"})) and not own_words(look.path) & BEHAVIOR


def _is_behavior_by_name(look: Look) -> bool:
    vocabulary = BEHAVIOR - LETTERS if look.is_wide else BEHAVIOR
    return bool(own_words(look.path) & vocabulary) or bool(all_words(look.path) & BEHAVIOR - LETTERS)


def _width(look: Look) -> int:
    if look.kind == "cell":
        return len(look.shapes) if _is_pattern(look) else trial_orientation(look, "")[1]
    return 1 if look.is_vector else min(look.shape)


def _is_lfp_by_shape(found: Findings, look: Look) -> bool:
    integer = look.seen is not None and look.seen.is_integer and look.seen.low >= 0
    return _width(look) > _WIDEST_BEHAVIOR and not integer


def _is_behavior_by_shape(found: Findings, look: Look) -> bool:
    if _width(look) > _WIDEST_BEHAVIOR:
        return False
    if not look.is_vector:
        return True
    on_a_clock = look.size == found.bins or any(is_clock(o, look.size) for o in found.looks if o is not look)
    labels = look.seen is not None and (look.seen.is_integer or look.seen.is_ascending)
    return on_a_clock and not labels


# Its section


def _values(found: Findings, look: Look, columns: str, vocabulary: set[str], key: str) -> tuple[list[Line], int]:
    """Path, dimensions and clock of a signal, and the number of its columns."""
    size = " x ".join(map(str, look.shape))
    if look.kind == "cell" and not _is_pattern(look):
        lengths, width, transpose = trial_orientation(look, columns)
        found.n_trials = found.n_trials or len(lengths)
        why = f"{len(look.shapes)} matrices of {width} {columns}, one per trial; {_why(look, vocabulary)}"
        named = [Line(key="values", value=look.path, guess=why), transpose]
        return [*filter(None, named), *trial_clock(found, look, lengths, vocabulary, key)], width
    if look.kind == "cell":
        width = len(look.shapes)
        n = max(look.shapes[0])
        why = f"{width} vectors of {n} values, one per channel; {_why(look, vocabulary)}"
        return [Line(key="values", value=look.path, guess=why), *clock(found, look, n, vocabulary, key)], width
    seen = look.seen.range if look.seen is not None else f"{look.dtype} values that were not looked at"
    why = f"{size} {seen}; {_why(look, vocabulary)}"
    if len(look.shape) == 3:
        axes, asks = tensor_axes(look, found.looks, columns)
        at = axes.index("time")
        lines = [Line(key="values", value=look.path, guess=why), Line(key="axes", value=axes, questions=(asks,))]
        lengths = (look.shape[at],) * look.shape[axes.index("trials")]
        found.n_trials = found.n_trials or len(lengths)
        return [*lines, *trial_clock(found, look, lengths, vocabulary, key)], look.shape[axes.index(columns)]
    n, width, turned = orientation(look, found.looks, columns)
    oriented = [Line(key="values", value=look.path, guess=why), turned]
    return [*filter(None, oriented), *clock(found, look, n, vocabulary, key)], width


def _is_pattern(look: Look) -> bool:
    """Whether the parts of a list are vectors of one length side by side, and not trials."""
    return "*" in look.path or (not look.in_struct_array and look.described.startswith("a group"))


def _why(look: Look, vocabulary: set[str]) -> str:
    named = sorted(own_words(look.path) & vocabulary) or sorted(all_words(look.path) & vocabulary)
    return f'its name says "{named[0]}"' if named else "no name says what it is"


def _lfp_section(found: Findings, look: Look) -> Section:
    lines, width = _values(found, look, "channels", LFP | BANDS, "lfp")
    found.has_single_channel |= width == 1
    bands = []
    if width > 1 and says(look.path, BANDS):
        bands = [placeholder("bands", f"the number of features per electrode; {width} columns are a multiple of it")]
    elif found.bins and width > 1 and look.size // width == found.bins:
        bands = [choice("bands", 1, "does each electrode have several features, such as band powers? How many?")]
    high = max((abs(p.seen.high) for p in _parts(look) if p.seen is not None), default=0.0)
    microvolts = option("scale", 1e-6, "if values are microvolts: makes them volts")
    scale = [] if high < 0.1 else [replace(microvolts, hint=_factors(look))]
    if (volts := _VOLTS.get(look.unit.strip().lower())) is not None:
        scale = [Line(key="scale", value=volts, guess=f"its attribute states {look.unit}: makes them volts")]
    return found.section(look, *lines, *bands, *scale)


def _factors(look: Look) -> str:
    """What the files say about the unit of the values of LFP."""
    stated = [f"{key} is {texts[0]}" for key, texts in look.attributes.items() if texts and set(words(key)) & _FACTORS]
    is_whole = all(p.seen is not None and p.seen.is_integer for p in _parts(look))
    said = ["whole numbers are often steps of a converter, whose scale is the volts of one step"] if is_whole else []
    return "; ".join([*said, *stated])


def _parts(look: Look) -> tuple[Look, ...]:
    return look.elements if look.kind == "cell" else (look,)


def _behavior_section(found: Findings, look: Look) -> Section:
    lines, width = _values(found, look, "columns", BEHAVIOR, "behavior")
    return found.section(look, *lines, *_columns(look, width))


def _columns(look: Look, width: int) -> list[Line]:
    """Names, units, and what can be done with columns."""
    names, lines = _names(look, width)
    of_columns = _periods(look, width)
    periods = {name: period for name, period in zip(names, of_columns, strict=True) if period}
    units = next((k for k in ("units", "unit") if len(look.attributes.get(k, ())) == width), None)
    if units is not None:
        lines.append(Line(key="units_attribute", value=units, guess=f"it holds {', '.join(look.attributes[units])}"))
    else:
        lines.append(option("units", [_unit(look, period) for period in of_columns], "for figures and exports"))
    if periods:
        lines.append(
            Line(
                key="circular",
                value={name: round(period, 7) for name, period in periods.items()},
                guess="it jumps from one end of its range to the other, as angles do",
                questions=("is it an angle, with this period? Otherwise leave out this line",),
            )
        )
    elif says(look.path, _POSITIONS) and not says(look.path, _VELOCITIES):
        named = "; then name the velocities in columns" if any(line.key == "columns" for line in lines) else ""
        lines.append(option("derive", "velocity", f"to decode velocity instead of position{named}"))
    return lines


def _names(look: Look, width: int) -> tuple[list[str], list[Line]]:
    """Names of the columns, and the lines that give them and leave out those that are time."""
    stamps = _time_columns(look, width)
    stated = next((key for key in look.attributes if _are_names(key) and len(look.attributes[key]) == width), None)
    if stated is not None:
        names = list(look.attributes[stated])
        lines = [Line(key="names_attribute", value=stated, guess=f"it holds {', '.join(names)}")]
    else:
        others = iter(column_names(look.path, width - len(stamps)))
        names = [f"time{stamps.index(i) or ''}" if i in stamps else next(others) for i in range(width)]
        lines = [Line(key="names", value=names, guess="from the name of the variable", questions=_asks_names(width))]
    if stamps:
        kept = [name for i, name in enumerate(names) if i not in stamps]
        first = _matrices(look, width)[0][:, stamps[0]]
        step = float(np.median(np.diff(first)))
        asks = (
            f"is column {stamps[0] + 1} time? It rises by nearly equal steps of {step:.6g} from {first[0]:.6g}: if "
            f"these are seconds, rate_hz is {1 / step:.6g} and start_s {first[0]:.6g}. If it is behavior, leave out "
            "this line"
        )
        lines.append(Line(key="columns", value=kept, guess="without what rises as time does", questions=(asks,)))
    return names, lines


def _are_names(key: str) -> bool:
    return key.lower() in ("names", "columns", "labels", "column_names")


def _time_columns(look: Look, width: int) -> list[int]:
    """Numbers of the columns that are time stamps, or numbers of samples; none if all columns rise so."""
    matrices = _matrices(look, width) if width > 1 else []
    found = [i for i in range(width) if matrices and all(is_time(values[:, i]) for values in matrices)]
    return found if len(found) < width else []


def _matrices(look: Look, width: int) -> list[np.ndarray]:
    """(n, width) values that were looked at: of a matrix, or of some trials."""
    if look.kind == "cell" and _is_pattern(look):
        return []
    found = [np.asarray(p.values) for p in _parts(look) if p.values is not None and p.values.ndim == 2]
    turned = [values if values.shape[-1] == width else values.T for values in found]
    return [values for values in turned if values.shape[-1] == width]


def _unit(look: Look, period: float | None) -> str:
    """An example of a unit."""
    if period is not None:
        return "deg" if round(period) == 360 else "rad" if round(period, 2) == round(2 * np.pi, 2) else "cycles"
    return "cm/s" if says(look.path, _VELOCITIES) else "cm"


def _asks_names(width: int) -> tuple[str, ...]:
    return () if width == 1 else ("what are the columns?",)


def _periods(look: Look, width: int) -> list[float | None]:
    parts = _parts(look)
    if look.kind == "cell" or len(look.shape) > 2 or parts[0].values is None:
        return [None] * width
    values = np.asarray(parts[0].values)
    if look.is_vector:
        return [period_of(np.ravel(values))]
    values = values if values.shape[-1] == width else values.T
    return [period_of(column) for column in values.T] if values.shape[-1] == width else [None] * width
