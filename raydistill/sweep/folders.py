"""The runs folder: which job folders are whole, and why the others are not.

runs/jobs/<key>/    job.json, model.safetensors, model.json, metrics.json, history.jsonl; _SUCCESS last
runs/sweeps/<name>.json    job name -> key when the sweep was last run
"""

import contextlib
import fcntl
import glob
import json
import os
import shutil
import socket
from datetime import datetime
from pathlib import Path

from raydistill.errors import RaydistillError
from raydistill.store.files import write_json
from raydistill.sweep.job import DONE, FAILED, MISSING, STALE, Job

LOCK = "driver.lock"
MARKER, FAILURE, LOG = "_SUCCESS", "failure.json", "error.log"


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
        sizes = json.loads((folder / MARKER).read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def job_state(runs: Path, job: Job, key_before: str | None) -> tuple[str, str]:
    """State and reason."""
    folder = job_folder(runs, job.key)
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
    write_json(folder / MARKER, {p.name: p.stat().st_size for p in sorted(files)})


def set_aside_damage(folder: Path) -> None:
    """A folder whose marker is there but whose files are not whole is moved away, under a name that says so."""
    if (folder / MARKER).exists():
        target = folder.with_name(f"damaged-{folder.name}")
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)


def read_metrics(runs: Path, key: str) -> dict:
    return json.loads((job_folder(runs, key) / "metrics.json").read_text())
