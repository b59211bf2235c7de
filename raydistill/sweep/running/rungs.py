"""The scores of a training at rungs: epochs at which a search compares its trials.

A training that a search pauses at a rung keeps its score there in rungs.json of its folder, because the weights of that
epoch are gone once it has trained on. The score depends on the job, the epoch and the behavior columns alone: a
training that is resumed has the same weights, to the last bit, as one that was never stopped.
"""

import json
from pathlib import Path

from raydistill.files import write_json
from raydistill.sweep.planning.job import Job
from raydistill.sweep.running.execute import JobContext, advance_job, open_folder

RUNGS = "rungs.json"


def valid_r2_at(job: Job, context: JobContext, epochs: int, columns: tuple[str, ...]) -> float | None:
    """Train in this process up to this epoch; R² on the validation folds with the best weights until then.

    Args:
        columns: behavior to decode with a pretraining.
    Returns:
        None if the job has trained for more epochs already and its score at this one was not kept.
    """
    current = context.runs.is_current(job)
    folder = context.runs.job_folder(job.key) if current else open_folder(job, context)
    kept = _kept(folder)
    for line in kept:
        if line["epoch"] == epochs and tuple(line["columns"]) == columns:
            return line["valid_r2"]
    if current and context.runs.metrics(job.key)["epoch"] > epochs:
        return None
    scores = advance_job(job, context, epochs, columns)
    if scores["epoch"] > epochs:
        return None
    if not context.runs.is_done(job.key):
        line = {"epoch": epochs, "columns": list(columns), "valid_r2": scores["valid_r2"]}
        write_json(folder / RUNGS, [*kept, line])
    return scores["valid_r2"]


def _kept(folder: Path) -> list[dict]:
    try:
        return json.loads((folder / RUNGS).read_text())
    except (OSError, ValueError):
        return []
