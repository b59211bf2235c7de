"""Methods that decode worse than a plain decoder of the same signals: what a reader must know before anything else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.scores import Score, means_in_common
from raydistill.evaluation.sees import Sees
from raydistill.papers.targets import Panel


@dataclass(frozen=True, kw_only=True, slots=True)
class BelowBaseline:
    """A method whose mean score is lower than that of a baseline that reads no more than it does."""

    method: str
    baseline: str
    """The best of these baselines."""
    figure: str | None = None
    """Figure of a paper over whose sessions the means are; None: over all sessions."""
    value: float
    """Mean score over the sessions and draws that both have; seeds and draws of a session are averaged first."""
    baseline_value: float
    worse_in: int
    """Number of sessions in which the method is worse."""
    sessions: int
    advice: str = ""
    """What to try, as a sentence."""

    def in_words(self) -> str:
        """One sentence, and the advice."""
        figure = f"{self.figure}: " if self.figure else ""
        return (
            f"{figure}{self.method} decodes worse than a plain decoder of the same signals: {self.value:.3f} against "
            f"{self.baseline_value:.3f} of {self.baseline}, in {self.worse_in} of {self.sessions} "
            f"session{'s' if self.sessions != 1 else ''}. {self.advice}"
        ).rstrip()


def below_baselines(
    panels: Sequence[Panel], scores: Sequence[Score], baselines: Sequence[Score], sees: Sequence[Sees]
) -> list[BelowBaseline]:
    """The methods that are worse than a baseline over the sessions of a panel, in the order of panels and scores.

    Args:
        sees: what methods and baselines see; one that is not in it is not compared.
    """
    below = []
    for panel in panels:
        own = [s for s in scores if panel.shows(s.session) and panel.has(s.method)]
        of_baselines = [s for s in baselines if panel.shows(s.session)]
        for method in dict.fromkeys(s.method for s in own):
            found = [
                worse
                for rival in _rivals(method, of_baselines, sees)
                if (worse := _compared((*own, *of_baselines), method, rival, panel.figure))
            ]
            if found:
                below.append(max(found, key=lambda b: b.baseline_value - b.value))
    return below


def _rivals(method: str, baselines: Sequence[Score], sees: Sequence[Sees]) -> list[str]:
    """The baselines with scores that read signals, and see nothing that the method does not see."""
    scored, own = {s.method for s in baselines}, next((s for s in sees if s.method == method), None)
    return [
        b.method
        for b in sees
        if own
        and b.method in scored
        and b.reads
        and set(b.reads) <= set(own.reads)
        and b.future <= own.future
        and b.clock <= own.clock
    ]


def _compared(scores: Sequence[Score], method: str, baseline: str, figure: str | None) -> BelowBaseline | None:
    of_method, of_baseline = means_in_common(scores, method, baseline)
    sessions = sorted(of_method)
    if not sessions:
        return None
    own, rival = (np.array([means[s] for s in sessions]) for means in (of_method, of_baseline))
    if own.mean() >= rival.mean():
        return None
    return BelowBaseline(
        method=method,
        baseline=baseline,
        figure=figure,
        value=float(own.mean()),
        baseline_value=float(rival.mean()),
        worse_in=int((own < rival).sum()),
        sessions=len(sessions),
    )
