"""What each kind of job does, from its specification and nothing else, in its own folder."""

import functools
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean

import torch

from raydistill.errors import DataError
from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.scored_segments import write_segments
from raydistill.evaluation.session_scores import metrics_of, score_baseline, score_model
from raydistill.feed.placement import Share, open_feed
from raydistill.feed.reading import read_directly
from raydistill.files import write_json
from raydistill.models.crossmodal.model import NeuralModel, inputs_of, transplant
from raydistill.models.files import load_model, save_model
from raydistill.models.latents import frozen
from raydistill.models.layers.precision import has_bf16
from raydistill.objectives import StudentAndTeacher, unfrozen
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.runs_folder import finish, holds, job_folder, open_folder, read_metrics
from raydistill.sweep.running.task import engine_of, model_spec, objective_of, recipe_of
from raydistill.training.distributed import DistributedTraining, train_on_workers
from raydistill.training.loop import Training, train


@dataclass(frozen=True)
class Places:
    """Where a job's data and results lie; never part of what it computes."""

    runs: str
    store: str
    device: str = "cpu"

    def folder(self, key: str) -> Path:
        return job_folder(Path(self.runs), key)


def run_session_job(job: Job, places: Places) -> None:
    """Run a job on one session in this process, unless its folder is whole already."""
    if holds(Path(places.runs), job):
        return
    if "training" in job.spec:
        advance_job(job, places, job.spec["training"]["epochs"])
        return
    started = time.time()
    folder, store = _open_folder(job, places), Store(places.store)
    entry = _entries(store, job)[0]
    if job.kind == "baseline":
        baseline = BASELINES[job.spec["baseline"]]
        metrics = metrics_of(score_baseline(baseline, store, entry, job.spec["behavior"]))
    else:
        model = load_model(places.folder(job.spec["trained"]))
        if known := job.spec.get("as"):
            model.use_embeddings_of(entry.session, known)
        score = score_model(model, store, entry, job.spec["behavior"], job.spec["spikes_as"])
        write_segments(score.segments, folder)
        metrics = score.metrics()
    _finish(folder, metrics, started, places)


def advance_job(job: Job, places: Places, epochs: int, columns: tuple[str, ...] = ()) -> dict:
    """Train in this process up to so many epochs, from where the job stands; at its own end its folder is whole.

    Args:
        columns: of behavior, for a pretraining, which names none; by default all of each session.
    Returns:
        With `valid_r2` and `r2` of the best epoch so far, of a pretraining the means over its sessions.
    """
    started, store = time.time(), Store(places.store)
    entries, done = _entries(store, job), holds(Path(places.runs), job)
    if done and not job.is_pretraining:
        return read_metrics(Path(places.runs), job.key)
    if done:
        model = load_model(places.folder(job.key))
    else:
        folder = _open_folder(job, places)
        model, reached = _trained(job, places, store, entries, folder, epochs)
    if job.is_pretraining:
        found = [score_model(model, store, e, columns or e.behavior).metrics() for e in entries if e.behavior]
        scores = {name: mean(each[name] for each in found) for name in ("valid_r2", "r2")}
    else:
        score = score_model(model, store, entries[0], job.spec["behavior"])
        write_segments(score.segments, folder)
        scores = score.metrics()
    if not done and (reached["epoch"] < epochs or epochs >= job.spec["training"]["epochs"]):
        _finish(folder, reached if job.is_pretraining else scores | reached, started, places)
    return scores


def _finish(folder: Path, metrics: dict, started: float, places: Places) -> None:
    took = {"seconds": round(time.time() - started, 3), "device": places.device}
    write_json(folder / "metrics.json", metrics | took)
    finish(folder)


def run_pretrainings(
    jobs: Sequence[Job], places: Places, watch: Callable[[], None] = lambda: None
) -> Iterator[tuple[Job, Exception | None]]:
    """Run jobs on many sessions on Ray Train workers, one after another; one whose folder is whole already is left.

    Args:
        watch: called a few times a second while they train.
    Yields:
        Each job when it ends, with the error that ended it, if any; mostly in the order given.
    """
    started, by_folder = time.time(), {}
    for job in jobs:
        try:
            if not holds(Path(places.runs), job):
                by_folder[places.folder(job.key)] = job, _distributed(job, places)
                continue
        except Exception as err:
            yield job, err
        else:
            yield job, None
    trainings = [training for _, training in by_folder.values()]
    for training, outcome in train_on_workers(trainings, Path(places.runs) / "ray", watch):
        job, _ = by_folder[training.folder]
        if isinstance(outcome, Exception):
            yield job, outcome
        else:
            _finish(training.folder, outcome, started, places)
            yield job, None
        started = time.time()


def _distributed(job: Job, places: Places) -> DistributedTraining:
    folder, entries = _open_folder(job, places), _entries(Store(places.store), job)
    return DistributedTraining(
        spec=model_spec(job, entries, _provenance_of(job, entries)),
        objective=objective_of(job),
        store=places.store,
        entries=tuple(entries),
        recipe=recipe_of(job),
        engine=engine_of(job),
        seed=job.spec["seed"],
        folder=folder,
        workers=job.workers,
        use_gpu=places.device == "cuda",
        weights=places.folder(job.spec["weights"]) if job.spec["weights"] else None,
        teachers={session: places.folder(key) for session, key in job.spec["teachers"].items()},
    )


def _open_folder(job: Job, places: Places) -> Path:
    return open_folder(Path(places.runs), job, {"store": places.store, "provenance": provenance()})


def provenance() -> dict:
    """With what a result was made: versions and hardware. None of it enters a job's key."""
    versions = {name: version(name) for name in ("raydistill", "torch", "ray", "numpy")}
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    cuda = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    bf16 = has_bf16("cuda" if cuda else "cpu")
    return versions | machine | cuda | {"threads": torch.get_num_threads(), "bf16": bf16, "git": _git_state()}


@functools.cache
def _git_state() -> str | None:
    """The commit that the package runs from, marked if it was changed; None outside of a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _entries(store: Store, job: Job) -> list[Entry]:
    """The job's sessions, as long as they are still the ones it was planned for."""
    known = {e.session: e for e in store.entries()}
    for name, content in job.spec["sessions"].items():
        if name not in known or known[name].content != content:
            raise DataError(f"session {name} of the store {store.uri} has changed since planning; run the sweep again")
    return [known[name] for name in job.spec["sessions"]]


# ---- Training in this process ----


def _trained(job: Job, places: Places, store: Store, entries: list[Entry], folder: Path, epochs: int):
    """Train up to so many epochs, keep the best epoch's model in the folder; returns it, and how far it came."""
    spec, recipe, seed = model_spec(job, entries, _provenance_of(job, entries)), recipe_of(job), job.spec["seed"]
    torch.manual_seed(seed)
    source = load_model(places.folder(job.spec["weights"])) if job.spec["weights"] else None
    model = transplant(source, spec) if source else NeuralModel(spec)
    loaded = {key: load_model(places.folder(key)) for key in set(job.spec["teachers"].values())}
    teachers = {session: loaded[key] for session, key in job.spec["teachers"].items()}
    teacher = next(iter(teachers.values()), None)

    learns = "unfreeze_epoch" in job.spec
    share = Share(
        entries=tuple(entries),
        inputs=inputs_of(spec, entries),
        teacher_inputs=inputs_of(teacher.spec, entries) if learns else None,
        teacher_width=teacher.spec.config.width if teacher and not learns else 0,
    )
    feed, holding = open_feed(
        share,
        read_directly(store, entries),
        batch=recipe.batch,
        seed=seed,
        engine=engine_of(job),
        device=places.device,
        teacher=frozen(teachers, entries, places.device) if teacher and not learns else None,
    )
    trained, objective = model, objective_of(job)
    if learns:
        trained, objective = StudentAndTeacher(model, teacher), unfrozen(objective, job.spec["unfreeze_epoch"])
    progress = train(
        Training(
            model=trained,
            objective=objective,
            feed=feed,
            recipe=recipe,
            engine=engine_of(job),
            seed=seed,
            folder=folder,
            device=places.device,
            until=epochs,
        )
    )
    save_model(model, folder)
    return model.cpu(), progress.summary() | {"segments": holding.to_json()}


def _provenance_of(job: Job, entries: list[Entry]) -> dict:
    """What a model file says of where it comes from."""
    return {
        "job": job.name,
        "key": job.key,
        "data": {e.session: e.content for e in entries},
        "protocol": " and ".join(sorted({e.protocol for e in entries})),
        "normalisation": {
            e.session: {name: asdict(norm) for name, norm in e.normalisation.items() if name != "behavior"}
            for e in entries
        },
    } | provenance()
