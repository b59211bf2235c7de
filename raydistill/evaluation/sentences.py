"""The results of a sweep in sentences, for the terminal, the page and MLflow."""

from collections import defaultdict

import numpy as np

from raydistill.evaluation.comparisons import Comparison
from raydistill.evaluation.controls import origin_of_gain
from raydistill.evaluation.results import Results, unique
from raydistill.evaluation.statistics import ALPHA


def headline(results: Results) -> str:
    """The first comparison in words without statistics; empty if nothing was compared."""
    compared = [c for c in results.comparisons if c.test.n]
    if not compared:
        return ""
    c = compared[0]
    better, worse = c.means
    scores, target = f"{better:.2f} against {worse:.2f}, where {c.measure.scale}", c.measure.target
    if c.decodes_nothing:
        text = f"Neither {c.better} nor {c.worse} decodes {target} here ({scores})."
    elif c.p_holm >= ALPHA:
        text = f"It is not shown that {c.better} decodes {target} better than {c.worse} ({scores})."
    elif c.session_level.p >= ALPHA:
        n = c.session_level.n
        few = f"{n} session{'s are' if n > 1 else ' is'} too few to be sure"
        text = f"{c.better} decodes {target} better than {c.worse} here ({scores}), but {few}."
    else:
        text = f"{c.better} decodes {target} better than {c.worse} ({scores})."
    is_below = (c.better, c.figure) in {(b.method, b.figure) for b in results.below}
    figure = f"{c.figure}: " if c.figure else ""
    return figure + text + (f" A plain decoder of the same signals is better than {c.better}." if is_below else "")


def verdict(c: Comparison) -> str:
    """A comparison as two sentences: the result, and the test behind it."""
    if not c.test.n:
        return f"{c.better} and {c.worse} have no scored session in common, so they cannot be compared."
    interval = f" (95% CI {c.ci_low:+.3f} to {c.ci_high:+.3f})" if np.isfinite(c.ci_low) else ""
    n, sessions = len(c.missing), c.session_level.n
    excluded = f" {n} score{'s are' if n != 1 else ' is'} missing; their pairs are excluded." if n else ""
    return (
        f"{c.better} {_finding(c)}: "
        f"mean difference {c.mean_difference:+.3f} {c.measure.symbol}{interval}, better in {c.wins} and worse in "
        f"{c.losses} of {c.test.n} pairs. One-sided signed-rank test over session-seed pairs: p = {c.test.p:.2g} "
        f"({c.test.p_method}), {c.p_holm:.2g} after Holm correction; over {sessions} "
        f"session{'s' if sessions != 1 else ''}: p = {c.session_level.p:.2g}.{excluded}"
    )


def _finding(c: Comparison) -> str:
    if c.decodes_nothing:
        better, worse = c.means
        return (
            f"and {c.worse} decode nothing (mean {c.measure.symbol} {better:.3f} and {worse:.3f}, where "
            f"{c.measure.nothing}), so a difference between them is no gain"
        )
    if c.p_holm >= ALPHA:
        return f"does not decode significantly better than {c.worse}"
    if c.session_level.p >= ALPHA:
        return (
            f"decodes better than {c.worse} over session-seed pairs, but the session-level test "
            f"(n = {c.session_level.n}) is not significant"
        )
    return f"decodes better than {c.worse}"


def limits(results: Results) -> list[str]:
    """What the number of sessions cannot show, and how many sessions each gain would need."""
    compared = [c for c in results.comparisons if c.test.n and c.session_level.p >= ALPHA]
    few = {c.session_level.n: c.session_level.smallest_p for c in compared if c.session_level.smallest_p >= ALPHA}
    sentences = [
        f"{n} session{'s' if n > 1 else ''} cannot show that any method is better: the smallest p that a test over "
        f"{n} session{'s' if n > 1 else ''} can give is {p:.2g}."
        for n, p in sorted(few.items())
    ]
    needed = [
        f"{c.session_level.needed} sessions for {c.better} > {c.worse}{f' in {c.figure}' if c.figure else ''}"
        for c in compared
        if c.session_level.needed
    ]
    if needed:
        sentences.append(
            f"With gains of the size and spread seen here, a test over sessions would need about {', '.join(needed)} "
            "(80 % power, simulated)."
        )
    return sentences


def origins(results: Results) -> list[str]:
    """For each method with controls: is its gain owed to the spikes?"""
    return [text for method in unique(c.method for c in results.controls) for text in origins_of(method, results)]


def origins_of(method: str, results: Results) -> list[str]:
    """One sentence for each figure in which the method has controls."""
    sentences = []
    for figure in dict.fromkeys(c.gain.figure for c in results.controls if c.method == method):
        tests = [c for c in results.controls if c.gain.figure == figure]
        compared = [c for c in results.comparisons if c.better == method and c.figure == figure and c.test.n]
        text = f"{figure}: " if figure else ""
        if compared and all(c.decodes_nothing for c in compared):
            text += f"{method} decodes nothing, so it has no gain to explain."
        elif compared and max(c.mean_difference for c in compared) <= 0:
            text += f"{method} is not better than what it is compared with, so it has no gain to explain."
        else:
            text += origin_of_gain(method, tests)
        sentences.append(text)
    return sentences


def missing_by_line(results: Results, named: int = 4) -> list[str]:
    """One line of text for each line of the sweep file of which jobs are missing, with the names of some of them."""
    by_line = defaultdict(list)
    for m in results.missing:
        by_line[m.name.partition("/")[0]].append(m)
    lines = []
    for line, jobs in by_line.items():
        names = ", ".join(m.name.partition("/")[2] or m.name for m in jobs[:named])
        more = f" and {len(jobs) - named} more" if len(jobs) > named else ""
        reasons = unique(m.reason for m in jobs)
        reason = reasons[0] if len(reasons) == 1 else f"{reasons[0]}, or another reason (`raydistill plan`)"
        lines.append(f"{line}: {len(jobs)} job{'s' if len(jobs) != 1 else ''} ({names}{more}): {reason}")
    return lines
