"""What each kind of job does, from its specification and nothing else, in its own folder."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from raydistill.errors import DataError
from raydistill.evaluation.decoders.ridge import BASELINES
from raydistill.evaluation.decoders.scoring import Decoding
from raydistill.evaluation.latents import behavior_of, score_by_head, score_by_least_squares, scored_folds
from raydistill.evaluation.sequences import Keeper, Sequences, write_sequences
from raydistill.feed.reading import read_directly
from raydistill.files import write_json
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.files import load_model
from raydistill.models.inputs import inputs_of
from raydistill.models.spec import ModelSpec
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store
from raydistill.sweep.planning.expand import BASELINE_NAMES
from raydistill.sweep.planning.job import Job, session_patches, shared_bands
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.spec import BaselineSpec, EvaluationSpec
from raydistill.sweep.running.provenance import model_provenance, provenance
from raydistill.training.assemble import TrainingTask, assemble
from raydistill.training.distributed import DistributedTraining, train_on_workers


@dataclass(frozen=True)
class JobContext:
    """What a job needs in addition to its specification to run; it never changes the result."""

    runs: RunsFolder
    """With an absolute path: jobs run in processes with other working directories."""
    store: str
    """Absolute path or URI."""
    device: str = "cpu"
    """cpu or cuda."""


def run_session_job(job: Job, context: JobContext) -> None:
    """Run a job on one session in this process, unless its folder is whole already."""
    if context.runs.is_current(job):
        return
    if job.trains:
        advance_job(job, context, job.training.recipe.epochs)
        return
    started = time.time()
    folder, store = _open_folder(job, context), Store(context.store)
    entry = _entries(store, job)[0]
    match job.spec:
        case BaselineSpec():
            metrics = _decoded(_score_baseline(job.spec, store, entry))
        case EvaluationSpec():
            model = load_model(context.runs.job_folder(job.spec.trained))
            if job.spec.embeddings_of:
                model.use_embeddings_of(entry.session, job.spec.embeddings_of)
            metrics, sequences = _scores(model, store, entry, job.spec.behavior, job.spec.spikes_as)
            write_sequences(sequences, folder)
    _finish(folder, metrics, started, context)


def advance_job(job: Job, context: JobContext, epochs: int, columns: tuple[str, ...] = ()) -> dict:
    """Train in this process up to so many epochs, from where the job stands; at its own end its folder is whole.

    Args:
        columns: of behavior, for a pretraining, which names none; by default all of each session.
    Returns:
        With `valid_r2` and `r2` of the best epoch so far, of a pretraining the means over its sessions.
    """
    started, store = time.time(), Store(context.store)
    entries, done = _entries(store, job), context.runs.is_current(job)
    if done and not job.is_pretraining:
        return context.runs.metrics(job.key)
    if done:
        model = load_model(context.runs.job_folder(job.key))
    else:
        folder = _open_folder(job, context)
        model, outcome = _train_here(job, context, entries, folder, epochs)
    if job.is_pretraining:
        found = [_scores(model, store, e, columns or e.behavior)[0] for e in entries if e.behavior]
        scores = {name: mean(each[name] for each in found) for name in ("valid_r2", "r2")}
    else:
        scores, sequences = _scores(model, store, entries[0], job.training.behavior)
        write_sequences(sequences, folder)
    if not done and (outcome["epoch"] < epochs or epochs >= job.training.recipe.epochs):
        _finish(folder, outcome if job.is_pretraining else scores | outcome, started, context)
    return scores


def _finish(folder: Path, metrics: dict, started: float, context: JobContext) -> None:
    took = {"seconds": round(time.time() - started, 3), "device": context.device}
    write_json(folder / "metrics.json", metrics | took)
    mark_complete(folder)


def run_pretrainings(
    jobs: Sequence[Job], context: JobContext, watch: Callable[[], None] = lambda: None
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
            if not context.runs.is_current(job):
                by_folder[context.runs.job_folder(job.key)] = job, _distributed(job, context)
                continue
        except Exception as err:
            yield job, err
        else:
            yield job, None
    trainings = [training for _, training in by_folder.values()]
    for training, outcome in train_on_workers(trainings, context.runs.scratch, watch):
        folder = training.task.folder
        job, _ = by_folder[folder]
        if isinstance(outcome, Exception):
            yield job, outcome
        else:
            _finish(folder, outcome, started, context)
            yield job, None
        started = time.time()


def _open_folder(job: Job, context: JobContext) -> Path:
    return context.runs.open_job(job, {"store": context.store, "provenance": provenance()})


def _entries(store: Store, job: Job) -> list[Entry]:
    """The job's sessions, as long as they are still the ones it was planned for."""
    known = {e.session: e for e in store.entries()}
    for name, content in job.spec.sessions.items():
        if name not in known or known[name].content != content:
            raise DataError(f"session {name} of the store {store.uri} has changed since planning; run the sweep again")
    return [known[name] for name in job.spec.sessions]


# ---- Training ----


def training_task(job: Job, context: JobContext, entries: list[Entry], folder: Path) -> TrainingTask:
    """The training of a job, as data."""
    spec, models = job.training, context.runs.job_folder
    return TrainingTask(
        spec=ModelSpec(
            family=spec.family,
            config=spec.model,
            sessions=session_patches(job, entries),
            bands=shared_bands(job, entries),
            behavior=spec.predicted_behavior,
            provenance=model_provenance(job, entries),
        ),
        objective=spec.objective,
        recipe=spec.recipe,
        engine=job.engine,
        seed=spec.seed,
        store=context.store,
        entries=tuple(entries),
        folder=folder,
        weights=models(spec.weights) if spec.weights else None,
        teachers={session: models(key) for session, key in (spec.teachers or {}).items()},
    )


def _distributed(job: Job, context: JobContext) -> DistributedTraining:
    folder, entries = _open_folder(job, context), _entries(Store(context.store), job)
    return DistributedTraining(
        task=training_task(job, context, entries, folder), workers=job.workers, use_gpu=context.device == "cuda"
    )


def _train_here(
    job: Job, context: JobContext, entries: list[Entry], folder: Path, epochs: int
) -> tuple[CrossModalModel, dict]:
    """Train up to this epoch and save the model of the best one; returns it, and the outcome of the training."""
    assembled = assemble(
        training_task(job, context, entries, folder),
        lambda task, share: read_directly(Store(task.store), list(task.entries)),
        device=context.device,
        until=epochs,
    )
    outcome = assembled.run()
    return assembled.model.cpu(), outcome


# ---- Evaluation ----


def _scores(
    model: CrossModalModel, store: Store, entry: Entry, columns, spikes_as: str = "recorded"
) -> tuple[dict, Sequences]:
    """R² by the model's own head where it was trained with one, and by least squares from its latents."""
    inputs, keeper = inputs_of(model.spec, [entry], spikes_as), Keeper(entry.bin_width_ms)
    if not model.spec.behavior:
        found = score_by_least_squares(model, inputs, store, entry, tuple(columns), keeper)
        return _decoded(found), keeper.sequences(found.decoder.predict)
    by_least_squares = score_by_least_squares(model, inputs, store, entry, tuple(columns))
    found = score_by_head(model, inputs, store, entry, keeper)
    return _decoded(found) | {"r2_least_squares": by_least_squares.r2}, keeper.sequences(lambda outputs: outputs)


def _score_baseline(spec: BaselineSpec, store: Store, entry: Entry) -> Decoding:
    columns = spec.behavior
    folds = [
        [
            dataclasses.replace(s, behavior=behavior_of(s, entry, columns))
            for fold in folds
            for s in store.read(entry, fold)
        ]
        for folds in (("train",), ("valid",), scored_folds(entry))
    ]
    baseline = BASELINES[BASELINE_NAMES[spec.baseline]]
    return baseline.score(*folds, entry.bin_width_ms, columns)


def _decoded(decoding: Decoding) -> dict:
    shown = ("r2", "r2_per_axis", "valid_r2", "n_train", "n_test", "settings")
    return {name: getattr(decoding, name) for name in shown}
