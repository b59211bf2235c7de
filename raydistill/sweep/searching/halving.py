"""Which trials continue at a rung (asynchronous successive halving, ASHA).

The scores at rungs are in the study, so that a search that is continued compares with all earlier trials. Ray's and
Optuna's schedulers keep them in memory, or compare trials of one objective only.
"""

from collections.abc import Iterable


def continues(score: float, others: Iterable[float], part: int) -> bool:
    """Whether a trial continues: whether it is in the best 1 / `part` (rounded up) of all trials that came this far.

    Args:
        score: of the trial; greater is better.
        others: scores of the other trials at the same rung.
    """
    scores = list(others)
    better = sum(other > score for other in scores)
    return better * part < len(scores) + 1
