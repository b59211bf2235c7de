"""Running a search: first the jobs that the searched one starts from, then the trials, then the result as a file."""

import contextlib
from pathlib import Path
from statistics import mean

import optuna
from optuna.trial import FrozenTrial, TrialState

from raydistill.cluster import connected
from raydistill.config.fingerprint import canonical, fingerprint
from raydistill.errors import DataError
from raydistill.evaluation.figures.search import importance_bars, parallel_coordinates
from raydistill.files import write_atomically, write_json
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.search import SearchConfig, Value, sweep_with
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.driver import device_of
from raydistill.sweep.running.execute import JobContext, advance_job
from raydistill.sweep.running.jobs import SweepRun, run_jobs
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress
from raydistill.sweep.running.recordings import make_recordings
from raydistill.sweep.running.room import check_room_of_trials
from raydistill.sweep.searching.result import SearchResult, TriedValues, as_yaml, last_name, short
from raydistill.sweep.searching.study import best_values, ended, importances, n_trials, open_study, try_first
from raydistill.sweep.searching.trials import SearchRun, run_trials
from raydistill.tracking.job import TrackedJob
from raydistill.tracking.tracker import Tracker


def run_search(
    search: SearchConfig, path: Path, runs: RunsFolder, progress: SweepProgress, options: RunOptions
) -> SearchResult:
    """Run the jobs and trials of a search that are not done; the same command continues where an earlier one stopped.

    Args:
        path: of the search file.
    Raises:
        DataError: a job from which the searched one starts failed, or no trial is complete.
        RaydistillError: another process is using the runs folder, or the sweep does not fit its sessions.
        KeyboardInterrupt: Ctrl-C.
    """
    sweep = OpenSweep(sweep_with(search, path, {}), runs)
    with contextlib.ExitStack() as stack:
        stack.enter_context(runs.exclusive_lock())
        study = open_study(search, runs.search_folder(search.name))
        if sweep.lacks_recordings or len(ended(study)) < n_trials(search):
            stack.enter_context(connected(options.address))
        if sweep.lacks_recordings:
            make_recordings(sweep, progress)
            sweep = OpenSweep(sweep.config, runs)  # with the sessions that now exist
        tracker = _open_tracker(search, sweep)
        context = JobContext(runs.absolute(), sweep.store, device_of(options))
        run = SweepRun(sweep=sweep, options=options, context=context, tracker=tracker, progress=progress)
        search_run = SearchRun(search, path, run)
        try:
            _run_jobs_of_sweep(search_run, sources=True)
            _run_trials(study, search_run)
            _run_jobs_of_sweep(search_run, sources=False)  # the default values, to their last epoch
        except KeyboardInterrupt:
            tracker.interrupted()
            raise
        return _conclude(study, search_run)


def _open_tracker(search: SearchConfig, sweep: OpenSweep) -> Tracker:
    tracker = Tracker(sweep.runs.path, search.name)
    tracker.parent(
        fingerprint([canonical(search), canonical(sweep.config)]),
        {"sweep": search.sweep, "job": search.job, "sampler": search.sampler, "seed": search.seed},
        {"stage": "search"},
    )
    return tracker


def _run_jobs_of_sweep(search_run: SearchRun, sources: bool) -> None:
    """Run the searched job with the sweep's own values, or, with `sources`, the jobs that it starts from."""
    run, search = search_run.run, search_run.search
    plan = run.sweep.plan()
    searched = [job for job in plan.jobs if job.line == search.job]
    keys = [key for job in searched for key in (job.depends_on if sources else (job.key,))]
    needed = plan.closure(keys)
    if needed.todo:
        run.progress.plan(needed)
        with connected(run.options.address):  # a search whose trials have all ended has not started Ray
            run_jobs(run, needed)
    if failed := run.sweep.plan().closure(keys).todo:
        raise DataError(f"{search.name} needs {failed[0].job.name}, which is not done: {failed[0].reason}")


def _run_trials(study: optuna.Study, search_run: SearchRun) -> None:
    search, run = search_run.search, search_run.run
    if len(ended(study)) < n_trials(search):
        check_room_of_trials(run.sweep.config, run.context.device, local=not run.options.address)
    try_first(study, search, _default_values(search_run))
    for trial in ended(study):
        run.tracker.job(_tracked(search, trial))
    run.progress.stage(f"{n_trials(search) - len(ended(study))} trials of {search.name}")
    run_trials(study, search_run, lambda trial: _report(search_run, trial))


def _default_values(search_run: SearchRun) -> dict[str, Value]:
    """The sweep's value of everything that the search varies."""
    sweep = search_run.run.sweep.config
    job = sweep.jobs[search_run.search.job]
    parts = {"model": sweep.settings_of(job), "training": sweep.training_of(job)}
    values = {}
    for name in search_run.search.space:
        part, _, field = name.partition(".")
        values[name] = getattr(parts[part], field) if part in parts else getattr(job, name)
    return values


def _report(search_run: SearchRun, trial: FrozenTrial) -> None:
    """Show a trial that has ended on the terminal and in MLflow."""
    job, run = _tracked(search_run.search, trial), search_run.run
    if "valid_r2" in trial.user_attrs:
        run.tracker.job(job)
        outcome = f"validation R² {trial.user_attrs['valid_r2']:+.3f} at epoch {trial.user_attrs['epoch']}"
    else:
        run.tracker.failed(job, trial.user_attrs["cause"])
        outcome = f"failed: {trial.user_attrs['cause']}"
    values = ", ".join(f"{last_name(name)} {short(value)}" for name, value in trial.params.items())
    run.progress.line(f"trial {trial.number:<4} {outcome}  ({values})")


def _tracked(search: SearchConfig, trial: FrozenTrial) -> TrackedJob:
    return TrackedJob(
        key=f"{search.name}-{fingerprint(canonical(search))[:16]}-{trial.number}",
        name=f"trial {trial.number}",
        params=trial.params,
        tags={"stage": "trial", "state": trial.state.name.lower()},
        metrics={k: v for k, v in trial.user_attrs.items() if isinstance(v, int | float)},
    )


def _conclude(study: optuna.Study, search_run: SearchRun) -> SearchResult:
    """Write the result and its figures, and log them to MLflow."""
    search, folder = search_run.search, search_run.run.sweep.runs.search_folder(search_run.search.name)
    best = best_values(study)
    if best is None:
        raise DataError(f"{search.name}: no trial ran to its last epoch; see the causes above")
    result = SearchResult(
        trials=len(ended(study)),
        pruned=sum(t.state == TrialState.PRUNED for t in study.trials),
        failed=sum(t.state == TrialState.FAIL and "cause" in t.user_attrs for t in study.trials),
        default=_tried(search_run, _default_values(search_run)),
        best=_tried(search_run, best),
        importances=importances(study),
        file=folder / "best.yaml",
    )
    write_atomically(result.file, as_yaml(search, search_run.path, result).encode())
    write_json(folder / "results.json", result.to_json())
    trials = ended(study)
    search_run.run.tracker.finish(
        table={"trial": [t.number for t in trials], "valid_r2": [t.user_attrs["valid_r2"] for t in trials]}
        | {name: [t.params.get(name) for t in trials] for name in search.space},
        documents={"search_results.json": result.to_json()},
        figures=_figures(trials, result.importances, folder),
        metrics={
            "valid_r2": result.best.valid_r2,
            "test_r2": result.best.test_r2,
            "valid_r2_default": result.default.valid_r2,
        },
        status="FINISHED",
    )
    return result


def _figures(trials: list[FrozenTrial], shares: dict[str, float], folder: Path) -> list[Path]:
    points = [(t.params, t.user_attrs["valid_r2"], t.state == TrialState.COMPLETE) for t in trials]
    figures = [*parallel_coordinates(points, folder / "parallel_coordinates").values()]
    if shares:
        figures += importance_bars(shares, folder / "importances").values()
    return figures


def _tried(search_run: SearchRun, values: dict[str, Value]) -> TriedValues:
    """The scores of the searched job with these values, which are read if its trainings are done."""
    jobs, run = search_run.jobs(values), search_run.run
    metrics = [advance_job(job, run.context, job.training_spec.epochs, run.sweep.config.behavior) for job in jobs]
    return TriedValues(
        values=values,
        valid_r2=mean(m["valid_r2"] for m in metrics),
        test_r2=mean(m["r2"] for m in metrics),
        parameters=search_run.parameters(jobs),
    )
