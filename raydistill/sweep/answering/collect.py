"""From job folders to results: scores, comparisons and failures of a plan, and the record of each job for MLflow."""

import dataclasses
import functools

from raydistill.config.fingerprint import fingerprint
from raydistill.evaluation.below import below_baselines
from raydistill.evaluation.comparisons import compare_all
from raydistill.evaluation.controls import control_tests
from raydistill.evaluation.decoders.clock_skill import ClockSkill
from raydistill.evaluation.results import Results, unique
from raydistill.evaluation.scores import Failure, MissingJob, Score
from raydistill.sweep.answering.advice import advice
from raydistill.sweep.answering.representations import alignments
from raydistill.sweep.answering.sees import notes_on_clocks, sees_of
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.code import makers, mixture
from raydistill.sweep.planning.controls import controlled_lines
from raydistill.sweep.planning.job import DONE, FAILED, Job
from raydistill.sweep.planning.notes import read_notes
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.spec import spec_to_json
from raydistill.tracking.job import JobToRead, TrackedJob
from raydistill.training.history import read_history


def collect(sweep: SweepConfig, plan: Plan, runs: RunsFolder) -> Results:
    """Scores of the finished jobs in the order of the sweep's methods, and the comparisons of these scores."""
    scores: list[Score] = []
    baselines: list[Score] = []
    of_controls: list[Score] = []
    failed: list[Failure] = []
    missing: list[MissingJob] = []
    order = {method: i for i, method in enumerate(sweep.methods)}
    for planned in sorted(plan.planned, key=lambda p: order.get(p.job.method or "", len(order))):
        job = planned.job
        if planned.state == FAILED:
            failed.append(Failure(job.key, job.session, planned.reason))
        elif planned.state != DONE:
            missing.append(MissingJob(job.key, job.name, planned.reason))
        elif job.method:
            group = {"baseline": baselines, "control": of_controls}.get(job.kind, scores)
            group.append(score := _score(job, runs.metrics(job.key)))
            of_controls += [dataclasses.replace(score, method=label) for label in job.also]
    aligned, notes = alignments(sweep, scores, runs)
    results = Results(
        protocol=plan.protocol,
        scores=tuple(scores),
        baselines=tuple(baselines),
        comparisons=compare_all(plan.panels, scores),
        control_scores=tuple(of_controls),
        controls=control_tests(unique(controlled_lines(sweep).values()), sweep.controls, scores, of_controls),
        failed=tuple(failed),
        missing=tuple(missing),
        panels=plan.panels,
        alignments=tuple(aligned),
        sees=sees_of(sweep, plan),
        notes=(*plan.notes, *notes_on_jobs(plan, runs), *notes, *notes_on_clocks(sweep, plan)),
    )
    below = [f"{b.in_words()} {advice(b, plan, runs)}" for b in below_baselines(results)]
    return dataclasses.replace(results, below=tuple(below))


def notes_on_jobs(plan: Plan, runs: RunsFolder) -> list[str]:
    """The notes that users wrote, and whether several versions of the code made the jobs."""
    written, mixed = read_notes(runs), mixture(makers(plan, runs))
    of_sweep = [f"{plan.sweep}: {note.in_words()}" for note in [written.of_sweep(plan.sweep)] if note]
    of_jobs = [f"{job.name}: {note.in_words()}" for job in plan.jobs if (note := written.of_job(job.key))]
    return [*of_sweep, *of_jobs, *([mixed] if mixed else [])]


def sweep_fingerprint(plan: Plan) -> str:
    """The identity of a sweep: a hash of its jobs' keys."""
    return fingerprint(sorted(job.key for job in plan.jobs))


LOGGED = ("family", "model", "objective", "training", "baseline", "spikes_as")
"""Parts of a specification that MLflow shows as parameters."""


def _flat(tree: dict, prefix: str = "") -> dict:
    """Nested mappings under dotted names, such as model.backbone.layers; settings that are None are left out."""
    flat: dict = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            flat[prefix + name] = value
    return flat


def tracked(job: Job, runs: RunsFolder, protocol: str, metrics: dict | None) -> JobToRead:
    """The record of a job for MLflow, which is read from the job's folder when it is sent.

    Args:
        metrics: of the job if it is done; empty if it is not; None: to be read with the rest.
    """
    return JobToRead(key=job.key, read=functools.partial(_record, job, runs, protocol, metrics))


def _record(job: Job, runs: RunsFolder, protocol: str, metrics: dict | None) -> TrackedJob:
    """Parameters, tags to search by, curves and final metrics of a job."""
    folder = runs.job_folder(job.key)
    metrics = runs.metrics(job.key) if metrics is None else metrics
    plain = spec_to_json(job.spec)
    params = _flat({name: plain[name] for name in LOGGED if name in plain})
    tags = {"stage": job.kind, "method": job.method, "session": job.session, "subject": job.subject, "seed": job.seed}
    if isinstance(segments := metrics.get("segments"), dict):
        tags["segments"] = segments.get("place")
    if note := read_notes(runs).of_job(job.key):
        tags |= note.to_tags()
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    numbers |= {f"r2_{name}": value for name, value in metrics.get("r2_per_axis", {}).items()}
    return TrackedJob(
        key=job.key,
        name=job.name,
        params=params,
        tags={name: str(value) for name, value in tags.items() if value is not None} | {"protocol": protocol},
        history=read_history(folder),
        metrics=numbers,
        sessions=job.spec.sessions,
        artifacts=[folder / "job.json"] if (folder / "job.json").exists() else [],
    )


def _score(job: Job, metrics: dict) -> Score:
    assert job.method and job.session and job.subject, "a method is scored on one session"
    return Score(
        method=job.method,
        session=job.session,
        subject=job.subject,
        seed=job.seed,
        r2=metrics["r2"],
        job=job.key,
        r2_per_axis=metrics["r2_per_axis"],
        n_segments=metrics.get("n_test_segments"),
        seconds=metrics.get("test_s"),
        clock=ClockSkill.from_metrics(metrics),
    )
