"""Which variables are trials: labels per bin, or starts and stops."""

from collections.abc import Sequence

import numpy as np

from raydistill.recordings.new_manifest.findings import Findings, several
from raydistill.recordings.new_manifest.looks import Look
from raydistill.recordings.new_manifest.names import START, STOP, TRIAL, own_words, says, time_unit_of
from raydistill.recordings.new_manifest.text import Line, choice, number, placeholder
from raydistill.recordings.new_manifest.time_units import clock_unit

_GOOD = set(["good", "correct", "success", "successful", "rewarded"])


def trials(found: Findings) -> list[Line]:
    """The section of trials, and what belongs to it; empty: nothing looks like trials."""
    labels = _labels(found)
    if labels is not None:
        return _labels_lines(found, labels)
    pair = _starts_and_stops(found.left)
    if pair is None and found.in_trials and found.n_trials:
        wheres = _where([look for look in found.left if _is_per_trial(look, found.n_trials)])
        return [choice("trials", {line.key: line.value}, line.questions[0]) for line in wheres]
    if pair is None or (found.in_trials and pair[0].size != found.n_trials):
        return []
    return [_intervals(found, *pair)]


def _labels(found: Findings) -> Look | None:
    """A vector with one whole number per bin, in runs."""
    if not found.bins:
        return None
    fitting = [look for look in found.left if look.is_vector and look.size == found.bins and _has_runs(look)]
    named = [look for look in fitting if says(look.path, TRIAL)]
    return next(iter(named or fitting), None)


def _has_runs(look: Look) -> bool:
    seen = look.seen
    return seen is not None and seen.is_integer and seen.n_distinct >= 2 and seen.n_changes < max(2, seen.n // 4)


def _labels_lines(found: Findings, look: Look) -> list[Line]:
    found.use(look, "trials")
    assert look.seen is not None
    asks = () if says(look.path, TRIAL) else ("are these trials? Otherwise leave out this section",)
    why = f"one of {look.seen.n_distinct} {look.seen.range} per bin, in {look.seen.n_changes + 1} runs"
    lines = [Line(key="labels", value=look.path, guess=why, questions=asks)]
    if look.seen.nan_share:
        lines.append(Line(key="outside", value="nan", guess="some bins hold NaN, and are taken to be in no trial"))
    elif look.seen.low == 0:
        lines.append(_outside_zero(look))
    n_labels = look.seen.n_distinct - (lines[-1].value == "zero")
    wheres = [other for other in found.left if _is_per_trial(other, n_labels)]
    lines += _where(wheres)
    pieces = choice("pieces", "trials", "were trials cut out of a longer recording and laid end to end?")
    return [Line(key="trials", value=found.section(look, *lines)), pieces]


def _outside_zero(look: Look) -> Line:
    values = np.ravel(np.asarray(look.values))
    starts = values[np.flatnonzero(np.diff(values, prepend=values[0] + 1))]
    n_runs = int(np.sum(starts == 0))
    if n_runs > 1:
        return Line(
            key="outside",
            value="zero",
            guess=f"0 occurs in {n_runs} runs, between other numbers",
            questions=("does 0 mean that a bin is in no trial (zero), or is it a trial (negative)?",),
        )
    return Line(
        key="outside",
        value="negative",
        guess="0 occurs in one run, as the number of the first trial would",
        questions=("is 0 a trial (negative), or does it mean that a bin is in no trial (zero)?",),
    )


def _is_per_trial(look: Look, n: int) -> bool:
    seen = look.seen
    if look.kind in ("cell", "text"):
        return look.size == n and (look.kind == "text" or look.of == "texts")
    return look.is_vector and look.size == n and seen is not None and seen.is_integer and seen.n_distinct <= 10


def _where(looks: Sequence[Look]) -> list[Line]:
    if not looks:
        return []
    good = next((look for look in looks if own_words(look.path) & _GOOD), looks[0])
    value: int | str = 1 if good.seen is not None and good.seen.high <= 1 else int(good.seen.high if good.seen else 1)
    if good.kind in ("cell", "text"):
        value = good.elements[0].text if good.elements else good.text.split(" ")[0]
    asks = f"use only some trials? One value per trial: {several(looks)}"
    return [choice("where", {good.path: value}, asks)]


# Starts and stops


def _starts_and_stops(looks: Sequence[Look]) -> tuple[Look, Look] | None:
    starts = [look for look in looks if _are_times(look) and says(look.path, START)]
    stops = [look for look in looks if _are_times(look) and says(look.path, STOP)]
    pairs = [
        (a, b)
        for a in starts
        for b in stops
        if a.file == b.file and a is not b and a.size == b.size and _in_order(a, b)
    ]
    return max(pairs, key=lambda p: len(own_words(p[0].path) & own_words(p[1].path)), default=None)


def _are_times(look: Look) -> bool:
    return look.is_vector and look.seen is not None and look.seen.is_ascending and look.values is not None


def _in_order(start: Look, stop: Look) -> bool:
    a, b = np.ravel(np.asarray(start.values)), np.ravel(np.asarray(stop.values))
    with np.errstate(invalid="ignore"):
        return len(a) == len(b) and not np.any(a > b)


def _intervals(found: Findings, start: Look, stop: Look) -> Line:
    found.use(start, "trials")
    found.use(stop, "trials")
    assert start.seen is not None and stop.seen is not None
    lines = [
        Line(key="start_s", value=start.path, guess=f"{start.size} ascending {start.seen.range}"),
        Line(
            key="stop_s", value=stop.path, guess=f"as many; each is after its start, the last at {stop.seen.high:.6g}"
        ),
        *_unit(found, start, stop),
        *_where([look for look in found.left if _is_per_trial(look, start.size)]),
    ]
    return Line(key="trials", value=found.section(start, *lines))


def _unit(found: Findings, start: Look, stop: Look) -> list[Line]:
    """The unit of starts and stops. Whole numbers that end where a signal ends are its sample numbers."""
    assert stop.seen is not None
    high = stop.seen.high
    if stop.seen.is_integer and time_unit_of(stop.path, stop.unit) in (None, "samples"):
        bins = [("spikes", found.bins, None)] if found.bins else []
        for path, n, rate in [*found.sampled, *bins]:
            if n and 0.6 * n < high <= n + 1 and high > 100:
                what = "bins" if path == "spikes" or n == found.bins else f"samples of {path}"
                is_matlab = stop.file.lower().endswith(".mat")
                asks = "are these sample numbers? Otherwise time_unit: s, ms or us, without rate_hz and one_based"
                return [
                    Line(
                        key="time_unit",
                        value="samples",
                        guess=f"the last stop is {high:.6g}, and there are {n} {what}",
                        questions=(asks,),
                    ),
                    Line(key="rate_hz", value=rate, guess=f"the rate of {path}, {number(rate)} Hz")
                    if rate
                    else placeholder("rate_hz", f"the rate in Hz of these {what} (1000 / width in ms for bins)"),
                    Line(
                        key="one_based",
                        value=is_matlab,
                        guess="MATLAB counts from 1" if is_matlab else "numpy counts from 0",
                        questions=("is the first sample 1, and the stop the last sample of the trial?",),
                    ),
                ]
    lines = clock_unit(found, stop, is_duration=False)
    if found.duration_s and lines[0].value in ("s", "ms", "us"):
        scale = {"s": 1, "ms": 1e-3, "us": 1e-6}[lines[0].value]
        if not 0.2 < high * scale / found.duration_s < 2:
            said = f"in {lines[0].value} the last trial ends at {high * scale:.6g} s, but {found.duration_of} at "
            lines[0] = lines[0].asking(f"{said}{found.duration_s:.6g} s; which unit is right?")
    return lines
