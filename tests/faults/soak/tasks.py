"""What the soak disturbs: a small sweep, search and ingest, and the numbers that each must end with."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raydistill.errors import RaydistillError
from raydistill.store.store import Store
from tests.commands import JOBS, raydistill, read_json

Numbers = dict[str, object]
"""Name of a number -> its value; numbers that are not there yet are absent."""

SWEEP = f"name: small\nstore: store\n{JOBS}"
SEARCH = """
name: grid
sweep: sweep.yaml
job: ss_lfp
sampler: grid
trials: 6
space: {training.learning_rate: [1e-3, 3e-3, 1e-2], model.layers: [1, 2]}
halving: null
"""
SYNTH = ("sessions_per_subject=2", "duration_s=80", "min_units=10", "max_units=16", "min_channels=6", "max_channels=8")
INGEST = ("ingest.bin_width_ms=20", "ingest.filters.lowpass_hz=25", "ingest.splits.segment_s=1")


@dataclass(frozen=True)
class Task:
    """A command in a folder, and what it must end with."""

    name: str
    command: tuple[str, ...]
    brings: tuple[str, ...]
    """What is prepared for it: names in the folder of `prepare`."""
    works_in: str
    """The folder that it fills."""
    numbers: Callable[[Path], Numbers]
    """Folder of the task -> the numbers that it has so far."""


def _settings(settings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for setting in settings for part in ("--set", setting))


def prepare(folder: Path) -> None:
    """Write the files of all tasks, the recordings and their store."""
    (folder / "sweep.yaml").write_text(SWEEP)
    (folder / "search.yaml").write_text(SEARCH)
    raydistill("synth", "recordings", *_settings(SYNTH), cwd=folder, check=0)
    raydistill("ingest", "recordings", "--store", "store", *_settings(INGEST), cwd=folder, check=0)


def bring(task: Task, prepared: Path, folder: Path) -> None:
    """Copy what the task needs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in task.brings:
        copy = shutil.copytree if (prepared / name).is_dir() else shutil.copy
        copy(prepared / name, folder / name)


def _of_sweep(folder: Path) -> Numbers:
    """R² of every job as `results` gives it, and the state of MLflow."""
    results = read_json("results", "sweep.yaml", cwd=folder)
    numbers: Numbers = {
        f"{score['method']} {score['session']} {score['seed']}": score["r2"]
        for score in (*results["scores"], *results["baselines"])
    }
    return numbers | dict(_tracked(folder / "runs" / "mlflow.db"))


def _tracked(database: Path) -> Iterator[tuple[str, object]]:
    """How often MLflow holds a point of a curve twice; and how many runs of jobs, if all of them ended well."""
    if "MLFLOW_TRACKING_URI" in os.environ:
        database = Path(os.environ["SOAK_DATABASE"])
    if not database.exists():
        return
    active = "runs.lifecycle_stage = 'active'"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        points = db.execute(
            f"select run_uuid, key, step from metrics join runs using (run_uuid) where {active}"
        ).fetchall()
        jobs = db.execute(
            f"select status from tags join runs using (run_uuid) where key = 'raydistill.job' and {active}"
        ).fetchall()
    yield "points that MLflow holds twice", len(points) - len(set(points))
    if jobs and all(status == "FINISHED" for (status,) in jobs):
        yield "runs in MLflow", len(jobs)


def _of_search(folder: Path) -> Numbers:
    """R² of every job that is done, and the best values."""
    numbers: Numbers = {
        f"job {file.parent.name}": json.loads(file.read_text())["valid_r2"]
        for file in folder.glob("runs/jobs/*/metrics.json")
        if (file.parent / "_SUCCESS").exists()
    }
    results = list(folder.glob("runs/search/**/results.json"))
    if len(results) == 1:
        best = json.loads(results[0].read_text())["best"]
        numbers |= {"best": json.dumps(best, sort_keys=True)}
    return numbers


def _of_ingest(folder: Path) -> Numbers:
    """The hash of all values of every session, as they are read back."""
    store, numbers = Store(str(folder / "store")), {}
    for entry in store.complete():
        try:
            digest = hashlib.sha256(entry.content.encode())
            for segment in store.read(entry):
                for values in (segment.spikes, segment.lfp, segment.behavior):
                    digest.update(b"" if values is None else values.tobytes())
            numbers[entry.session] = digest.hexdigest()
        except RaydistillError:
            continue  # damaged, and said so
    return numbers


TASKS = {
    task.name: task
    for task in (
        Task("sweep", ("sweep", "sweep.yaml"), ("sweep.yaml", "store"), "runs", _of_sweep),
        Task("search", ("search", "search.yaml"), ("sweep.yaml", "search.yaml", "store"), "runs", _of_search),
        Task(
            "ingest",
            ("ingest", "recordings", "--store", "store", *_settings(INGEST)),
            ("recordings",),
            "store",
            _of_ingest,
        ),
    )
}
