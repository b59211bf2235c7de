"""The scores of a training at rungs: epochs at which a search compares its trials.

A training that a search pauses at a rung keeps its score there in rungs.json of its folder, because the weights of that
epoch are gone once it has trained on. The score depends on the job, the epoch and the behavior columns alone: a
training that is resumed has the same weights, to the last bit, as one that was never stopped.
"""

import json

from raydistill.files import write_json
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.job_folder import digests_at_start, weights_digest
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, advance_job

RUNGS = "rungs.json"


def valid_r2_at(job: Job, context: JobContext, epochs: int, columns: tuple[str, ...]) -> float | None:
    """Train in this process up to this epoch; R² on the validation folds with the best weights until then.

    Args:
        columns: behavior to decode with a pretraining.
    Returns:
        None if the job has trained for more epochs already and its score at this one was not kept.
    """
    runs, kept = context.runs, _kept(job, context.runs)
    for line in kept:
        if line["epoch"] == epochs and tuple(line["columns"]) == columns:
            return line["valid_r2"]
    if runs.is_current(job) and runs.metrics(job.key)["epoch"] > epochs:
        return None
    scores = advance_job(job, context, epochs, columns)
    if scores["epoch"] > epochs:
        return None
    if not runs.is_done(job.key):
        line = {"epoch": epochs, "columns": list(columns), "valid_r2": scores["valid_r2"]}
        write_json(runs.job_folder(job.key) / RUNGS, [*kept, line])
    return scores["valid_r2"]


def _kept(job: Job, runs: RunsFolder) -> list[dict]:
    """The scores in the folder of a job, unless it started from other weights than those that its sources have now."""
    folder = runs.job_folder(job.key)
    if digests_at_start(folder) != {key: weights_digest(runs.job_folder(key)) for key in job.depends_on}:
        return []
    try:
        lines = json.loads((folder / RUNGS).read_text())
        return [{name: line[name] for name in ("epoch", "columns", "valid_r2")} for line in lines]
    except (OSError, ValueError, KeyError, TypeError):
        return []
