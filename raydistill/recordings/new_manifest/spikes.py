"""Which variables are spikes: times of each unit, times with the unit of each, or counts per bin."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from raydistill.errors import counted
from raydistill.recordings.new_manifest.counts import counts_line, is_counts_array
from raydistill.recordings.new_manifest.findings import Findings, several
from raydistill.recordings.new_manifest.looks import Look
from raydistill.recordings.new_manifest.names import (
    BEHAVIOR,
    IDS,
    LETTERS,
    LFP,
    SPIKES,
    START,
    STOP,
    TIME,
    TRIAL,
    all_words,
    own_words,
    says,
)
from raydistill.recordings.new_manifest.text import Line
from raydistill.recordings.new_manifest.time_units import clock_unit

_MOST_UNITS = 5000


def spikes(found: Findings) -> Line | None:
    """The section of spikes; what it uses is marked in `found`. None: nothing looks like spikes."""
    candidates = [
        *((look, _time_lists) for look in found.left if _is_time_list(look)),
        *((pair[0], _flat(pair[1])) for pair in _flat_pairs(found.left)),
        *((look, counts_line) for look in found.left if is_counts_array(look)),
        *((look, _one_unit) for look in found.left if _is_one_unit(look)),
    ]
    if not candidates:
        return None
    best = max(candidates, key=lambda c: (_strength(c[0]), -candidates.index(c)))
    others = [look for look, _ in candidates if look is not best[0]]
    line = best[1](found, best[0])
    others = [look for look in others if (look.file, look.path) not in found.used]
    return line.asking(f"other variables could be the spikes: {several(others)}" if others else "")


def _strength(look: Look) -> int:
    named, behind = own_words(look.path), all_words(look.path)
    if look.is_wide:
        named = named - LETTERS
    return 2 * bool(named & SPIKES) + bool(behind & SPIKES) - 3 * bool(named & (BEHAVIOR | LFP))


# Times


def _is_time_list(look: Look) -> bool:
    if look.kind != "cell" or len(look.shape) > 2 or says(look.path, BEHAVIOR | LFP | START | STOP):
        return False
    parts = look.elements
    if look.of == "cells":
        parts = tuple(inner for part in look.elements for inner in part.elements)
        if not parts or any(inner.kind == "cell" for inner in parts):
            return False
    elif look.of != "vectors":
        return False
    if any(not p.is_number or p.seen is None or not p.seen.is_ascending or p.dtype == "bool" for p in parts):
        return False
    if not says(look.path, SPIKES) and all(p.seen is not None and p.seen.is_uniform for p in parts):
        return False  # clocks
    return any(p.size >= 3 and p.seen is not None and p.seen.n_changes > 1 for p in parts)


def _time_lists(found: Findings, look: Look) -> Line:
    found.use(look, "spikes")
    nested = look.of == "cells"
    parts = [p for e in look.elements for p in e.elements] if nested else list(look.elements)
    n = int(np.prod(look.shape))
    axes, asks, what = _list_axes(look, parts, nested, _numbers_of_trials(found))
    lines = [
        Line(
            key="times",
            value=look.path,
            guess=f"{what}; times ascend from {min(_low(p) for p in parts):.6g} to {max(_high(p) for p in parts):.6g}",
        )
    ]
    if axes:
        lines.append(Line(key="axes", value=axes, questions=(asks,)))
        if "trials" in axes:
            found.n_trials = look.shape[axes.index("trials")] if len(look.shape) == 2 and len(axes) == 2 else n
            if len(axes) == 1 or (nested and axes[0] == "trials"):
                found.n_trials = n
            lines.append(_times_from(parts, axes))
    else:
        found.in_trials = False
        lines[0] = lines[0].asking(asks)
    latest = max(parts, key=_high)
    lines += clock_unit(found, latest, is_spikes=True, is_duration="trials" not in axes)
    return Line(key="spikes", value=found.section(look, *lines))


def _numbers_of_trials(found: Findings) -> set[int]:
    """How many trials other variables have, if they are stored trial by trial."""
    tensors = {size for look in found.looks if look.is_number and len(look.shape) == 3 for size in look.shape}
    return tensors | {len(look.shapes) for look in found.looks if look.kind == "cell" and look.of == "matrices"}


def _list_axes(look: Look, parts: Sequence[Look], nested: bool, trials: set[int]) -> tuple[list[str], str, str]:
    """Dimensions of a list of times (empty: its elements are units), a question, and what the list is in words.

    Args:
        trials: how many trials there may be.
    """
    n = int(np.prod(look.shape))
    is_list = n == max(look.shape, default=1)
    trial_like = bool(all_words(look.path) & TRIAL)
    if nested:
        inner = int(np.prod(look.elements[0].shape))
        outer_trials = trial_like or look.in_struct_array or (n in trials and inner not in trials)
        axes = ["trials", "units"] if outer_trials else ["units", "trials"]
        asks = f"is it {axes} ({n} {axes[0]} with {inner} {axes[1]} each), or {axes[::-1]}?".replace("'", "")
        return axes, asks, f"{n} lists of lists of spike times"
    if not is_list:
        rows, columns = look.shape
        turned = rows in trials and columns not in trials
        axes = ["trials", "units"] if turned else ["units", "trials"]
        asks = f"is it {axes} ({rows} {axes[0]}, {columns} {axes[1]}), or {axes[::-1]}?".replace("'", "")
        return axes, asks, f"{rows} x {columns} lists of spike times"
    is_unit = bool(all_words(look.path) & {"unit", "units", "neuron", "neurons", "cell", "cells", "cluster"})
    if n > 1 and not is_unit and (trial_like or _follow_each_other(parts)):
        asks = "one unit in several trials, as guessed, or several units? Then leave out `axes` and `times_from`"
        return ["trials"], asks, f"{n} lists of spike times, one per trial"
    asks = "are these units? If they are the trials of one unit, set axes: [trials]" if look.in_struct_array else ""
    return [], asks, f"{counted(n, 'list')} of spike times, one per unit"


def _follow_each_other(parts: Sequence[Look]) -> bool:
    return len(parts) >= 3 and all(_high(a) <= _low(b) for a, b in pairwise(parts))


def _times_from(parts: Sequence[Look], axes: Sequence[str]) -> Line:
    """Whether times begin anew in each trial."""
    lows = sorted(_low(p) for p in parts)
    highs = sorted(_high(p) for p in parts)
    from_trial = lows[0] < 0 or lows[-1] < highs[len(highs) // 2]
    value = "trial" if from_trial else "recording"
    why = "times begin anew in each trial" if from_trial else "times of later trials are later"
    return Line(
        key="times_from",
        value=value,
        guess=why,
        questions=(
            "are times relative to the start of each trial (trial), or to the start of the recording (recording)? The "
            "durations of trials must come from another signal in trials, or from `trials`",
        ),
    )


def _low(look: Look) -> float:
    return look.seen.low if look.seen is not None else np.nan


def _high(look: Look) -> float:
    return look.seen.high if look.seen is not None else np.nan


# One vector of times with the unit of each


def _flat_pairs(looks: Sequence[Look]) -> list[tuple[Look, Look]]:
    """(times, units) of the same length, in one file."""
    pairs = []
    for times in looks:
        if not times.is_vector or times.values is None or says(times.path, BEHAVIOR | LFP | START | STOP | TRIAL):
            continue
        for ids in looks:
            if ids is not times and ids.file == times.file and ids.size == times.size and _are_ids(ids, times):
                pairs.append((times, ids))
    return sorted(pairs, key=lambda p: -_pair_strength(*p))


def _pair_strength(times: Look, ids: Look) -> int:
    return _strength(times) + 2 * says(ids.path, IDS) + says(times.path, TIME) + says(times.path, {"st"})


def _are_ids(ids: Look, times: Look) -> bool:
    if not ids.is_vector or ids.values is None or ids.seen is None or times.seen is None or times.values is None:
        return False
    if not ids.seen.is_integer or ids.seen.low < 0 or ids.seen.n_distinct > min(_MOST_UNITS, ids.size // 2):
        return False
    if times.seen.low < 0 or times.seen.is_uniform or says(ids.path, TRIAL | BEHAVIOR | LFP):
        return False
    if times.seen.n_distinct <= ids.seen.n_distinct:
        return False
    named = says(ids.path, IDS) or bool(all_words(times.path) & SPIKES)
    owners, values = np.ravel(ids.values), np.ravel(times.values).astype(np.float64)
    order = np.argsort(owners, kind="stable")
    same = np.diff(owners[order]) == 0
    ascending = bool(np.all(np.diff(values[order])[same] >= 0))
    # Without a name, both must look the part: times of all units in order, and units that change all the time.
    return ascending and (named or (times.seen.is_ascending and ids.seen.n_changes > ids.size // 4))


def _flat(ids: Look) -> Callable[[Findings, Look], Line]:
    def lines(found: Findings, times: Look) -> Line:
        found.in_trials = False
        found.use(times, "spikes")
        found.use(ids, "spikes")
        assert times.seen is not None and ids.seen is not None
        of_times = f"{times.size} times from {times.seen.low:.6g} to {times.seen.high:.6g}, as many as {ids.path} has"
        of_ids = f"{ids.seen.n_distinct} different {ids.seen.range}: the unit of each spike"
        return Line(
            key="spikes",
            value=found.section(
                times,
                Line(key="times", value=times.path, guess=of_times),
                Line(key="unit_ids", value=ids.path, guess=of_ids),
                *clock_unit(found, times, is_spikes=True),
            ),
        )

    return lines


def _is_one_unit(look: Look) -> bool:
    seen = look.seen
    if not look.is_vector or seen is None or not seen.is_ascending or seen.is_uniform or seen.n_changes < 2:
        return False
    return says(look.path, SPIKES) and not says(look.path, BEHAVIOR | LFP | START | STOP | TRIAL)


def _one_unit(found: Findings, look: Look) -> Line:
    found.use(look, "spikes")
    found.in_trials = False
    line = Line(
        key="times",
        value=look.path,
        guess=f"{look.size} ascending times: the spikes of one unit",
        questions=("one unit? If they are of several, name the vector with the unit of each as unit_ids",),
    )
    return Line(key="spikes", value=found.section(look, line, *clock_unit(found, look, is_spikes=True)))
