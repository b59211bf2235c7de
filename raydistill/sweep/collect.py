"""From job folders to results: scores, comparisons and failures of a plan, and what MLflow shows of it."""

import json
from pathlib import Path

from raydistill.config.fingerprint import fingerprint
from raydistill.config.sweep import SweepConfig
from raydistill.evaluation.results import Failure, Results, Score, method_table
from raydistill.evaluation.statistics import compare_all
from raydistill.store.files import write_json
from raydistill.store.store import Store
from raydistill.sweep.folders import job_folder, read_metrics
from raydistill.sweep.job import DONE, FAILED, Job
from raydistill.sweep.plan import Plan, plan
from raydistill.sweep.prepare import missing_recordings, store_uri
from raydistill.tracking import TrackedJob, is_tracked
from raydistill.training.history import read_history


def collect(sweep: SweepConfig, plan: Plan, runs: Path) -> Results:
    """Scores of the finished jobs in the order of the sweep's methods, and the comparisons drawn from them."""
    scores, baselines, failed = [], [], []
    order = {method: i for i, method in enumerate(sweep.methods)}
    for planned in sorted(plan.planned, key=lambda p: order.get(p.job.method, len(order))):
        job = planned.job
        if planned.state == FAILED:
            failed.append(Failure(job.key, job.session, planned.reason))
        elif planned.state == DONE and job.method:
            metrics = read_metrics(runs, job.key)
            found = Score(
                job.method, job.session, job.subject, job.seed, metrics["r2"], job.key, metrics["r2_per_axis"]
            )
            (baselines if job.kind == "baseline" else scores).append(found)
    return Results(
        protocol=plan.protocol,
        scores=tuple(scores),
        baselines=tuple(baselines),
        comparisons=compare_all(sweep.comparisons, scores),
        failed=tuple(failed),
    )


def sweep_fingerprint(plan: Plan) -> str:
    """The identity of a sweep's question: that of its jobs."""
    return fingerprint(sorted(job.key for job in plan.jobs))


def _answer(sweep: SweepConfig, plan: Plan) -> dict:
    """What figures, tables and MLflow were last made from."""
    return {"jobs": sweep_fingerprint(plan), "methods": sweep.methods, "compare": list(sweep.compare)}


def conclude(sweep: SweepConfig, plan: Plan, runs: Path) -> None:
    """Note that figures are drawn and MLflow is told, so that the next run of the sweep has nothing to do."""
    write_json(runs / "sweeps" / sweep.name / "concluded.json", _answer(sweep, plan))


def concluded(sweep: SweepConfig, runs: Path) -> Results | None:
    """The results of a sweep that has nothing left to do; None where it has."""
    note = runs / "sweeps" / sweep.name / "concluded.json"
    if missing_recordings(sweep, runs) or not note.exists() or not is_tracked(runs):
        return None
    found = plan(sweep, Store(store_uri(sweep, runs)).entries(), runs)
    if found.todo or json.loads(note.read_text()) != _answer(sweep, found):
        return None
    return collect(sweep, found, runs)


def tracked(job: Job, runs: Path, protocol: str, done: bool) -> TrackedJob:
    """A job as MLflow shows it: few parameters with constant names, tags to search by, curves and figures."""
    folder = job_folder(runs, job.key)
    metrics = read_metrics(runs, job.key) if done else {}
    params = {name: job.spec[name] for name in ("modality", "value", "baseline") if name in job.spec}
    for section in ("model", "training"):
        params |= {f"{section}.{name}": value for name, value in job.spec.get(section, {}).items()}
    tags = {"kind": job.kind, "method": job.method, "session": job.session, "subject": job.subject, "seed": job.seed}
    numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
    numbers |= {f"r2_{name}": value for name, value in metrics.get("r2_per_axis", {}).items()}
    return TrackedJob(
        key=job.key,
        name=job.name,
        params=params,
        tags={name: str(value) for name, value in tags.items() if value is not None} | {"protocol": protocol},
        history=read_history(folder / "history.jsonl"),
        metrics=numbers,
        sessions=job.spec["sessions"],
        artifacts=[folder / "job.json"] if (folder / "job.json").exists() else [],
    )


def result_table(results: Results) -> dict[str, list]:
    """The scores as columns, baselines below the methods."""
    rows = (*results.scores, *results.baselines)
    return {name: [getattr(s, name) for s in rows] for name in ("method", "session", "subject", "seed", "r2", "job")}


def summary_metrics(results: Results) -> dict[str, float]:
    """Mean R² of every method and the p of every comparison, as metrics of the sweep's own run."""
    means = {f"mean_r2/{row.method}": row.mean for row in method_table(results)}
    return means | {f"p/{c.better} over {c.worse}": c.test.p for c in results.comparisons}
