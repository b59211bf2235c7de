"""Is one method better than another? The published test, and what is reported with its p-value.

The published signed-rank test takes every pair of session and seed as independent, although the seeds of one session
give nearly the same score. Each comparison therefore also has the same test over session means, an interval of the
mean difference (gain_interval.py), an effect size, and a p-value corrected over the sweep (Holm 1979). See
docs/methods.md, Statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ALPHA = 0.05
"""Level of significance."""
EXACT_UP_TO = 50
"""Number of non-zero differences up to which the null distribution is computed exactly."""


@dataclass(frozen=True, slots=True)
class SignedRank:
    """A one-sided Wilcoxon signed-rank test of differences above zero."""

    n: int
    """Pairs, including those without a difference."""
    n_zero: int
    """Pairs without a difference; they are excluded from the ranking."""
    n_tie: int
    """Pairs with the same absolute difference as another pair; each gets the mean of their ranks."""
    statistic: float
    """Sum of the ranks of the positive differences."""
    p: float
    """NaN if there is no pair."""
    p_method: str
    """`exact`, `approximate` (normal, corrected for ties), or `none` if there is no pair."""
    effect_size: float
    """Matched-pairs rank-biserial correlation: 1 if all ranked differences are positive, -1 if all are negative."""


def wilcoxon_greater(a, b) -> SignedRank:
    """The signed-rank test of a > b over the pairs of a and b (n,), all finite.

    Up to 50 non-zero differences the null distribution is exact, including ties; scipy falls back to the normal
    approximation if there is a tie or a zero. Above 50 it is that approximation, as in the published test. Differences
    are rounded to 12 decimals, below which they are rounding errors.
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


def _exact_tail(ranks: np.ndarray, statistic: float) -> float:
    """P(W >= statistic) if each rank is positive or negative with equal probability."""
    doubled = np.round(2 * ranks).astype(int)  # mean ranks of ties are halves
    return float(_sign_patterns(doubled)[round(2 * statistic) :].sum() / 2.0 ** len(ranks))


def _sign_patterns(ranks: np.ndarray) -> np.ndarray:
    """[s]: number of sign patterns with W = s, for integer ranks; exact in float64 up to 50 ranks."""
    ways = np.zeros(ranks.sum() + 1)
    ways[0] = 1.0
    for rank in ranks:
        ways[rank:] += ways[:-rank].copy()
    return ways


def null_tail(n: int) -> np.ndarray:
    """[w]: P(W >= w) for n nonzero differences without ties."""
    return np.cumsum(_sign_patterns(np.arange(1, n + 1))[::-1])[::-1] / 2.0**n


def _normal_tail(ranks: np.ndarray, statistic: float) -> float:
    """P(W >= statistic) by the normal approximation."""
    from scipy.stats import norm

    # The variance sum(ranks²) / 4 includes the correction for ties.
    return float(norm.sf((statistic - ranks.sum() / 2) / np.sqrt((ranks**2).sum() / 4)))


def holm(ps: Sequence[float]) -> list[float]:
    """p-values corrected for multiple comparisons (Holm 1979); NaN stays NaN and is not counted as a comparison."""
    p = np.asarray(ps, dtype=np.float64)
    corrected = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p) if not np.isnan(p[i])]
    largest = 0.0  # corrected values never decrease with p
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * p[i]))
        corrected[i] = largest
    return corrected.tolist()
