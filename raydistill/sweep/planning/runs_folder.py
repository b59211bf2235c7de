"""The runs folder: which jobs are finished, and why the others are not.

runs/jobs/<key>/           one job (`job_folder.py` lists its files)
runs/sweeps/<name>/        results and figures of a sweep
runs/sweeps/<name>.json    job name -> key when the sweep was last run
runs/search/<name>/        trials and results of a search
runs/rates.json            work and seconds of the jobs that were run in this folder
runs/ray/                  scratch space of Ray
runs/ray.log               what Ray and other libraries wrote to stderr

No process keeps any other state: a command that was killed continues from what this folder holds.
"""

import glob
import json
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from raydistill.errors import RaydistillError
from raydistill.files import write_json
from raydistill.sweep.planning.job import DONE, FAILED, MISSING, STALE, Job
from raydistill.sweep.planning.job_folder import (
    FAILURE,
    LOG,
    MARKER,
    digests_at_start,
    is_complete,
    newest_checkpoint,
    weights_digest,
)
from raydistill.sweep.planning.lock import exclusive_lock
from raydistill.sweep.planning.spec import spec_to_json

Rates = dict[str, dict[str, float]]
"""Kind of job -> its `work` and `seconds`, summed over the finished jobs."""


@dataclass(frozen=True)
class RunsFolder:
    """A runs folder, which need not exist yet."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def absolute(self) -> "RunsFolder":
        """The same folder, for processes with another working directory."""
        return RunsFolder(self.path.absolute())

    def exclusive_lock(self) -> AbstractContextManager[None]:
        """Hold the folder's lock, so that no job is run or logged twice; RaydistillError if another process has it."""
        return exclusive_lock(self.path)

    # ---- Places ----

    def job_folder(self, key: str) -> Path:
        """The folder of a job."""
        return self.path / "jobs" / key

    def sweep_folder(self, name: str) -> Path:
        """The folder of a sweep's results and figures."""
        return self.path / "sweeps" / name

    def search_folder(self, name: str) -> Path:
        """The folder of a search."""
        return self.path / "search" / name

    @property
    def scratch(self) -> Path:
        """The folder for Ray's files during a run."""
        return self.path / "ray"

    # ---- Jobs ----

    def is_done(self, key: str) -> bool:
        """Whether the job is finished and its folder undamaged."""
        return is_complete(self.job_folder(key))

    def is_current(self, job: Job) -> bool:
        """Whether the job is finished and started from weights that are still the same."""
        return self.is_done(job.key) and self.changed_source(job) is None

    def changed_source(self, job: Job) -> str | None:
        """Key of the first job whose weights changed after the finished `job` started from them; None if none did.

        A job that is rerun on the same machine gives the same weights to the last bit; on another machine it may not.
        """
        if not job.depends_on:
            return None
        at_start, now = self.job_json(job.key)["started_from"], self._source_digests(job)
        return next((key for key in job.depends_on if at_start[key] != now[key]), None)

    def state(self, job: Job, key_before: str | None = None) -> tuple[str, str]:
        """State of a job and the reason for it.

        Args:
            key_before: of the job with the same name when the sweep was last run.
        """
        folder = self.job_folder(job.key)
        if folder.exists():
            if is_complete(folder):
                return DONE, ""
            if (folder / MARKER).exists():
                return MISSING, "a file in its folder is damaged; the job will be rerun"
            if (cause := self.failure(job.key)) is not None:
                return FAILED, cause
            if checkpoint := newest_checkpoint(folder):
                return MISSING, f"continues after {checkpoint}"
        if key_before and key_before != job.key and self.is_done(key_before):
            return STALE, _first_difference(self.job_json(key_before)["spec"], spec_to_json(job.spec))
        return MISSING, "not run yet"

    def job_json(self, key: str) -> dict:
        """The content of a started job's job.json."""
        return json.loads((self.job_folder(key) / "job.json").read_text())

    def metrics(self, key: str) -> dict:
        """The metrics of a finished job."""
        return json.loads((self.job_folder(key) / "metrics.json").read_text())

    def failure(self, key: str) -> str | None:
        """The cause of a job's failure; None if it has not failed."""
        file = self.job_folder(key) / FAILURE
        return json.loads(file.read_text())["cause"] if file.exists() else None

    def log_file(self, key: str) -> Path:
        """The traceback of a failed job, if it raised an error."""
        return self.job_folder(key) / LOG

    def find_job(self, key: str) -> tuple[Job, str]:
        """The started job with this key, or whose key begins with it, and the store that it reads.

        Raises:
            RaydistillError: no job matches, several do, or its job.json cannot be read.
        """
        files = sorted((self.path / "jobs").glob(f"{glob.escape(key)}*/job.json")) if key else []
        if len(files) != 1:
            problem = f"is the beginning of {len(files)} keys" if files else "is the key of no job that was started"
            raise RaydistillError(f'"{key}" {problem} in {self}; `raydistill plan SWEEP --json` lists the keys')
        try:
            tree = json.loads(files[0].read_text())
            return Job.from_json(tree), tree["store"]
        except (ValueError, KeyError, TypeError) as err:
            raise RaydistillError(
                f"{files[0]} is damaged or was written by another version of raydistill ({err}); run its sweep again"
            ) from None

    def open_job(self, job: Job, details: dict) -> Path:
        """Create or reopen the folder of a job that is about to run.

        A damaged folder, or one of a job that started from other weights, is moved aside.

        Args:
            details: what job.json will hold in addition to the job.
        """
        folder, sources = self.job_folder(job.key), self._source_digests(job)
        if (folder / MARKER).exists() or digests_at_start(folder) not in (None, sources):
            aside = folder.with_name(f"aside-{folder.name}")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "job.json", job.to_json() | {"started_from": sources} | details)
        return folder

    def write_failure(self, job: Job, cause: str) -> None:
        """Record that a job failed, and the cause in one line."""
        write_json(self.job_folder(job.key) / FAILURE, {"cause": cause, "job": job.name})

    def write_log(self, key: str, text: str) -> None:
        """Write the traceback of a failed job."""
        file = self.log_file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def _source_digests(self, job: Job) -> dict[str, str | None]:
        """Key -> sha256 of the weights that the job starts from; None for a source that is not finished."""
        return {key: weights_digest(self.job_folder(key)) for key in job.depends_on}

    # ---- Sweeps ----

    def last_keys(self, sweep: str) -> dict[str, str]:
        """Job name -> key when the sweep was last run; empty if it never was."""
        file = self.path / "sweeps" / f"{sweep}.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def write_keys(self, sweep: str, jobs: list[Job]) -> None:
        """Store the keys of a sweep's jobs, so that a later plan can explain which of them changed."""
        write_json(self.path / "sweeps" / f"{sweep}.json", {job.name: job.key for job in jobs})

    # ---- Rates ----

    def rates(self) -> Rates:
        """The measured rates; empty if there are none or the file cannot be read."""
        try:
            return json.loads((self.path / "rates.json").read_text())
        except (OSError, ValueError):
            return {}

    def write_rates(self, rates: Rates) -> None:
        """Replace the measured rates."""
        write_json(self.path / "rates.json", rates)


def _first_difference(old: dict, new: dict, path: str = "") -> str:
    """The first setting in which two specifications differ, in words."""
    if not path and "name" not in old:
        return "run by an earlier version of raydistill, whose jobs had other specifications"
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        setting = f"{path}.{name}" if path else name
        if a != b:
            if isinstance(a, dict) and isinstance(b, dict):
                return _first_difference(a, b, setting)
            if name in ("weights", "trained") or path == "teachers":
                return "a job that it starts from has changed"
            if path == "sessions":
                return f"session {name} has changed"
            return f"{setting} {a} -> {b}"
    return ""
