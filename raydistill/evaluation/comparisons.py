"""Comparisons of two methods over the sessions and seeds of a sweep."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.scores import Score
from raydistill.evaluation.statistics import SignedRank, cluster_bootstrap, holm, wilcoxon_greater
from raydistill.papers.targets import Panel


@dataclass(frozen=True, slots=True)
class SessionLevel:
    """The same test over sessions, the seeds of each averaged."""

    n: int
    p: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Whether `better` decodes better than `worse`, pair by pair over sessions and seeds."""

    better: str
    worse: str
    figure: str | None = None
    """Of the paper, whose sessions are compared; None: all sessions."""
    test: SignedRank
    p_holm: float
    """Corrected over the sweep's comparisons by `compare_all`; alone it is p."""
    mean_difference: float
    ci_low: float
    """95% interval of the mean difference over sessions."""
    ci_high: float
    session_level: SessionLevel
    wins: int
    losses: int
    pairs: tuple[tuple[str, int | None, float, float], ...]
    """(session, seed, R² of better, R² of worse)."""
    missing: tuple[tuple[str, str, int | None], ...]
    """(method, session, seed) that lack a score, so that the pair is left out."""


def compare(better: str, worse: str, scores: Sequence[Score], seed: int = 0) -> Comparison:
    """The comparison of two methods over the sessions and seeds that either of them has.

    A score without a seed (a baseline) pairs with every seed of its session. A NaN score counts as missing.
    """
    table = {name: _scores_of(name, scores) for name in (better, worse)}
    keys = sorted({k for t in table.values() for k in t}, key=lambda k: (k[0], k[1] is not None, k[1] or 0))
    seeded = {session for session, s in keys if s is not None}
    pairs, missing = [], []
    for session, s in keys:
        if s is None and session in seeded:
            continue
        found = {name: t.get((session, s), t.get((session, None))) for name, t in table.items()}
        missing += [(name, session, s) for name, r2 in found.items() if r2 is None]
        if None not in found.values():
            pairs.append((session, s, found[better], found[worse]))

    sessions = np.array([p[0] for p in pairs], dtype=str)
    a, b = np.array([p[2:] for p in pairs], dtype=np.float64).reshape(-1, 2).T
    difference = a - b
    means = np.array([difference[sessions == name].mean() for name in np.unique(sessions)])
    test, by_session = wilcoxon_greater(a, b), wilcoxon_greater(means, np.zeros(len(means)))
    ci_low, ci_high = cluster_bootstrap(difference, sessions, seed)
    return Comparison(
        better=better,
        worse=worse,
        test=test,
        p_holm=test.p,
        mean_difference=float(difference.mean()) if len(pairs) else float("nan"),
        ci_low=ci_low,
        ci_high=ci_high,
        session_level=SessionLevel(by_session.n, by_session.p),
        wins=int((difference > 0).sum()),
        losses=int((difference < 0).sum()),
        pairs=tuple(pairs),
        missing=tuple(missing),
    )


def compare_all(panels: Sequence[Panel], scores: Sequence[Score]) -> tuple[Comparison, ...]:
    """Each (better, worse) of every figure over its sessions, with p-values corrected over all of them together."""
    made = []
    for panel in panels:
        shown = [s for s in scores if panel.shows(s.session)]
        made += [replace(compare(better, worse, shown), figure=panel.figure) for better, worse in panel.pairs]
    return tuple(replace(c, p_holm=p) for c, p in zip(made, holm([c.test.p for c in made]), strict=True))


def _scores_of(method, scores):
    """(session, seed) -> R² of one method."""
    found = {}
    for s in scores:
        if s.method == method and np.isfinite(s.r2):
            if (s.session, s.seed) in found:
                raise DataError(f"method {method!r} has two scores for session {s.session}, seed {s.seed}")
            found[s.session, s.seed] = s.r2
    return found
