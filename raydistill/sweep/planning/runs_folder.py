"""The runs folder: which jobs are finished, and why the others are not.

runs/jobs/<key>/           one job (`job_folder.py` lists its files)
runs/aside/<key>/          the folder of a job that was damaged or outdated, after the job was run again
runs/sweeps/<name>/        results and figures of a sweep
runs/sweeps/<name>.json    job name -> key when the sweep was last run
runs/search/<name>/        trials and results of a search
runs/rates.json            work and seconds of the jobs that were run in this folder
runs/ray/                  scratch space of Ray
runs/ray.log               what Ray and other libraries wrote to stderr

No process keeps any other state: a command that was killed continues from what this folder holds.
"""

import contextlib
import dataclasses
import math
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydistill import lease, mirrored
from raydistill.errors import DataError, RaydistillError
from raydistill.files import LATE_S, read_mapping, write_json
from raydistill.marker import MARKER
from raydistill.object_store import PATIENCE_S, StorageError, is_uri, without_options
from raydistill.ownership import claim, release
from raydistill.sweep.planning.changes import Contents, SessionChanges, difference
from raydistill.sweep.planning.job import DONE, FAILED, MISSING, STALE, Job
from raydistill.sweep.planning.job_folder import (
    FAILURE,
    JOB,
    LOG,
    METRICS,
    digests_at_start,
    is_complete,
    missing_metric,
    newest_checkpoint,
    problem_of,
    weights_digest,
)
from raydistill.sweep.planning.lock import exclusive_lock, is_locked
from raydistill.sweep.planning.spec import job_key, spec_to_json

Rates = dict[str, dict[str, float]]
"""Kind of job -> its `work` and `seconds`, summed over the finished jobs."""
CONTENTS = "contents.json"
"""In the folder of a sweep: what its sessions held when it was last run."""
KEY = re.compile(r"[0-9a-f]{64}")
"""The key of a job: sha256 of its specification."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._+=,-]{0,199}")
"""Keys, and names of sweeps, their variants and searches: no name that is read from a file may lead out of the runs
folder."""


@dataclass(frozen=True)
class RunsFolder:
    """A runs folder, which need not exist yet."""

    path: Path
    uri: str = ""
    """Of a runs folder in an object store, of which `path` is the copy of this machine."""

    @classmethod
    def at(cls, place: str | Path) -> "RunsFolder":
        """The runs folder at a path or an address (s3://, gs://)."""
        uri = str(place) if is_uri(str(place)) else ""
        return cls(mirrored.register(uri) if uri else Path(str(place).removeprefix("file://")), uri)

    def fetched(self, everything: bool = False) -> "RunsFolder":
        """The same folder; if it is in an object store, its copy is brought up to date.

        Args:
            everything: with weights too, which only those need who load a model or check every byte.
        Raises:
            StorageError: the store refuses, or cannot be reached.
        """
        mirrored.fetch_runs(self.path, everything)
        return self

    @property
    def place(self) -> str:
        """What `--runs` takes."""
        return self.uri or str(self.path)

    def __reduce__(self):
        # In another process, perhaps on another machine, the copy may be elsewhere.
        return (RunsFolder.at, (self.uri or self.path,))

    def __str__(self) -> str:
        return without_options(self.uri) if self.uri else str(self.path)

    def absolute(self) -> "RunsFolder":
        """The same folder, for processes with another working directory."""
        return dataclasses.replace(self, path=self.path.absolute())

    @contextlib.contextmanager
    def exclusive_lock(self, tell: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """Hold the folder's lock, so that no job is run or logged twice; RaydistillError if another process has it.

        Args:
            tell: shows a line while the lease of a command that was killed on another machine runs out.
        """
        with exclusive_lock(self.path), lease.held(self.uri, tell) if self.uri else contextlib.nullcontext():
            if self.uri:
                mirrored.fetch_runs(self.path)
                mirrored.publish_left(self.path)
            try:
                yield
            except lease.LeaseLostError:
                raise
            except BaseException:
                with contextlib.suppress(StorageError):
                    self.publish_documents()
                raise
            self.publish_documents()

    def check_lock(self) -> None:
        """Raise LeaseLostError if another command has taken over runs in an object store."""
        lease.check(self.uri)

    def publish_documents(self) -> None:
        """Send notes, rates and the results of sweeps to the object store, if the runs are in one."""
        if self.uri:
            files = [self.path / name for name in ("rates.json", "notes.json")]
            mirrored.publish_files(self.path, [*files, *(self.path / "sweeps").rglob("*")], PATIENCE_S)

    def is_in_use(self) -> bool:
        """Whether another process runs jobs in the folder."""
        return is_locked(self.path) or (bool(self.uri) and lease.is_held(self.uri))

    # ---- Places ----

    def job_folder(self, key: str) -> Path:
        """The folder of a job."""
        return self.path / "jobs" / _within(key, "job")

    def aside_folder(self, key: str) -> Path:
        """Where the folder of a job is moved that was damaged or outdated and is run again."""
        return self.path / "aside" / _within(key, "job")

    def sweep_folder(self, name: str) -> Path:
        """The folder of a sweep's results and figures."""
        return self.path / "sweeps" / _within(name, "sweep")

    def search_folder(self, name: str) -> Path:
        """The folder of a search."""
        return self.path / "search" / _within(name, "search")

    @property
    def scratch(self) -> Path:
        """The folder for Ray's files during a run."""
        return self.path / "ray"

    # ---- Jobs ----

    def is_done(self, key: str) -> bool:
        """Whether the job is finished and its folder undamaged; of large files only the size is compared."""
        return is_complete(self.job_folder(key))

    def problem_of(self, key: str) -> str:
        """What is wrong with a finished job, with every byte of its files read; "" if nothing is."""
        return problem_of(self.job_folder(key), everything=True)

    def is_current(self, job: Job) -> bool:
        """Whether the job is finished, every byte of it as written, from weights that are still the same."""
        return not (self.problem_of(job.key) or self._unscored(job)) and self.changed_source(job) is None

    def changed_source(self, job: Job) -> str | None:
        """Key of the first job whose weights changed after the finished `job` started from them; None if none did.

        A job that is rerun on the same machine gives the same weights to the last bit; on another machine it may not.
        """
        if not job.depends_on:
            return None
        at_start, now = digests_at_start(self.job_folder(job.key)) or {}, self._source_digests(job)
        return next((key for key in job.depends_on if at_start.get(key, "unknown") != now[key]), None)

    def state(self, job: Job, key_before: str | None = None, sessions: SessionChanges | None = None) -> tuple[str, str]:
        """State of a job and the reason for it.

        Args:
            key_before: of the job with the same name when the sweep was last run.
            sessions: what happened to the sweep's sessions since then, for the reason why the job is not the same.
        """
        folder = self.job_folder(job.key)
        if folder.exists():
            if (folder / MARKER).exists():
                problem = problem_of(folder) or self._unscored(job)
                return (MISSING, f"{problem}; the job will be run again") if problem else (DONE, "")
            if (cause := self.failure(job.key)) is not None:
                return FAILED, cause
            if checkpoint := newest_checkpoint(folder):
                return MISSING, f"continues after {checkpoint}"
        if key_before and key_before != job.key and self.is_done(key_before):
            before = (read_mapping(self.job_folder(key_before) / JOB) or {}).get("spec")
            before = before if isinstance(before, dict) else {}
            return STALE, difference(before, spec_to_json(job.spec), job.line, sessions or SessionChanges())
        return MISSING, "not run yet"

    def _unscored(self, job: Job) -> str:
        """Why a finished job of a method has no score, as that of a version that stored less; "" if it has one."""
        if not (job.method and job.session):
            return ""
        missing = missing_metric(read_mapping(self.job_folder(job.key) / METRICS), job.spec.label)
        return f"{METRICS} lacks `{missing}`: another version of raydistill wrote it" if missing else ""

    def job_json(self, key: str) -> dict:
        """The content of a started job's job.json. Raises DataError if it is missing or damaged."""
        return self._read_json(key, JOB)

    def metrics(self, key: str) -> dict:
        """The metrics of a finished job. Raises DataError if they are missing or damaged."""
        return self._read_json(key, METRICS)

    def _read_json(self, key: str, name: str) -> dict:
        content = read_mapping(self.job_folder(key) / name)
        if content is None:
            raise DataError(f"{self.job_folder(key) / name} is missing or damaged; run the sweep again")
        return content

    def failure(self, key: str) -> str | None:
        """The cause of a job's failure; None if it has not failed."""
        file = self.job_folder(key) / FAILURE
        if not file.exists():
            return None
        return str((read_mapping(file) or {}).get("cause", f"{FAILURE}, which holds the cause, is damaged"))

    def log_file(self, key: str) -> Path:
        """The traceback of a failed job, if it raised an error."""
        return self.job_folder(key) / LOG

    def find_job(self, key: str) -> tuple[Job, str]:
        """The started job with this key, or whose key begins with it, and the store that it reads.

        Raises:
            RaydistillError: no job matches, several do, its job.json cannot be read, or it is not that of this key.
        """
        folders = (self.path / "jobs").glob("*") if key else []
        files = sorted(f / JOB for f in folders if f.name.startswith(key) and KEY.fullmatch(f.name))
        files = [file for file in files if file.exists()]
        if len(files) != 1:
            problem = f"is the beginning of {len(files)} keys" if files else "is the key of no job that was started"
            raise RaydistillError(
                f'"{key}" {problem} in {self}; `raydistill plan SWEEP --json --runs {self}` lists the keys'
            )
        (file,) = files
        try:
            tree = read_mapping(file) or {}
            job, store = Job.from_json(tree), str(tree["store"])
            actual = job_key(job.spec)
        except (ValueError, KeyError, TypeError, AttributeError, RaydistillError) as err:
            raise RaydistillError(
                f"{file} is damaged or was written by another version of raydistill ({err}); run its sweep again"
            ) from None
        # A job is what its specification says, and is run in the folder of that name: a file that somebody else wrote
        # may claim something else.
        if not job.key == actual == file.parent.name or not all(KEY.fullmatch(source) for source in job.depends_on):
            raise RaydistillError(
                f"{file} is not the job whose folder it is in, or was written by another version of raydistill: the "
                f"key of its specification is {actual[:12]}; run its sweep again"
            )
        return job, store

    def open_job(self, job: Job, details: dict) -> Path:
        """Create or reopen the folder of a job that is about to run.

        A damaged folder, or one of a job that started from other weights, is moved aside. This process has the folder
        until it is released (`ownership.release`) or another process takes it over.

        Args:
            details: what job.json will hold in addition to the job.
        Raises:
            RaydistillError: another process is running the job, or its folder is a link.
        """
        folder, sources = self.job_folder(job.key), self._source_digests(job)
        if folder.is_symlink():
            raise DataError(f"{folder} is a link; a job is only run in a folder of its own: delete the link")
        claim(folder)
        at_start, has_begun = digests_at_start(folder), (folder / "checkpoints").exists()
        # If job.json is lost, nobody knows from which weights the checkpoints were trained.
        if (folder / MARKER).exists() or (at_start != sources and (at_start is not None or has_begun)):
            self.set_aside(job.key)
            claim(folder)
        write_json(folder / JOB, job.to_json() | {"started_from": sources} | details)
        mirrored.announce(folder)
        return folder

    def fetch(self, *keys: str, finished: bool = False) -> None:
        """Bring the folders of jobs up to date with the object store, if the runs are in one.

        Args:
            finished: the jobs are, so that they are waited for if this machine does not see them yet: a network disk
                remembers for some time that a folder was not there.
        Raises:
            DataError: it does not see a finished one after `LATE_S`.
        """
        end = time.monotonic() + LATE_S
        for key in keys:
            mirrored.fetch(self.job_folder(key))
            while finished and not (self.job_folder(key) / MARKER).exists():
                if time.monotonic() > end:
                    raise DataError(
                        f"job {key[:12]}, from which this one starts, is finished, but {socket.gethostname()} does not "
                        f"see it in {self}; check that all machines share this folder, then run the same command again"
                    )
                time.sleep(1.0)
                mirrored.fetch(self.job_folder(key))

    def fetch_results(self, *keys: str) -> None:
        """As `fetch`, without weights and checkpoints, and without patience for a store that does not answer."""
        for key in keys:
            mirrored.fetch(self.job_folder(key), weights=False, patience_s=0)

    def fetch_history(self, key: str) -> None:
        """Bring the history of a running job up to date; an object store that does not answer now is asked later."""
        with contextlib.suppress(StorageError):
            mirrored.fetch_history(self.job_folder(key))

    def set_aside(self, key: str) -> None:
        """Move the folder of a job away; the job then counts as not run. What was moved there before is deleted."""
        folder, aside = self.job_folder(key), self.aside_folder(key)
        mirrored.withdraw(folder)
        release(folder)
        if aside.parent.is_symlink():
            raise DataError(f"{aside.parent} is a link, and nothing is moved or deleted behind it: delete the link")
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(exist_ok=True)
        folder.rename(aside)

    def write_failure(self, job: Job, cause: str) -> None:
        """Record that a job failed, and the cause in one line."""
        file = self.job_folder(job.key) / FAILURE
        write_json(file, {"cause": cause, "job": job.name})
        mirrored.publish_files(self.path, [file])

    def write_log(self, key: str, text: str) -> None:
        """Write the traceback of a failed job; the folder of a finished one stays as it is."""
        file = self.log_file(key)
        if (file.parent / MARKER).exists():  # by another process, to which the failed one had lost the job
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        with contextlib.suppress(StorageError):  # which may be the cause of the failure, and is then in failure.json
            mirrored.publish_files(self.path, [file])

    def _source_digests(self, job: Job) -> dict[str, str | None]:
        """Key -> sha256 of the weights that the job starts from; None for a source that is not finished."""
        return {key: weights_digest(self.job_folder(key)) for key in job.depends_on}

    # ---- Sweeps ----

    def last_keys(self, sweep: str) -> dict[str, str]:
        """Job name -> key when the sweep was last run; empty if it never was, or the file is damaged.

        For a variant that was never run, these are the keys of the file as it is, with which it shares its jobs.
        """
        keys = None
        for name in dict.fromkeys((sweep, sweep.partition("+")[0])):
            keys = keys or read_mapping(self._keys_file(name))
        return {name: key for name, key in (keys or {}).items() if isinstance(key, str) and _NAME.fullmatch(key)}

    def _keys_file(self, sweep: str) -> Path:
        return self.path / "sweeps" / f"{_within(sweep, 'sweep')}.json"

    def write_keys(self, sweep: str, jobs: list[Job], contents: Contents | None = None) -> None:
        """Store the keys of a sweep's jobs, so that a later plan can explain which of them changed.

        Args:
            contents: session -> signal -> sha256 of what the jobs read, for the same purpose.
        """
        write_json(self._keys_file(sweep), {job.name: job.key for job in jobs})
        if contents:
            write_json(self.sweep_folder(sweep) / CONTENTS, contents)

    def last_contents(self, sweep: str) -> Contents:
        """Session -> signal -> sha256 when the sweep was last run; empty if it never was, or the file is damaged."""
        contents = None
        for name in dict.fromkeys((sweep, sweep.partition("+")[0])):
            contents = contents or read_mapping(self.sweep_folder(name) / CONTENTS)
        return {session: signals for session, signals in (contents or {}).items() if isinstance(signals, dict)}

    # ---- Rates ----

    def rates(self) -> Rates:
        """The measured rates; empty if there are none, and without those that are damaged."""
        rates = read_mapping(self.path / "rates.json") or {}
        return {kind: rate for kind, rate in rates.items() if _is_rate(rate)}

    def write_rates(self, rates: Rates) -> None:
        """Replace the measured rates."""
        write_json(self.path / "rates.json", rates)


def _within(name: str, what: str) -> str:
    """The name, if it is one of a file or folder in the runs folder. Raises DataError otherwise."""
    if not _NAME.fullmatch(name):
        raise DataError(f"{what} {name!r} is not a name: use letters, digits and . _ - and begin with none of . and +")
    return name


def _is_rate(rate: Any) -> bool:
    """Whether a rate has positive finite numbers, from which times can be estimated."""
    values = [rate.get(name) for name in ("work", "seconds")] if isinstance(rate, dict) else [None]
    return all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and v > 0 for v in values)
