"""Running a sweep, or one of its jobs.

The driver has no state: the runs folder shows which jobs are done. The same command continues where an earlier one
stopped.
"""

import contextlib
from collections.abc import Callable

import ray

from raydistill.cluster.waiting import Wanted
from raydistill.errors import ConfigError, RaydistillError, TimeLimitReached
from raydistill.evaluation.results import Results
from raydistill.sweep.answering.conclude import conclude
from raydistill.sweep.answering.cost import Cost, in_words, total
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.tracked import Records
from raydistill.sweep.answering.tracking import log_finished, open_tracker
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.selection import narrow
from raydistill.sweep.running.execute import JobContext, run_pretrainings, run_session_job
from raydistill.sweep.running.jobs import SweepRun, run_jobs
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress
from raydistill.sweep.running.recordings import make_recordings
from raydistill.sweep.running.shared import joined, watch
from raydistill.sweep.running.trials import are_settled, run_trials
from raydistill.training.distributed import need_of_worker


def run_sweep(sweep: OpenSweep, progress: SweepProgress, options: RunOptions) -> Results:
    """Run the selected jobs that are not done, and return the results of all jobs of the sweep.

    Raises:
        RaydistillError: another process is using the runs folder, the sweep does not fit its sessions, or a machine of
            the cluster does not see its folders.
        KeyboardInterrupt: Ctrl-C, or the time limit of the options is reached.
    """
    runs = sweep.runs
    with contextlib.ExitStack() as stack:

        def start() -> JobContext:
            stack.enter_context(joined(options, runs, sweep.store))
            return JobContext(runs.absolute(), sweep.store, device_of(options), options.deadline.stop_at)

        stack.enter_context(runs.exclusive_lock(progress.line))
        if sweep.lacks_recordings:
            _check_can_record(sweep, options)
            stack.enter_context(joined(options, runs, sweep.store))
            make_recordings(sweep, progress, watch(options, runs, sweep.store, progress.line))
            sweep = sweep.reopened()  # with the sessions that now exist
        costs: list[Cost] = []
        if sweep.config.tuning:
            sweep, costs = run_trials(sweep, progress, options, start)
        whole = sweep.plan()
        selected = narrow(whole.without_trials(), options.selection)
        if selected.todo:
            options.deadline.check()
        progress.plan(selected)
        runs.write_keys(sweep.name, whole.jobs, whole.contents)
        records = Records(sweep)
        tracker = stack.enter_context(open_tracker(sweep, records, progress.line).interrupted_by_errors())
        log_finished(narrow(whole, options.selection), records, tracker)
        if selected.todo and are_settled(whole, options.selection):
            run = SweepRun(
                sweep=sweep, options=options, context=start(), tracker=tracker, records=records, progress=progress
            )
            costs.append(run_jobs(run, selected))
            progress.stage(in_words(costs[-1]))
        cost = total(costs)
        if cost and len(costs) > 1:
            progress.stage(f"trials and comparison: {in_words(cost)}")
        whole = sweep.plan()
        results = sweep.collect(whole)
        progress.stage("drawing figures")
        conclude(sweep, whole, results, tracker, cost)
    return results


def _check_can_record(sweep: OpenSweep, options: RunOptions) -> None:
    """Raise ConfigError if recordings are to be made on several machines that share no disk."""
    if sweep.runs.uri and options.address:
        raise ConfigError(
            f"--address: the recordings of {sweep.name} are not in {sweep.runs} yet, and are generated on one machine; "
            "give the same command without --address once (Ctrl-C after them), or name a `store`"
        )


def run_single_job(runs: RunsFolder, key: str, options: RunOptions, tell: Callable[[str], None]) -> Job:
    """Run one job of an earlier sweep in this process, or a pretraining on its workers.

    Args:
        key: key of the job, or the beginning of the key.
        tell: shows what a pretraining waits for.
    Raises:
        RaydistillError: the key does not match exactly one job that was started, or a job that this one starts from is
            not done.
        KeyboardInterrupt: the command is interrupted, or the time limit of the options is reached.
        Exception: the error of the job.
    """
    job, store = runs.find_job(key)
    if missing := [source for source in job.depends_on if not runs.is_done(source)]:
        raise RaydistillError(f"{job.name} starts from job {missing[0][:12]}, which is not done; run that job first")
    context = JobContext(runs.absolute(), store, device_of(options), options.deadline.stop_at)
    with runs.exclusive_lock():
        try:
            if job.is_pretraining:
                with joined(options, runs, store):
                    cluster = watch(options, runs, store, tell)
                    wanted = Wanted(job.name, need_of_worker(context.device == "cuda"), job.workers[0])
                    for _, outcome in run_pretrainings([job], context, lambda: cluster.look([wanted])):
                        if isinstance(outcome, Exception):
                            raise outcome
            else:
                run_session_job(job, context)
        except TimeLimitReached:
            options.deadline.check()
            raise
    return job


def device_of(options: RunOptions) -> str:
    """The device for jobs. For `auto`, it is cuda if Ray is running and has a GPU."""
    if options.device != "auto":
        return options.device
    return "cuda" if ray.is_initialized() and ray.cluster_resources().get("GPU") else "cpu"
