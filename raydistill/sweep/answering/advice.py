"""What to try for a method that decodes worse than a plain decoder: from its histories and its latents."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from raydistill.config.names import recorded_and_draw
from raydistill.config.objectives import keeps_last
from raydistill.errors import DataError
from raydistill.evaluation.below import BelowBaseline
from raydistill.evaluation.scored_segments import read_segments
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.spec import TrainingSpec

LAST = 0.1
"""Share of the epochs: a best epoch among these last ones means that training was still improving."""
FEWEST_DIMENSIONS, FEWEST_SEGMENTS = 2.0, 20
"""Latents that vary in fewer dimensions have collapsed; fewer segments than this cannot tell."""


def advice(below: BelowBaseline, plan: Plan, runs: RunsFolder) -> str:
    """One sentence: whether training was still improving, whether the latents collapsed, and what to try."""
    panel = next(panel for panel in plan.panels if panel.figure == below.figure)
    of_method = (p.job for p in plan.planned if p.job.method == below.method and p.state == "done")
    jobs = [job for job in of_method if job.session and panel.shows(recorded_and_draw(job.session)[0])]
    trained = [job for job in jobs if isinstance(job.spec, TrainingSpec)]
    parts = []
    improving = [job for job in trained if _was_improving(job, runs)]
    if improving:
        parts.append(f"training was still improving in {len(improving)} of {len(trained)} jobs, so raise `epochs`")
    dimensions = [n for job in jobs if (n := _dimensions(job, runs)) is not None]
    collapsed = [n for n in dimensions if n < FEWEST_DIMENSIONS]
    if collapsed:
        parts.append(
            f"the latents vary in about {np.median(collapsed):.1f} dimensions in {len(collapsed)} of {len(dimensions)} "
            "jobs, so they hold little of the signal: lower `learning_rate`"
        )
    if any(job.training_spec.training is None for job in trained):
        parts.append(
            "it is fitted without a training loop: compare other settings of its `model` on the validation fold"
        )
    elif all(job.spec.label is None for job in jobs):
        parts.append("`raydistill search` tries `width`, patches and `learning_rate` on the validation fold")
    else:
        parts.append("other values of `width`, patches and `learning_rate`")
    return f"What to try for {below.method}: {'; '.join(parts)}."


def _was_improving(job: Job, runs: RunsFolder) -> bool:
    return was_improving(job.training_spec, runs.metrics(job.key))


def was_improving(spec: TrainingSpec, metrics: Mapping[str, Any]) -> bool:
    """Whether the best epoch of a training is among its last ones."""
    return (
        spec.epochs > 1
        and not keeps_last(spec.objective)
        and metrics.get("best_epoch", 0) >= (1 - LAST) * spec.epochs - 1
    )


def _dimensions(job: Job, runs: RunsFolder) -> float | None:
    """The participation ratio of the latents' covariance over scored segments; None if it cannot be read."""
    try:
        vectors = read_segments(runs.job_folder(job.key)).vectors.astype(np.float64)  # (S, D)
    except DataError:
        return None
    if len(vectors) < FEWEST_SEGMENTS:
        return None
    variances = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2
    total = variances.sum()
    return float(total**2 / (variances**2).sum()) if total > 0 else 0.0
