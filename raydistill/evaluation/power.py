"""What a number of sessions can show: the smallest p of the session-level test, and the sessions that a gain needs.

See docs/methods.md, Statistics.
"""

import functools

import numpy as np

from raydistill.evaluation.statistics import ALPHA, null_tail

POWER = 0.8
MOST = 200
"""Number of sessions above which no number is given."""
_DRAWS = 2000


def smallest_p(n: int) -> float:
    """The p of the signed-rank test of n pairs if the gain is positive in each of them; 1 without pairs."""
    return 0.5**n


def sessions_needed(gains) -> int | None:
    """Number of sessions with which the session-level test would be significant in 80 % of repetitions.

    By simulation: the gain of a session is drawn from a normal distribution with the mean and SD of these gains.

    Args:
        gains: (n,) mean difference of each session.
    Returns:
        None if there are fewer than three sessions, if their mean is not positive, or if more than `MOST` are needed.
    """
    gains = np.asarray(gains, dtype=np.float64)
    if len(gains) < 3 or gains.mean() <= 0:
        return None
    draws = np.random.default_rng(0).normal(gains.mean(), gains.std(ddof=1), (_DRAWS, MOST))
    low, high = 4, MOST  # fewer than five sessions are never significant
    if _power(draws[:, :high]) < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(draws[:, :middle]) >= POWER else (middle, high)
    return high


def _power(draws: np.ndarray) -> float:
    """Share of the rows (draws, n) of which the one-sided signed-rank test is significant."""
    ranks = np.abs(draws).argsort(axis=1).argsort(axis=1) + 1  # (draws, n)
    return float(((ranks * (draws > 0)).sum(axis=1) >= _critical(draws.shape[1])).mean())


@functools.cache
def _critical(n: int) -> int:
    """The smallest sum of positive ranks of n sessions with a p of at most `ALPHA`."""
    tail = null_tail(n)  # (n (n + 1) / 2 + 1,)
    return int(np.argmax(tail <= ALPHA)) if tail[-1] <= ALPHA else len(tail)
