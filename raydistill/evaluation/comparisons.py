"""Comparisons of two methods over the sessions and seeds of a sweep."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.gain_interval import ScoredPair, interval_of_gain
from raydistill.evaluation.measure import R2, Measure
from raydistill.evaluation.power import sessions_needed, smallest_p
from raydistill.evaluation.scores import Score
from raydistill.evaluation.statistics import SignedRank, holm, wilcoxon_greater
from raydistill.papers.targets import Panel


@dataclass(frozen=True, slots=True)
class SessionLevel:
    """The signed-rank test over sessions, with the seeds of each session averaged."""

    n: int
    p: float
    needed: int | None = None
    """Number of sessions that a gain of this size and spread needs to be significant in 80 % of repetitions; None if
    it is unknown or too large (`power.sessions_needed`)."""

    @property
    def smallest_p(self) -> float:
        """The smallest p that this number of sessions can give."""
        return smallest_p(self.n)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Whether method `better` has a higher score than method `worse`, over pairs of session and seed."""

    better: str
    worse: str
    measure: Measure = R2
    """What the scores are."""
    figure: str | None = None
    """Figure of a paper whose sessions are compared; None: all sessions are."""
    test: SignedRank
    p_holm: float
    """p corrected by Holm over the comparisons of the sweep (`compare_all`); uncorrected in a single comparison."""
    mean_difference: float
    ci_low: float
    """Lower end of the 95% interval of the mean difference, from resampled sessions and trials."""
    ci_high: float
    session_level: SessionLevel
    wins: int
    losses: int
    pairs: tuple[tuple[str, int | None, float, float], ...]
    """(session, seed, score of better, score of worse), each the mean over the draws of the folds."""
    missing: tuple[tuple[str, str, int | None], ...]
    """(method, session, seed) that lacks a score that the other method has; in a draw of the folds in which one is
    missing, neither counts."""

    @property
    def means(self) -> tuple[float, float]:
        """Mean score of `better` and of `worse` over the pairs; nan without pairs."""
        of_better, of_worse = (float(np.mean([pair[i] for pair in self.pairs] or [np.nan])) for i in (2, 3))
        return of_better, of_worse

    @property
    def decodes_nothing(self) -> bool:
        """Whether neither method is better than chance. A difference between two such methods tells which
        one overfits less, and not what their signals hold."""
        return bool(self.pairs) and max(self.means) <= self.measure.chance


def compare(better: str, worse: str, scores: Sequence[Score], seed: int = 0, measure: Measure = R2) -> Comparison:
    """Compare two methods over the sessions and seeds of either.

    That of a pair is the mean over the draws of the folds in which both methods have a score. A score without a seed
    (of a baseline) is paired with every seed of its session. A score that is not finite counts as missing.

    Args:
        seed: of the bootstrap.
        measure: what the scores are.
    Raises:
        DataError: a method has two scores for the same session and seed.
    """
    table = {name: _scores_of(name, scores) for name in (better, worse)}
    keys = sorted({k for t in table.values() for k in t}, key=lambda k: (k[0], k[1] is not None, k[1] or 0))
    seeded = {session for session, s in keys if s is not None}
    pairs, missing, scored = [], [], defaultdict[str, list[ScoredPair]](list)
    for session, s in keys:
        if s is None and session in seeded:
            continue
        a, b = (table[name].get((session, s), table[name].get((session, None), {})) for name in (better, worse))
        sides = ((better, a, b), (worse, b, a))
        missing += [(name, session, s) for name, own, other in sides if not own or other.keys() - own.keys()]
        if common := sorted(a.keys() & b.keys()):
            of_a, of_b = (float(np.mean([own[draw].value for draw in common])) for own in (a, b))
            pairs.append((session, s, of_a, of_b))
            scored[session] += [(draw, a[draw].units, b[draw].units) for draw in common]

    sessions = np.array([p[0] for p in pairs], dtype=str)
    scores_a, scores_b = np.array([p[2:] for p in pairs], dtype=np.float64).reshape(-1, 2).T  # (n,) each
    difference = scores_a - scores_b
    starts = np.flatnonzero(sessions[1:] != sessions[:-1]) + 1  # the pairs are sorted by session
    means = np.array([of_session.mean() for of_session in np.split(difference, starts) if len(of_session)])
    test, by_session = wilcoxon_greater(scores_a, scores_b), wilcoxon_greater(means, np.zeros(len(means)))
    ci_low, ci_high = interval_of_gain(difference, sessions, list(scored.values()), seed)
    return Comparison(
        better=better,
        worse=worse,
        measure=measure,
        test=test,
        p_holm=test.p,
        mean_difference=float(difference.mean()) if len(pairs) else float("nan"),
        ci_low=ci_low,
        ci_high=ci_high,
        session_level=SessionLevel(by_session.n, by_session.p, sessions_needed(means)),
        wins=int((difference > 0).sum()),
        losses=int((difference < 0).sum()),
        pairs=tuple(pairs),
        missing=tuple(missing),
    )


def compare_all(panels: Sequence[Panel], scores: Sequence[Score], measure: Measure = R2) -> tuple[Comparison, ...]:
    """The comparisons of every panel over its sessions, with p-values corrected by Holm over all of them."""
    comparisons: list[Comparison] = []
    for panel in panels:
        of_panel = [s for s in scores if panel.shows(s.session)]
        comparisons += [
            replace(compare(better, worse, of_panel, measure=measure), figure=panel.figure)
            for better, worse in panel.pairs
        ]
    corrected = holm([c.test.p for c in comparisons])
    return tuple(replace(c, p_holm=p) for c, p in zip(comparisons, corrected, strict=True))


def _scores_of(method: str, scores: Sequence[Score]) -> dict[tuple[str, int | None], dict[int, Score]]:
    """(session, seed) -> draw of the folds -> score of one method."""
    by_draw: dict[tuple[str, int | None], dict[int, Score]] = defaultdict(dict)
    for s in scores:
        if s.method == method and np.isfinite(s.value):
            if s.draw in by_draw[s.session, s.seed]:
                raise DataError(f"method {method!r} has two scores for session {s.session}, seed {s.seed}")
            by_draw[s.session, s.seed][s.draw] = s
    return dict(by_draw)
