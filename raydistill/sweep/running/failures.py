"""The record of a job that failed: the cause in one line, and the traceback in a log."""

import shlex
import traceback
from pathlib import Path

from raydistill.errors import RaydistillError, one_line
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.runs_folder import RunsFolder


def cause(err: Exception) -> str:
    """One line: the message of a RaydistillError; type, message and place in the code of any other error."""
    root = getattr(err, "cause", None) or err  # Ray wraps an error of a worker
    if isinstance(root, RaydistillError):
        return one_line(root)
    message = str(root).strip().splitlines()
    place = traceback.extract_tb(root.__traceback__)[-1] if root.__traceback__ else None
    where = f" ({Path(place.filename).name}:{place.lineno})" if place else ""
    return f"{type(root).__name__}: {message[-1] if message else ''}{where}"


def log_text(err: Exception) -> str:
    """The complete traceback."""
    return "".join(traceback.format_exception(err))


def advice(runs: RunsFolder, job: Job) -> str:
    """Where the log of a failed job is, and the command that runs only this job, in one line."""
    log = runs.log_file(job.key)
    return (
        f"log {log}; " if log.exists() else ""
    ) + f"to run only this job: raydistill run {job.key[:12]} --runs {shlex.quote(runs.place)}"
