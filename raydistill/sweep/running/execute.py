"""Executing one job of each kind: from its specification alone, with its results in its folder."""

import functools
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Concatenate, ParamSpec, TypeVar

from raydistill import mirrored
from raydistill.errors import DataError
from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.label_scores import LabelScore, score_label, score_label_baseline
from raydistill.evaluation.scored_segments import write_segments
from raydistill.evaluation.session_scores import SessionScore, score_baseline, score_model
from raydistill.evaluation.units import write_units
from raydistill.feed.reading import read_directly
from raydistill.files import write_atomically, write_json
from raydistill.models.files import load_model, save_model
from raydistill.models.model import Model
from raydistill.ownership import check_owner, claim, is_owner, release
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store
from raydistill.sweep.answering.card import write_card
from raydistill.sweep.planning.job import Job, model_spec
from raydistill.sweep.planning.job_folder import JOB, mark_complete
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.spec import BaselineSpec, EvaluationSpec, ImportedSpec, TrainingSpec
from raydistill.sweep.running.provenance import model_provenance, provenance
from raydistill.training.assemble import TrainingTask, assemble
from raydistill.training.distributed import DistributedTraining, train_on_workers
from raydistill.training.fitting import fit_model
from raydistill.training.hardware import computed_here

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class JobContext:
    """Where and how a job runs; none of it changes the result."""

    runs: RunsFolder
    """The runs folder, with an absolute path, because jobs run in processes with other working directories."""
    store: str
    """Absolute path or URI of the store."""
    device: str = "cpu"
    """cpu or cuda."""
    stop_at: float | None = None
    """Unix time after which trainings save a checkpoint and stop."""


def _releasing(run: Callable[Concatenate[Job, JobContext, P], T]) -> Callable[Concatenate[Job, JobContext, P], T]:
    """Release the job's folder when `run` ends, also after an error: this process lives on and runs other jobs."""

    @functools.wraps(run)
    def run_and_release(job: Job, context: JobContext, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return run(job, context, *args, **kwargs)
        finally:
            release(context.runs.job_folder(job.key))

    return run_and_release


@_releasing
def run_session_job(job: Job, context: JobContext) -> dict:
    """Run a job on one session in this process, unless its folder is complete and current.

    Returns:
        The metrics of the job.
    Raises:
        TimeLimitReached: its training was stopped at a checkpoint.
        Exception: the error of the job.
    """
    context.runs.fetch(*job.depends_on, finished=True)
    context.runs.fetch(job.key)
    if not context.runs.is_current(job):
        match job.spec:
            case TrainingSpec():
                advance_job(job, context, job.spec.epochs)
            case ImportedSpec():
                _import(job, job.spec, context)
            case EvaluationSpec():
                _evaluate(job, job.spec, context)
            case BaselineSpec():
                _score_baseline(job, job.spec, context)
    return context.runs.metrics(job.key)


@_releasing
def advance_job(job: Job, context: JobContext, epochs: int, columns: tuple[str, ...] = ()) -> dict:
    """Train in this process up to this epoch, from where the job stopped; its folder is complete after the last one.

    Args:
        columns: behavior to decode with a pretraining, which names none; by default all columns of each session.
    Returns:
        `valid_r2` and `r2` of the best epoch so far, `epoch`, the number of epochs so far, and all other metrics; of a
        pretraining only these three, with R² as means over its sessions. A job that had trained for more epochs already
        is scored as it is: then `epoch` is greater than `epochs`.
    """
    started, store = time.time(), Store(context.store)
    context.runs.fetch(*job.depends_on, finished=True)
    context.runs.fetch(job.key)
    entries, current = _entries(store, job), context.runs.is_current(job)
    if current and not job.is_pretraining:
        return context.runs.metrics(job.key)
    folder = context.runs.job_folder(job.key) if current else _open_folder(job, context)
    outcome = context.runs.metrics(job.key) if current else _train_here(job, context, entries, folder, epochs)
    model = load_model(folder)
    if job.is_pretraining:
        scores = _mean_scores(model, store, entries, columns, context.device)
    else:
        scores = _score_training(job, model, store, entries[0], folder, context.device)
    if not current and (outcome["epoch"] < epochs or epochs >= job.training_spec.epochs):
        _complete(job, entries, outcome if job.is_pretraining else scores | outcome, started, context)
    return scores | {"epoch": outcome["epoch"]}


def run_pretrainings(
    jobs: Sequence[Job], context: JobContext, watch: Callable[[], None] = lambda: None, group: str = "pretraining"
) -> Iterator[tuple[Job, dict | Exception]]:
    """Run pretrainings on Ray Train workers, one after another; jobs that are complete are skipped.

    Args:
        watch: called a few times per second while they train.
        group: a name that no other group of pretrainings has that runs at the same time.
    Yields:
        Each job when it ends, with its metrics or the error that ended it; mostly in the order given. A job that was
        stopped at a checkpoint has the error TimeLimitReached.
    """
    started, by_folder = time.time(), {}
    for job in jobs:
        try:
            context.runs.fetch(job.key)
            if not context.runs.is_current(job):
                by_folder[context.runs.job_folder(job.key)] = job, _distributed(job, context)
                continue
            metrics = context.runs.metrics(job.key)
        except Exception as err:
            yield job, err
        else:
            yield job, metrics
    trainings = [training for _, training in by_folder.values()]
    for training, outcome in train_on_workers(trainings, context.runs.scratch / group, watch):
        folder = training.task.folder
        job, _ = by_folder[folder]
        if not isinstance(outcome, Exception):
            try:
                machine = outcome.pop("hardware")
                outcome = _complete(job, training.task.entries, outcome, started, context, machine)
            except (OSError, DataError) as err:  # the disk is full, or the folder of a source was deleted
                outcome = err
        yield job, outcome
        started = time.time()


def training_task(job: Job, context: JobContext, entries: list[Entry], folder: Path) -> TrainingTask:
    """The training of a job as data, which can be sent to another process."""
    spec, folder_of = job.training_spec, context.runs.job_folder
    assert spec.objective and spec.training, "a fitted model has no training"
    return TrainingTask(
        spec=model_spec(job, entries, model_provenance(job, entries)),
        objective=spec.objective,
        recipe=spec.training,
        engine=job.engine,
        seed=spec.seed,
        store=context.store,
        entries=tuple(entries),
        folder=folder,
        weights=folder_of(spec.weights) if spec.weights else None,
        teachers={session: folder_of(key) for session, key in (spec.teachers or {}).items()},
        inherit=spec.inherit,
        freeze=spec.freeze,
        control=spec.control,
        runs=context.runs.uri,
        borrowed=tuple(_unchanged(Store(context.store), spec.borrowed or {}, ("spikes",))),
        stop_at=context.stop_at,
    )


@_releasing
def _distributed(job: Job, context: JobContext) -> DistributedTraining:
    folder, entries = _open_folder(job, context), _entries(Store(context.store), job)
    return DistributedTraining(
        task=training_task(job, context, entries, folder), workers=job.workers, use_gpu=context.device == "cuda"
    )


def _train_here(job: Job, context: JobContext, entries: list[Entry], folder: Path, epochs: int) -> dict:
    """Train up to this epoch and save the model of the best epoch, or fit the model; returns a summary."""
    if job.training_spec.training is None:
        spec = computed_here(model_spec(job, entries, model_provenance(job, entries)))
        model = fit_model(spec, Store(context.store), entries[0], job.training_spec.seed)
        save_model(model, folder)
        return {"epoch": 1} | {name: about for name, about in model.spec.provenance.items() if name == "fit"}
    assembled = assemble(
        training_task(job, context, entries, folder),
        lambda task, share: read_directly(Store(task.store), list(task.entries), share.signals),
        device=context.device,
        until=epochs,
    )
    return assembled.run()


def _score_training(job: Job, model: Model, store: Store, entry: Entry, folder: Path, device: str) -> dict:
    """The metrics of the model of a session, whose segments are written into the folder of its job."""
    spec = job.training_spec
    if spec.label is not None:
        return _written(score_label(model, store, entry, spec.label, device=device), folder)
    return _written(score_model(model, store, entry, spec.behavior, device=device), folder)


def _written(score: SessionScore | LabelScore, folder: Path) -> dict:
    """Write what was scored into the folder of a job; returns the metrics."""
    if score.segments is not None:
        write_segments(score.segments, folder)
    if isinstance(score, SessionScore):
        write_units(score.units, folder)
    return score.metrics()


def _mean_scores(model: Model, store: Store, entries: list[Entry], columns: tuple[str, ...], device: str) -> dict:
    """`valid_r2` and `r2`, as means over the sessions with behavior that have such a fold."""
    scores = (score_model(model, store, e, columns or e.behavior, device=device) for e in entries if e.behavior)
    metrics = [score.metrics() for score in scores]
    return {name: mean(of[name] for of in metrics if name in of) for name in ("valid_r2", "r2")}


def _import(job: Job, spec: ImportedSpec, context: JobContext) -> None:
    """Copy a finished model. Raises DataError if it has changed since planning."""
    started, folder, source = time.time(), _open_folder(job, context), Path(str(job.folder))
    load_model(source)  # so that a model that cannot be used fails here and not in every job that needs it
    for name, digest in spec.files.items():
        content = (source / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise DataError(f"{source / name} has changed since planning; run the sweep again")
        write_atomically(folder / name, content)
    check_owner(folder)
    write_json(folder / "metrics.json", {"seconds": round(time.time() - started, 3), "device": "cpu"})
    mark_complete(folder)
    mirrored.publish(folder)


def _evaluate(job: Job, spec: EvaluationSpec, context: JobContext) -> None:
    """Decode one session with the model of another job."""
    started, folder, store = time.time(), _open_folder(job, context), Store(context.store)
    (entry,) = _entries(store, job)
    model = load_model(context.runs.job_folder(spec.trained))
    if spec.embeddings_of:
        model.use_embeddings_of(entry.session, spec.embeddings_of)
    if spec.label is not None:
        metrics = _written(score_label(model, store, entry, spec.label, spec.spikes_as, context.device), folder)
    else:
        score = score_model(model, store, entry, spec.behavior, spec.spikes_as, context.device, spec.past_bins)
        metrics = _written(score, folder)
    _complete(job, [entry], metrics, started, context)


def _score_baseline(job: Job, spec: BaselineSpec, context: JobContext) -> None:
    started, folder, store = time.time(), _open_folder(job, context), Store(context.store)
    (entry,) = _entries(store, job)
    baseline = BASELINES[spec.baseline]
    if spec.label is not None:
        metrics = _written(score_label_baseline(baseline, store, entry, spec.label), folder)
    else:
        metrics, units = score_baseline(baseline, store, entry, spec.behavior)
        write_units(units, folder)
    _complete(job, [entry], metrics, started, context)


def _open_folder(job: Job, context: JobContext) -> Path:
    return context.runs.open_job(job, {"store": context.store, "provenance": provenance()})


def _complete(
    job: Job, entries: Sequence[Entry], metrics: dict, started: float, context: JobContext, machine: dict | None = None
) -> dict:
    """Write the metrics and the card of a job, mark its folder as complete, and release it.

    Args:
        machine: on which it was computed, if not in this process.
    Returns:
        The metrics.
    """
    folder = context.runs.job_folder(job.key)
    if not is_owner(folder):  # the workers of a pretraining had it
        mirrored.fetch(folder)
        claim(folder)
        mirrored.announce(folder)
    metrics = metrics | {"seconds": round(time.time() - started, 3), "device": context.device}
    check_owner(folder)
    if machine:
        write_json(folder / JOB, context.runs.job_json(job.key) | {"provenance": provenance(machine)})
    write_json(folder / "metrics.json", metrics)
    write_card(job, context.runs, entries, metrics)
    mark_complete(folder)
    mirrored.publish(folder)
    release(folder)
    return metrics


def _entries(store: Store, job: Job) -> list[Entry]:
    """The job's sessions in the store. Raises DataError if one has changed since the job was planned."""
    return _unchanged(store, job.spec.sessions, job.spec.reads)


def _unchanged(store: Store, sessions: Mapping[str, str], signals: Iterable[str]) -> list[Entry]:
    """The sessions, whose signals must have the sha256 that `sessions` gives."""
    entries = [store.entry(name) for name in sessions]  # and not the catalogue of all sessions in every job
    for entry, content in zip(entries, sessions.values(), strict=True):
        if entry.content_of(signals) != content:
            raise DataError(
                f"session {entry.session} of the store {store.uri} has changed since planning; run the sweep again"
            )
    return entries
