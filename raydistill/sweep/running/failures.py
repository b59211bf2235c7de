"""What is kept of a job that failed, in its folder: the cause in one line, and the log with the place in the code."""

import traceback
from pathlib import Path

from raydistill.errors import RaydistillError
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.runs_folder import RunsFolder


def cause(err: Exception) -> str:
    """One line for an error of ours; type, message and place for a surprise."""
    root = getattr(err, "cause", None) or err  # Ray wraps what a worker raised
    message = str(root).strip().splitlines()
    if isinstance(root, RaydistillError):
        return message[0]
    place = traceback.extract_tb(root.__traceback__)[-1] if root.__traceback__ else None
    where = f" ({Path(place.filename).name}:{place.lineno})" if place else ""
    return f"{type(root).__name__}: {message[-1] if message else ''}{where}"


def keep_log(runs: RunsFolder, job: Job, err: Exception) -> None:
    """The whole traceback of what a job raised."""
    runs.write_log(job.key, "".join(traceback.format_exception(err)))


def advice(runs: RunsFolder, job: Job) -> str:
    """Where the log lies, and how to run that job alone."""
    log = runs.log_file(job.key)
    return (f"log {log}; " if log.exists() else "") + f"alone: raydistill run {job.key[:12]} --runs {runs}"
