"""Running a search: first the jobs that the searched one starts from, then the trials, then the result as files."""

import contextlib
from pathlib import Path

from optuna.trial import FrozenTrial

from raydistill.errors import DataError
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.tracked import Records
from raydistill.sweep.config.search import Search
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.driver import device_of
from raydistill.sweep.running.execute import JobContext
from raydistill.sweep.running.jobs import SweepRun, run_jobs
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress
from raydistill.sweep.running.recordings import make_recordings
from raydistill.sweep.running.room import check_room_of_trials
from raydistill.sweep.running.shared import joined, watch
from raydistill.sweep.searching.candidates import RANDOM_DRAWS
from raydistill.sweep.searching.conclude import conclude
from raydistill.sweep.searching.points import Points
from raydistill.sweep.searching.result import SearchResult, in_words
from raydistill.sweep.searching.searched import SearchedJob
from raydistill.sweep.searching.study import CAUSE, VALUES, ended, open_study, take_over
from raydistill.sweep.searching.trials import SearchRun, run_trials
from raydistill.tracking.job import TrackedJob
from raydistill.tracking.tracker import Tracker


def run_search(search: Search, runs: RunsFolder, progress: SweepProgress, options: RunOptions) -> SearchResult:
    """Run the jobs and trials of a search that are not done; the same command continues where an earlier one stopped.

    Raises:
        DataError: a job from which the searched one starts failed, or no trial is complete.
        RaydistillError: another process is using the runs folder, or the sweep does not fit its sessions.
        KeyboardInterrupt: Ctrl-C, or the time limit of the options is reached.
    """
    sweep = OpenSweep(search.sweep, runs)
    with contextlib.ExitStack() as stack:
        stack.enter_context(runs.exclusive_lock())
        if sweep.lacks_recordings:
            stack.enter_context(joined(options, runs, sweep.store))
            make_recordings(sweep, progress, watch(options, runs, sweep.store, progress.line))
            sweep = sweep.reopened()  # with the sessions that now exist
        folder, searched = runs.search_folder(search.name), SearchedJob(search, sweep.entries)
        study = open_study(searched, folder)
        _take_over(study, searched, folder, progress)
        points = Points(study, searched, lambda: options.deadline.is_reached)
        tracker = _open_tracker(searched, runs, progress)
        with tracker.interrupted_by_errors():
            if points.has_next():
                stack.enter_context(joined(options, runs, sweep.store))
            context = JobContext(runs.absolute(), sweep.store, device_of(options), options.deadline.stop_at)
            run = SweepRun(
                sweep=sweep,
                options=options,
                context=context,
                tracker=tracker,
                records=Records(sweep),
                progress=progress,
            )
            search_run = SearchRun(search, run)
            for trial in ended(study):
                tracker.job(_tracked(study.study_name, trial))
            if points.has_next():
                check_room_of_trials(sweep.config, context.device)
                _run_sources(search_run, searched)
                progress.stage(f"trials of {search.name}: {len(points.results)} of at most {points.most} done")
                run_trials(points, search_run, lambda trial: _report(search_run, points, trial))
            if not points.finished:
                options.deadline.check()
        if points.gave_up and not points.full:
            progress.line(
                f"the search ends early: {RANDOM_DRAWS} random points in a row were known or had invalid values; "
                "conditions (`when`) in the space avoid invalid ones"
            )
        return conclude(points, search_run, folder)


def _take_over(study, searched: SearchedJob, folder: Path, progress: SweepProgress) -> None:
    """Take over trials of earlier studies of this search, and say so."""
    is_new = not study.trials
    taken, others = take_over(study, searched, folder)
    if taken or (is_new and others):
        begins = (
            "a new study begins, because the search, its sweep or its sessions have changed; it" if is_new else "it"
        )
        progress.line(
            f"{searched.search.name}: {begins} takes over {taken} of the {others} trials of earlier studies, namely "
            "those with the same jobs"
        )


def _open_tracker(searched: SearchedJob, runs: RunsFolder, progress: SweepProgress) -> Tracker:
    search, config = searched.search, searched.search.config
    tracker = Tracker(runs.path, search.name, progress.line)
    params = {"sweep": config.sweep, "job": config.job, "sampler": config.sampler, "seed": config.seed}
    values = [("params", name) for name in search.space.dimensions]
    columns = [("metrics", "R2 validation"), *values, ("metrics", "size/parameters"), ("tags", "stage")]
    tracker.parent(searched.fingerprint(), params, {"stage": "search"}, columns)
    return tracker


def _run_sources(search_run: SearchRun, searched: SearchedJob) -> None:
    """Run the jobs that the searched one starts or learns from."""
    run, keys = search_run.run, searched.sources()
    needed = run.sweep.plan().closure(keys)
    if needed.todo:
        run.progress.plan(needed)
        run_jobs(run, needed)
    if failed := run.sweep.plan().closure(keys).todo:
        raise DataError(f"{searched.search.name} needs {failed[0].job.name}, which is not done: {failed[0].reason}")


def _report(search_run: SearchRun, points: Points, trial: FrozenTrial) -> None:
    """Show a trial that has ended on the terminal and in MLflow."""
    job, run = _tracked(points.study.study_name, trial), search_run.run
    if CAUSE in trial.user_attrs:
        run.tracker.failed(job, trial.user_attrs[CAUSE])
        outcome = f"failed: {trial.user_attrs[CAUSE]}"
    else:
        run.tracker.job(job)
        outcome = f"validation R² {trial.user_attrs['valid_r2']: .3f} at epoch {trial.user_attrs['epoch']}"
    run.progress.line(f"trial {trial.number:<4} {outcome}  ({in_words(trial.user_attrs[VALUES])})")


def _tracked(study_name: str, trial: FrozenTrial) -> TrackedJob:
    metrics = {name: value for name, value in trial.user_attrs.items() if name in ("valid_r2", "epoch", "parameters")}
    return TrackedJob(
        key=f"{study_name}-{trial.number}",
        name=f"trial {trial.number}",
        params=trial.user_attrs[VALUES],
        tags={"stage": "trial", "state": trial.state.name.lower()},
        metrics=metrics,
    )
