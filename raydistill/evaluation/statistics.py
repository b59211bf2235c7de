"""Is one method better than another? The paper's test made sound, and what should stand beside its p-value.

The signed-rank test of the paper (spec D5) takes every session and seed as a pair of its own, although seeds of one
session are near copies (A6 23). So each comparison also carries the same test over session means, an interval of the
mean difference that resamples whole sessions, an effect size, and a p-value corrected over the sweep (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from raydistill.errors import DataError

if TYPE_CHECKING:
    from raydistill.evaluation.panel import Panel
    from raydistill.evaluation.results import Score

EXACT_UP_TO = 50
"""Non-zero differences up to which the null distribution is counted out; beyond it the paper approximates."""


@dataclass(frozen=True, slots=True)
class SignedRank:
    """A one-sided Wilcoxon signed-rank test of whether differences are above zero."""

    n: int
    """Pairs, those without a difference included."""
    n_zero: int
    """Pairs without a difference; they are left out of the ranking."""
    n_tie: int
    """Pairs whose absolute difference another pair shares; they get the mean of their ranks."""
    statistic: float
    """Sum of the ranks of the positive differences."""
    p: float
    """NaN without any pair."""
    p_method: str
    """`exact`, `approximate` (normal, corrected for ties), or `none` without any pair."""
    effect_size: float
    """Matched-pairs rank-biserial correlation: 1 if every ranked difference is positive, -1 if every one negative."""


def wilcoxon_greater(a, b) -> SignedRank:
    """The signed-rank test of a > b, pair by pair; a and b (n,) finite (spec D5).

    The null distribution is counted out up to 50 non-zero differences, ties included, where scipy falls back to the
    normal approximation at the first tie or zero. Beyond 50 it is that approximation, as in the paper. Differences
    of scores are compared to 12 decimals, below which they are rounding.
    """
    from scipy.stats import rankdata

    d = np.round(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64), 12)
    nonzero = d[d != 0]
    ranks = rankdata(np.abs(nonzero))
    statistic = float(ranks[nonzero > 0].sum())
    if not len(d):
        p, method = float("nan"), "none"
    elif len(nonzero) <= EXACT_UP_TO:
        p, method = _exact_tail(ranks, statistic), "exact"
    else:
        p, method = _normal_tail(ranks, statistic), "approximate"
    _, copies = np.unique(ranks, return_counts=True)
    return SignedRank(
        n=len(d),
        n_zero=len(d) - len(nonzero),
        n_tie=int(copies[copies > 1].sum()),
        statistic=statistic,
        p=p,
        p_method=method,
        effect_size=2 * statistic / ranks.sum() - 1 if len(ranks) else 0.0,
    )


def _exact_tail(ranks, statistic):
    """P(W >= statistic) when each rank is positive or negative with equal chance."""
    doubled = np.round(2 * ranks).astype(int)  # mean ranks of ties are halves
    ways = np.zeros(doubled.sum() + 1)  # ways[s]: signs under which W = s / 2; below 2^50, so exact in float64
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] += ways[:-rank].copy()
    return float(ways[round(2 * statistic) :].sum() / 2.0 ** len(ranks))


def _normal_tail(ranks, statistic):
    from scipy.stats import norm

    # The variance sum(ranks²) / 4 holds the correction for ties.
    return float(norm.sf((statistic - ranks.sum() / 2) / np.sqrt((ranks**2).sum() / 4)))


def holm(ps: Sequence[float]) -> list[float]:
    """p-values corrected for the family that they form (Holm 1979); NaN stays NaN and does not count."""
    ps = np.asarray(ps, dtype=np.float64)
    out = np.full(len(ps), np.nan)
    order = [i for i in np.argsort(ps) if not np.isnan(ps[i])]
    worst = 0.0
    for place, i in enumerate(order):
        worst = max(worst, min(1.0, (len(order) - place) * ps[i]))
        out[i] = worst
    return out.tolist()


def cluster_bootstrap(differences, clusters, seed: int, level: float = 0.95, draws: int = 10_000):
    """(low, high) percentile interval of the mean difference, resampling whole clusters with replacement.

    `differences` (n,) and their `clusters` (n,), the session of each. NaN with fewer than two clusters. With few
    clusters (below about ten) such an interval is too narrow: read it with the session-level test.
    """
    names, member = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    total, count = np.bincount(member, weights=differences), np.bincount(member)
    drawn = np.random.default_rng(seed).integers(len(names), size=(draws, len(names)))
    means = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


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
