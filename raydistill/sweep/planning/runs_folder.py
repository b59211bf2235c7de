"""The runs folder: which job folders are whole, and why the others are not.

runs/jobs/<key>/    job.json, model.safetensors, model.json, metrics.json, history.jsonl; _SUCCESS last
                    _SUCCESS: the size of every file, and the sha256 of the weights
                    job.json: among others, the sha256 of the weights that the job started from
runs/sweeps/<name>.json    job name -> key when the sweep was last run
"""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import socket
from datetime import datetime
from pathlib import Path

from raydistill.errors import RaydistillError
from raydistill.files import write_json
from raydistill.sweep.planning.job import DONE, FAILED, MISSING, STALE, Job

LOCK = "driver.lock"
MARKER, FAILURE, LOG, WEIGHTS = "_SUCCESS", "failure.json", "error.log", "model.safetensors"


@contextlib.contextmanager
def alone(runs: Path):
    """One driver at a time: what two would run twice, and tell MLflow twice, is run once.

    Raises:
        RaydistillError: another one works in this runs folder.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with open(runs / LOCK, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the system gives it back however a process ends
        except BlockingIOError:
            file.seek(0)
            raise RaydistillError(
                f"{runs}: another raydistill works here ({file.read().strip() or 'just started'}); wait until it is "
                "done, or name another folder with --runs"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {datetime.now():%Y-%m-%d %H:%M}")
        file.flush()
        yield


def job_folder(runs: Path, key: str) -> Path:
    return runs / "jobs" / key


def is_done(runs: Path, key: str) -> bool:
    """Whether a job's folder is whole: its marker is there and every file has the size the marker gives."""
    folder = job_folder(runs, key)
    try:
        sizes = json.loads((folder / MARKER).read_text())["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def holds(runs: Path, job: Job) -> bool:
    """Whether the folder has what the job would come to: it is whole, and what it started from is as it was."""
    return is_done(runs, job.key) and changed_source(runs, job) is None


def changed_source(runs: Path, job: Job) -> str | None:
    """Key of a job whose weights are no longer those that this one, which is done, started from; None: all are.

    One that was made again on the same machine comes out the same, to the last bit; elsewhere it may not.
    """
    if not job.depends_on:
        return None
    known = json.loads((job_folder(runs, job.key) / "job.json").read_text())["started_from"]
    now = weights_of_sources(runs, job)
    return next((key for key in job.depends_on if known[key] != now[key]), None)


def weights_of_sources(runs: Path, job: Job) -> dict[str, str | None]:
    """Key -> sha256 of the weights of what a job starts from; None where it is not done."""
    return {key: _marked_weights(job_folder(runs, key)) for key in job.depends_on}


def _marked_weights(folder: Path) -> str | None:
    try:
        return json.loads((folder / MARKER).read_text())["weights"]
    except (OSError, ValueError, KeyError):
        return None


def job_state(runs: Path, job: Job, key_before: str | None) -> tuple[str, str]:
    """State and reason."""
    folder = job_folder(runs, job.key)
    if folder.exists():
        if is_done(runs, job.key):
            return DONE, ""
        if (folder / MARKER).exists():
            return MISSING, "a file of its folder is damaged; it is made again"
        if (folder / FAILURE).exists():
            return FAILED, json.loads((folder / FAILURE).read_text())["cause"]
        if reached := _newest_checkpoint(folder):
            return MISSING, f"continues after {reached}"
    if key_before and key_before != job.key and is_done(runs, key_before):
        old = json.loads((job_folder(runs, key_before) / "job.json").read_text())["spec"]
        return STALE, _first_difference(old, job.spec)
    return MISSING, "not run yet"


def started(runs: Path, key: str) -> tuple[Job, str]:
    """The job whose key begins so, and its store, as its folder tells them.

    Raises:
        RaydistillError: there is none, or several.
    """
    found = sorted(path for path in (runs / "jobs").glob(f"{glob.escape(key)}*/job.json") if key)
    if len(found) != 1:
        several = f"{len(found)} jobs begin so" if found else "no job of that key has been started"
        raise RaydistillError(f'"{key}": {several} in {runs}; `raydistill plan SWEEP --json` gives the keys')
    tree = json.loads(found[0].read_text())
    return Job.from_json({name: tree[name] for name in Job.__dataclass_fields__}), tree["store"]


def _newest_checkpoint(folder: Path) -> str:
    """Where a training would go on, in words; read from a name such as epoch-000012-step-000040, without torch."""
    names = [p.name for p in folder.glob("checkpoints/epoch-*-step-*")]
    if not names:
        return ""
    _, epoch, _, step = max(names).split("-")
    return f"epoch {int(epoch)}" + (f" and {int(step)} steps" if int(step) else "")


def _first_difference(old, new, path=""):
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        here = f"{path}.{name}" if path else name
        if a != b:
            if isinstance(a, dict) and isinstance(b, dict):
                return _first_difference(a, b, here)
            if name in ("weights", "trained") or path == "teachers":
                return "what it starts from has changed"
            if path == "sessions":
                return f"session {name} has changed"
            return f"{here} {a} -> {b}"
    return ""


def last_keys(runs: Path, sweep: str) -> dict[str, str]:
    """Job name -> key when the sweep was last run."""
    path = runs / "sweeps" / f"{sweep}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def remember_keys(runs: Path, sweep: str, jobs: list[Job]) -> None:
    write_json(runs / "sweeps" / f"{sweep}.json", {job.name: job.key for job in jobs})


def finish(folder: Path) -> None:
    """Declare a job's folder whole: checkpoints go, the marker with every file's size comes last."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for name in (FAILURE, LOG):
        (folder / name).unlink(missing_ok=True)
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", MARKER))]
    weights = folder / WEIGHTS
    write_json(
        folder / MARKER,
        {
            "sizes": {p.name: p.stat().st_size for p in sorted(files)},
            "weights": hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else "",
        },
    )


def open_folder(runs: Path, job: Job, about: dict) -> Path:
    """The folder of a job that is about to start or to go on; job.json in it says what it is.

    What lies there and is damaged, or was begun from other weights, is moved aside.

    Args:
        about: what else job.json is to say.
    """
    folder, sources = job_folder(runs, job.key), weights_of_sources(runs, job)
    if (folder / MARKER).exists() or _began_from(folder) not in (None, sources):
        aside = folder.with_name(f"aside-{folder.name}")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "job.json", job.to_json() | {"started_from": sources} | about)
    return folder


def _began_from(folder: Path) -> dict | None:
    try:
        return json.loads((folder / "job.json").read_text())["started_from"]
    except (OSError, ValueError, KeyError):
        return None


def read_metrics(runs: Path, key: str) -> dict:
    return json.loads((job_folder(runs, key) / "metrics.json").read_text())
