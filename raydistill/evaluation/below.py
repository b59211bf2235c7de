"""Methods that decode worse than a plain decoder of the same signals: what a reader must know before anything else."""

from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import r2_in_common


@dataclass(frozen=True, kw_only=True, slots=True)
class BelowBaseline:
    """A method whose mean R² is lower than that of a baseline that reads no more than it does."""

    method: str
    baseline: str
    """The best of these baselines."""
    r2: float
    """Mean R² over the sessions and draws that both have; seeds and draws of a session are averaged first."""
    baseline_r2: float
    worse_in: int
    """Number of sessions in which the method is worse."""
    sessions: int

    def in_words(self) -> str:
        """One sentence."""
        return (
            f"{self.method} decodes worse than a plain decoder of the same signals: {self.r2:.3f} against "
            f"{self.baseline_r2:.3f} of {self.baseline}, in {self.worse_in} of {self.sessions} "
            f"session{'s' if self.sessions != 1 else ''}."
        )


def below_baselines(results: Results) -> list[BelowBaseline]:
    """The methods that are worse than a baseline, in their order; without what they see (`Results.sees`) none are."""
    sees = {s.method: s for s in results.sees}
    baselines = [s for s in results.sees if s.method in {b.method for b in results.baselines}]
    below = []
    for method in dict.fromkeys(s.method for s in results.scores):
        if method not in sees:
            continue
        own = sees[method]
        rivals = [
            b.method
            for b in baselines
            if set(b.reads) <= set(own.reads) and b.reads and b.future <= own.future and b.clock <= own.clock
        ]
        found = [worse for rival in rivals if (worse := _compared(results, method, rival))]
        if found:
            below.append(max(found, key=lambda b: b.baseline_r2 - b.r2))
    return below


def _compared(results: Results, method: str, baseline: str) -> BelowBaseline | None:
    of_method, of_baseline = r2_in_common((*results.scores, *results.baselines), method, baseline)
    sessions = sorted(of_method)
    if not sessions:
        return None
    own, rival = (np.array([r2[s] for s in sessions]) for r2 in (of_method, of_baseline))
    if own.mean() >= rival.mean():
        return None
    return BelowBaseline(
        method=method,
        baseline=baseline,
        r2=float(own.mean()),
        baseline_r2=float(rival.mean()),
        worse_in=int((own < rival).sum()),
        sessions=len(sessions),
    )
