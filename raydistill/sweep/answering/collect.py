"""From job folders to results: scores, comparisons and failures of a plan."""

import dataclasses
from collections import defaultdict
from typing import Any

from raydistill.config.fingerprint import fingerprint
from raydistill.config.names import recorded_and_draw
from raydistill.evaluation.below import below_baselines
from raydistill.evaluation.comparisons import compare_all
from raydistill.evaluation.controls import control_tests
from raydistill.evaluation.decoders.clock_skill import ClockSkill
from raydistill.evaluation.measure import measure_of
from raydistill.evaluation.results import Results, unique
from raydistill.evaluation.scores import Failure, LabelNumbers, MissingJob, Score
from raydistill.evaluation.units import read_units
from raydistill.sweep.answering.advice import advice
from raydistill.sweep.answering.representations import alignments
from raydistill.sweep.answering.sees import notes_on_clocks, sees_of
from raydistill.sweep.answering.settings import different_settings
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.code import makers, mixture
from raydistill.sweep.planning.controls import controlled_lines
from raydistill.sweep.planning.job import DONE, FAILED, Job
from raydistill.sweep.planning.notes import FILE, are_damaged, read_notes
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.spec import TrainingSpec


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
        elif job.method and not (plan.tuning and plan.tuning.hides(job.method)):
            group = {"baseline": baselines, "control": of_controls}.get(job.kind, scores)
            group.append(_score(job, runs))
        if planned.state == DONE and job.also:
            score = _score(job, runs)
            of_controls += [dataclasses.replace(score, method=label) for label in job.also]
    aligned, notes = alignments(sweep, scores, runs)
    measure = measure_of(sweep.label)
    comparisons = compare_all(plan.panels, [*scores, *baselines], measure)
    controlled = unique(controlled_lines(sweep).values())
    controls = [control_tests(controlled, sweep.controls, scores, of_controls, panel, measure) for panel in plan.panels]
    results = Results(
        protocol=plan.protocol,
        scores=tuple(scores),
        measure=measure,
        baselines=tuple(baselines),
        comparisons=comparisons,
        control_scores=tuple(of_controls),
        controls=tuple(test for of_panel in controls for test in of_panel),
        settings=different_settings(plan, comparisons),
        failed=tuple(failed),
        missing=tuple(missing),
        panels=plan.panels,
        tuning=plan.tuning,
        equal=plan.equal,
        alignments=tuple(aligned),
        sees=sees_of(sweep, plan),
        notes=(
            *plan.notes,
            *notes_on_jobs(plan, runs),
            *notes_on_fits(plan, runs),
            *notes_on_labels(plan, runs),
            *notes,
            *notes_on_clocks(sweep, plan),
        ),
    )
    below = below_baselines(results.figures, results.scores, results.baselines, results.sees)
    advised = (dataclasses.replace(b, advice=advice(b, plan, runs)) for b in below)
    return dataclasses.replace(results, below=tuple(advised))


def notes_on_jobs(plan: Plan, runs: RunsFolder) -> list[str]:
    """The notes that users wrote, and whether several versions of the code made the jobs."""
    written, mixed = read_notes(runs), mixture(makers(plan, runs))
    of_sweep = [f"{plan.sweep}: {note.in_words()}" for note in [written.of_sweep(plan.sweep)] if note]
    of_jobs = [f"{job.name}: {note.in_words()}" for job in plan.jobs if (note := written.of_job(job.key))]
    damaged = [f"{runs.path / FILE} is damaged: notes in it are not shown"] if are_damaged(runs) else []
    return [*of_sweep, *of_jobs, *damaged, *([mixed] if mixed else [])]


def notes_on_fits(plan: Plan, runs: RunsFolder) -> list[str]:
    """What fitted models say of their fits, once for each line of the sweep."""
    jobs: dict[tuple[str, str], int] = defaultdict(int)
    for planned in plan.planned:
        job = planned.job
        is_fit = isinstance(job.spec, TrainingSpec) and job.spec.training is None
        if is_fit and planned.state == DONE and (note := runs.metrics(job.key).get("fit", {}).get("note")):
            jobs[job.line, note] += 1
    return [f"{line}: {n} job{'s' if n > 1 else ''} {note}" for (line, note), n in jobs.items()]


def notes_on_labels(plan: Plan, runs: RunsFolder) -> list[str]:
    """What an example of the decoded label is, and which classes are missing from which folds, a line per session."""
    of_session: dict[str, dict[str, Any]] = {}
    for planned in plan.planned:
        if planned.state == DONE and planned.job.method and planned.job.session and planned.job.spec.label:
            of_session.setdefault(planned.job.session, runs.metrics(planned.job.key)["label"])
    lines = unique(
        f'an example of the label "{label["name"]}" is a {label["of"].removesuffix("s")}'
        for label in of_session.values()
    )
    for session, label in sorted(of_session.items()):
        if label["missing"]:
            named = "; ".join(f"{fold} has no {', '.join(classes)}" for fold, classes in label["missing"].items())
            lines.append(
                f'label "{label["name"]}" in {session}: {named}; AUC leaves out classes that are missing from train or '
                "from the scored folds"
            )
    return lines


def sweep_fingerprint(plan: Plan) -> str:
    """The identity of a sweep: a hash of its jobs' keys."""
    return fingerprint(sorted(job.key for job in plan.jobs))


def _label_numbers(metrics: dict) -> LabelNumbers:
    return LabelNumbers(**{f.name: metrics[f.name] for f in dataclasses.fields(LabelNumbers)})


def _score(job: Job, runs: RunsFolder) -> Score:
    assert job.method and job.session and job.subject, "a method is scored on one session"
    metrics, measure = runs.metrics(job.key), measure_of(job.spec.label)
    session, draw = recorded_and_draw(job.session)
    return Score(
        method=job.method,
        session=session,
        draw=draw,
        subject=job.subject,
        seed=job.seed,
        value=metrics[measure.key],
        job=job.key,
        per_part=metrics[measure.parts],
        label=_label_numbers(metrics) if job.spec.label else None,
        n_segments=metrics.get("n_test_segments"),
        seconds=metrics.get("test_s"),
        clock=ClockSkill.from_metrics(metrics),
        neural=metrics.get("neural", {}),
        fit=metrics.get("fit", {}),
        units=read_units(runs.job_folder(job.key)),
    )
