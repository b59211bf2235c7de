"""The methods compared with the clock, where trials are aligned: how much of each score needs neural data at all."""

from dataclasses import asdict

from raydistill.evaluation.metric_rows import MetricRow, metric_rows
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score

NAMES = ("r2", "clock_r2", "skill_over_clock", "r2_other_trials", "r2_with_clock")
COLUMNS = ("R²", "R² of the clock", "skill over the clock", "R² from other trials", "R² with the clock")
EXPLANATION = (
    "Trials are aligned, so time since their start predicts behavior without neural data. Skill over the clock: "
    "1 - SSE / SSE of the clock. From other trials: the mean of what is decoded from the other trials at the same bin; "
    "what R² has above it is not the clock's. With the clock: from latents and clock together."
)


def clock_rows(results: Results) -> list[MetricRow]:
    """A row for each figure and method with a score on aligned trials: means over its sessions with such trials."""
    return metric_rows(results, NAMES, _metrics_of)


def _metrics_of(score: Score) -> dict[str, float | None] | None:
    return None if score.clock is None else {"r2": score.value} | asdict(score.clock)
