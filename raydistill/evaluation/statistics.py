"""Is one method better than another? The paper's test made sound, and what should stand beside its p-value.

The signed-rank test of the paper (spec D5) takes every session and seed as a pair of its own, although seeds of one
session are near copies (A6 23). So each comparison also carries the same test over session means, an interval of the
mean difference that resamples whole sessions, an effect size, and a p-value corrected over the sweep (Holm 1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
