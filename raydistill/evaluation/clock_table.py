"""The methods compared with the clock, where trials are aligned: how much of each score needs neural data at all."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score

NAMES = ("r2", "clock_r2", "skill_over_clock", "r2_other_trials", "r2_with_clock")
COLUMNS = ("R²", "R² of the clock", "skill over the clock", "R² from other trials", "R² with the clock")
EXPLANATION = (
    "Trials are aligned, so time since their start predicts behavior without neural data. Skill over the clock: "
    "1 - SSE / SSE of the clock. From other trials: the mean of what is decoded from the other trials at the same bin; "
    "what R² has above it is not the clock's. With the clock: from latents and clock together."
)


@dataclass(frozen=True, slots=True)
class ClockRow:
    """One method: means over its sessions with aligned trials, the seeds and draws of each averaged first."""

    method: str
    """Its name, after that of the figure of a paper whose sessions these are."""
    values: dict[str, float]
    """Each of NAMES -> its mean; NaN if no session has it."""
    n: int
    """Number of sessions."""


def clock_rows(results: Results) -> list[ClockRow]:
    """A row for each figure and method with a score on aligned trials, in the order of the scores."""
    return [
        row
        for panel in results.figures
        for row in _of_figure(results.part(panel).all_scores, f"{panel.figure}: " if panel.figure else "")
    ]


def _of_figure(scores: Iterable[Score], figure: str) -> list[ClockRow]:
    by_method: dict[str, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for s in scores:
        if s.clock is not None and np.isfinite(s.r2):
            by_method[s.method][s.session].append(s)
    return [
        ClockRow(figure + method, {name: _mean(by_session.values(), name) for name in NAMES}, len(by_session))
        for method, by_session in by_method.items()
    ]


def _mean(sessions: Iterable[list[Score]], name: str) -> float:
    """Mean over the sessions that have the number of this name."""
    means = []
    for seeds in sessions:
        values = [s.r2 if name == "r2" else getattr(s.clock, name) for s in seeds]
        if finite := [value for value in values if value is not None]:
            means.append(np.mean(finite))
    return float(np.mean(means)) if means else float("nan")
