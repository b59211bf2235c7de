"""The 95 % interval of a mean difference in R²: sessions are resampled, and within each of them the scored trials.

See docs/methods.md, Statistics.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from raydistill.evaluation.interval import LEVEL
from raydistill.evaluation.units import ScoredUnits

ScoredPair = tuple[int, ScoredUnits | None, ScoredUnits | None]
"""(draw of the folds, scored trials or segments of the one method, of the other) on one session with one seed."""
RESAMPLES = 10_000
_REPLICATES = 1000  # of the difference in one session
_AT_ONCE = 4_000_000  # drawn sessions that are in memory, 8 bytes each, three times


def interval_of_gain(differences, sessions, scored: Sequence[Sequence[ScoredPair]], seed: int) -> tuple[float, float]:
    """(low, high) percentile interval of the mean difference.

    With fewer than about ten sessions such an interval is too narrow; read it together with the session-level test.

    Args:
        differences: (n,) one per session and seed.
        sessions: (n,) session of each difference, sorted.
        scored: per session, its pairs. If one lacks the trials of a job, whole sessions alone are resampled.
    Returns:
        NaN twice if there are fewer than three sessions: the few means of two are no distribution.
    """
    names, member = np.unique(np.asarray(sessions, dtype=str), return_inverse=True)
    if len(names) < 3:
        return float("nan"), float("nan")
    of_sessions, of_trials = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    replicates, count = [_replicates(pairs, of_trials) for pairs in scored], np.bincount(member)
    if any(of_session is None for of_session in replicates):
        means = (np.bincount(member, weights=differences) / count)[:, None]  # (sessions, 1)
    else:
        means = np.array(replicates)  # (sessions, _REPLICATES)
    resampled = []
    step = max(1, _AT_ONCE // len(names))
    for first in range(0, RESAMPLES, step):
        shape = (min(step, RESAMPLES - first), len(names))
        drawn, which = of_sessions.integers(len(names), size=shape), of_trials.integers(means.shape[1], size=shape)
        resampled.append((means[drawn, which] * count[drawn]).sum(axis=1) / count[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(resampled), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _replicates(pairs: Sequence[ScoredPair], rng: np.random.Generator) -> np.ndarray | None:
    """(_REPLICATES,) differences in one session with its trials resampled: the same trials for both methods and all
    seeds, others for each draw of the folds. None if the scored trials of a job are unknown or not those of the other.
    """
    by_draw: dict[int, list[tuple[ScoredUnits, ScoredUnits]]] = defaultdict(list)
    for draw, a, b in pairs:
        if a is None or b is None or not np.array_equal(a.numbers, b.numbers):
            return None
        by_draw[draw].append((a, b))
    differences = []
    for of_draw in by_draw.values():
        n = len(of_draw[0][0].numbers)
        if any(len(a.numbers) != n for a, _ in of_draw):
            return None
        times = rng.multinomial(n, np.full(n, 1 / n), size=_REPLICATES)  # (_REPLICATES, n)
        differences += [a.r2(times) - b.r2(times) for a, b in of_draw]
    mean = np.mean(differences, axis=0)  # (_REPLICATES,)
    # A resample of very few trials can have behavior without variance, and so no R².
    return np.where(np.isfinite(mean), mean, np.nanmean(mean)) if np.isfinite(mean).any() else None
