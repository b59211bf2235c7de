"""Running the jobs of a plan: pretrainings on Ray Train, jobs on one session through Ray Tune, everything tracked."""

import itertools
import time
from dataclasses import dataclass

import ray

from raydistill.sweep.answering.collect import tracked
from raydistill.sweep.answering.cost import Cost
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.planning.estimate import update_rates
from raydistill.sweep.planning.job import DONE, Job
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.running.execute import JobContext, run_pretrainings
from raydistill.sweep.running.failures import advice, cause, log_text
from raydistill.sweep.running.fanout import Resources, fan_out, jobs_at_once
from raydistill.sweep.running.meter import Meter
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress
from raydistill.sweep.running.queue import Queue
from raydistill.sweep.running.room import check_room, need_of_session_job, told_while_waiting
from raydistill.tracking.tracker import Tracker
from raydistill.training.distributed import need_of_worker

LOG_EVERY_S = 2.0
"""Between two updates of a running pretraining in MLflow."""


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """A sweep that is being run, with its options and the places to which progress is reported."""

    sweep: OpenSweep
    options: RunOptions
    context: JobContext
    tracker: Tracker
    progress: SweepProgress

    @property
    def resources(self) -> Resources:
        """The resources of one job on one session."""
        return Resources(self.sweep.config.cpus_per_job, self.sweep.config.gpu_per_job)


def run_jobs(run: SweepRun, plan: Plan) -> Cost:
    """Run the jobs of a plan that are not done. A job that fails stops only the jobs that depend on it.

    Ray must be running.

    Raises:
        ConfigError: Ray has too little room for one of the jobs.
        KeyboardInterrupt: Ctrl-C, or the time limit of the options is reached.
    """
    check_room(run.sweep.config, [p.job for p in plan.todo], run.context.device, local=not run.options.address)
    jobs = _Jobs(run, plan)
    at_once = 1 if run.options.fail_fast else None  # pretrainings that share their workers cannot be held back
    # A pretraining may learn from jobs on one session, and these may start from other pretrainings.
    while jobs.queue.waiting and not jobs.queue.closed:
        while ready := list(itertools.islice(iter(lambda: jobs.queue.next(pretraining=True), None), at_once)):
            jobs.pretrain(ready)
        if not jobs.queue.exhausted:
            run.progress.stage("jobs on one session")
            need = need_of_session_job(run.sweep.config, run.context.device)
            with jobs.meter.fanning_out(), told_while_waiting("jobs on one session", need, 1, run.progress.line):
                fan_out(jobs.queue, run.context, run.resources, jobs.succeed, jobs.fail)
        jobs.deadline.stop()
    return jobs.meter.cost()


class _Jobs:
    """The jobs of one run, and the objects that are informed when a job ends."""

    def __init__(self, run: SweepRun, plan: Plan):
        self.run, self.runs, self.protocol = run, run.context.runs, plan.protocol
        self.work = {p.job.key: p.work for p in plan.planned}
        self.queue = Queue([p.job for p in plan.todo], {p.job.key for p in plan.planned if p.state == DONE})
        self.deadline = _Deadline(run.options.max_hours, self.queue)
        self.meter = Meter(jobs_at_once(run.context, run.resources), several_machines=len(ray.nodes()) > 1)

    def pretrain(self, jobs: list[Job]) -> None:
        """Run pretrainings, one after another on the same workers."""
        left, mirror = list(jobs), _Mirror(self.run, self.protocol)
        self.run.progress.start(left[0])

        def watch() -> None:
            mirror.update(left)
            self.deadline.stop()

        need, fewest = need_of_worker(self.run.context.device == "cuda"), jobs[0].workers[0]
        with told_while_waiting(jobs[0].name, need, fewest, self.run.progress.line):
            for job, err in run_pretrainings(jobs, self.run.context, watch):
                left.remove(job)
                if err:
                    self.runs.write_log(job.key, log_text(err))
                    self.fail(job, cause(err))
                else:
                    self.succeed(job)
                if left:
                    self.run.progress.start(left[0])

    def succeed(self, job: Job) -> None:
        self.queue.succeed(job.key)
        metrics = self.runs.metrics(job.key)
        update_rates(self.runs, job, self.work[job.key], metrics["seconds"])
        self.meter.add(job, metrics["seconds"])
        self.run.progress.succeed(job, metrics)
        self.run.tracker.job(tracked(job, self.runs, self.protocol, done=True))
        self.deadline.close_queue()

    def fail(self, job: Job, job_cause: str) -> None:
        for stopped, reason in self.queue.fail(job.key, job_cause):
            self.runs.write_failure(stopped, reason)
            self.run.progress.fail(stopped, reason, advice(self.runs, stopped) if stopped is job else "")
            self.run.tracker.failed(tracked(stopped, self.runs, self.protocol, done=False), reason)
        if self.run.options.fail_fast:
            self.queue.close()


class _Deadline:
    """The time limit that the user gave: after it no job starts, and a pretraining, which takes long, is stopped."""

    def __init__(self, hours: float | None, queue: Queue):
        self.hours, self.queue = hours, queue
        self.end = time.monotonic() + hours * 3600 if hours is not None else float("inf")

    def close_queue(self) -> None:
        """Close the queue if the time is over, so that no more jobs start."""
        if time.monotonic() >= self.end:
            self.queue.close()

    def stop(self) -> None:
        """Raise KeyboardInterrupt if the time is over."""
        if time.monotonic() >= self.end:
            raise KeyboardInterrupt(f"the limit of {self.hours:g} hours (--max-hours) is reached")


class _Mirror:
    """Logs the progress of a running pretraining to MLflow from time to time."""

    def __init__(self, run: SweepRun, protocol: str):
        self.run, self.protocol = run, protocol
        self.due = time.monotonic()

    def update(self, left: list[Job]) -> None:
        """`left`: the pretrainings that have not ended; the first of them is running."""
        if left and time.monotonic() >= self.due:
            self.run.tracker.running(tracked(left[0], self.run.context.runs, self.protocol, done=False))
            self.due = time.monotonic() + LOG_EVERY_S
