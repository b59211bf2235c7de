"""Mean score of a method: over all sessions, over those of each subject, and in each session."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.scores import Score


@dataclass(frozen=True, slots=True)
class MethodMeans:
    """Mean score of one method: a row in the table of means."""

    method: str
    baseline: bool
    """Whether the method is a baseline."""
    by_subject: dict[str, float]
    """Subject -> mean R² over its sessions; the seeds and draws of a session are averaged first."""
    sessions_of: dict[str, int]
    """Subject -> number of its sessions."""
    by_session: dict[str, float]
    """Session -> mean R² over its seeds and draws."""
    mean: float
    """Mean score over all sessions, that is the session-weighted mean over subjects."""
    median: float
    """Median over all sessions, which a single session far off does not move."""
    sd: float
    """Standard deviation over sessions; NaN for fewer than two."""
    n: int
    """Number of scores: sessions times seeds times draws of the folds."""


def method_means(method: str, scores: Sequence[Score], baseline: bool) -> MethodMeans:
    """The means of one method over its scores that are finite."""
    finite = [s for s in scores if np.isfinite(s.value)]
    of_session, of_subject = defaultdict(list), defaultdict(list)
    for s in finite:
        of_session[s.subject, s.session].append(s.value)
    by_session = {session: float(np.mean(values)) for session, values in of_session.items()}
    for (subject, _), mean in by_session.items():
        of_subject[subject].append(mean)
    means = list(by_session.values())
    return MethodMeans(
        method=method,
        baseline=baseline,
        by_subject={subject: float(np.mean(means)) for subject, means in of_subject.items()},
        sessions_of={subject: len(means) for subject, means in of_subject.items()},
        by_session={session: mean for (_, session), mean in by_session.items()},
        mean=float(np.mean(means)) if means else float("nan"),
        median=float(np.median(means)) if means else float("nan"),
        sd=float(np.std(means, ddof=1)) if len(means) > 1 else float("nan"),
        n=len(finite),
    )
