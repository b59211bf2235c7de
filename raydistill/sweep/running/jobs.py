"""Running the jobs of a plan: pretrainings on Ray Train, jobs on one session through Ray Tune, everything tracked."""

import functools
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from raydistill.cluster import cores, is_local
from raydistill.cluster.room import Need, Room, room
from raydistill.cluster.waiting import Wanted
from raydistill.errors import RaydistillError, TimeLimitReached
from raydistill.files import LATE_S
from raydistill.sweep.answering.cost import Cost
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.tracked import Records
from raydistill.sweep.planning.estimate import update_rates
from raydistill.sweep.planning.job import DONE, Job
from raydistill.sweep.planning.job_folder import MARKER
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.running.bookkeeping import Bookkeeping
from raydistill.sweep.running.deadline import GRACE_S
from raydistill.sweep.running.execute import JobContext
from raydistill.sweep.running.failures import advice, cause, log_text
from raydistill.sweep.running.fanout import Ended, Lost, Resources, fan_out, jobs_at_once
from raydistill.sweep.running.lanes import Lane
from raydistill.sweep.running.meter import Meter
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress
from raydistill.sweep.running.queue import Queue
from raydistill.sweep.running.room import check_room, device_needed, need_of_session_job
from raydistill.sweep.running.shared import watch
from raydistill.tracking.tracker import Tracker
from raydistill.training.distributed import CHECK_S, most_workers, need_of_worker

LOG_EVERY_S = 2.0
"""Between two updates of a running pretraining in MLflow."""


@dataclass(frozen=True, kw_only=True)
class SweepRun:
    """A sweep that is being run, with its options and the places to which progress is reported."""

    sweep: OpenSweep
    options: RunOptions
    context: JobContext
    tracker: Tracker
    records: Records
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
        RaydistillError: the records of some jobs cannot be written.
        KeyboardInterrupt: the command is interrupted, or the time limit of the options is reached.
    """
    check_room(run.sweep.config, [p.job for p in plan.todo], run.context.device)
    jobs = _Jobs(run, plan)
    while jobs.queue.waiting or jobs.lanes:
        jobs.start_pretrainings()
        if not jobs.queue.exhausted and jobs.at_most():
            run.progress.stage("jobs on one session")
            with jobs.meter.fanning_out():
                fan_out(jobs.queue, run.context, run.resources, jobs.tell, jobs.watch_both, jobs.at_most)
        elif not jobs.lanes:  # the queue was closed
            break
        jobs.watch()
        time.sleep(CHECK_S if jobs.lanes else 0.0)
    jobs.bookkeeping.finish()
    jobs.wait_for_files()
    if jobs.queue.waiting:
        run.options.deadline.check()
    return jobs.meter.cost()


class _Jobs:
    """The jobs of one run, and the objects that are informed when a job ends."""

    def __init__(self, run: SweepRun, plan: Plan):
        self.run, self.runs = run, run.context.runs
        self.work = {p.job.key: p.work for p in plan.planned}
        done = {p.job.key for p in plan.planned if p.state == DONE}
        seconds = {p.job.key: p.estimated_s for p in plan.todo}
        self.queue = Queue([p.job for p in plan.todo], done, run.options.fail_fast, seconds)
        self.meter = Meter(jobs_at_once(run.context, run.resources), several_machines=not is_local())
        self.bookkeeping = Bookkeeping(run.progress.line)
        self.cluster = watch(run.options, self.runs, run.context.store, run.progress.line)
        self.lanes: list[Lane] = []
        self.mirrors: dict[Lane, _Mirror] = {}

    def watch(self) -> None:
        """Let no job start after the time limit; raise Interrupted if one that runs has not stopped by itself."""
        if self.run.options.deadline.is_reached:
            self.queue.close()
        self.run.options.deadline.check(GRACE_S)
        self.runs.check_lock()
        self.cluster.look(self._wanted())
        for lane in self.lanes:
            lane.look()
            self.mirrors[lane].update(lane.left)
            for job, outcome in lane.ended():
                self._pretraining_ended(job, outcome)
                if lane.left:
                    self.run.progress.start(lane.left[0])
        self.lanes = [lane for lane in self.lanes if not lane.is_over]

    def _wanted(self) -> Iterator[Wanted]:
        """What needs room now; the cluster is looked at less often than this is called."""
        yield from (lane.wanted for lane in self.lanes)
        if not self.queue.exhausted:
            device = device_needed(self.queue.session_jobs, self.run.context.device)
            yield Wanted("jobs on one session", need_of_session_job(self.run.sweep.config, device))

    def watch_both(self) -> None:
        """Watch while jobs on one session run, and start pretrainings that have become ready and have room."""
        self.watch()
        self.start_pretrainings()
        self.meter.is_shared |= bool(self.lanes)

    def start_pretrainings(self) -> None:
        """Start the pretrainings that are ready and have room, each on workers of its own.

        Where there is no room for jobs on one session next to a pretraining, it waits until none of these can run. If
        it has no room next to other pretrainings either, all that are ready then take turns on the same workers, which
        take longer to start than a small training takes.
        """
        while job := self.queue.peek(pretraining=True):
            left = self.room_left(job)
            if left > 0 or (left == 0 and self.lanes and self.queue.exhausted):
                self._start(at_once=1)
            elif self.lanes or self.queue.session_jobs_running:
                return
            else:
                at_once = 1 if self.run.options.fail_fast else None  # those that share workers cannot be held back
                self._start(at_once)

    def _start(self, at_once: int | None) -> None:
        """Start a lane with so many of the pretrainings that are ready; None: all."""
        jobs = list(itertools.islice(iter(lambda: self.queue.next(pretraining=True), None), at_once))
        self.run.progress.start(jobs[0])
        most = min(jobs[0].workers[1], most_workers(room(), self.run.context.device == "cuda"))
        lane = Lane(jobs, most, self.run.context, self.run.progress.line)
        self.lanes, self.mirrors[lane] = [*self.lanes, lane], _Mirror(self.run)

    def room_left(self, another: Job | None = None) -> int:
        """How many jobs on one session have room next to the pretrainings that run, and to another one.

        Returns:
            -1 if the other one has no room.
        """
        there_is, use_gpu = room(), self.run.context.device == "cuda"
        local = is_local()
        workers = [lane.workers for lane in self.lanes]
        if another:
            workers.append(min(another.workers[1], most_workers(there_is, use_gpu)))
        # A local Ray has one CPU more than the machine, for reading; on a cluster, each pretraining needs one.
        if local:
            there_is = Room((replace(there_is.nodes[0], cpus=cores()),))
        others = [(need_of_worker(use_gpu), count) for count in workers]
        others += [] if local else [(Need(1), len(workers))]
        return there_is.left_by(others, need_of_session_job(self.run.sweep.config, self.run.context.device))

    def at_most(self) -> int:
        """How many jobs on one session may run now.

        None start while the workers of a pretraining wait for places that the present nodes have: a pretraining needs
        whole GPUs, of which new jobs would take the parts.
        """
        if not self.lanes:
            return sys.maxsize
        if any(not lane.has_started and room().now(lane.need) >= lane.fewest for lane in self.lanes):
            return 0
        return max(0, self.room_left())

    def _pretraining_ended(self, job: Job, outcome: dict | Exception) -> None:
        if isinstance(outcome, TimeLimitReached):
            self.queue.put_back(job.key)
        elif isinstance(outcome, Exception):
            self._write("the log of a failed job", self.runs.write_log, job.key, log_text(outcome))
            self.fail(self.queue.fail(job.key, cause(outcome)))
        else:
            self.queue.succeed(job.key)
            self.succeed(job, outcome)

    def wait_for_files(self) -> None:
        """Wait until this machine sees that the jobs are complete, which on a shared disk may take some seconds.

        Raises:
            RaydistillError: it does not.
        """
        end = time.monotonic() + LATE_S
        while late := [key for key in self.queue.done if not (self.runs.job_folder(key) / MARKER).exists()]:
            self.runs.fetch_results(*late)
            if time.monotonic() > end:
                raise RaydistillError(
                    f"{len(late)} jobs have ended, but {self.runs.job_folder(late[0]) / MARKER} is not seen on this "
                    "machine; check that all machines share this disk, then run the same command again"
                )
            time.sleep(0.2)

    def tell(self, event: Ended | Lost) -> None:
        """Something has happened to a job on one session."""
        match event:
            case Lost(job, times):
                self.run.progress.line(f"lost    {job.name:<32} its worker process ended; started again ({times})")
            case Ended(job, metrics, stopped):
                if stopped:
                    self.fail(stopped)
                else:
                    self.succeed(job, metrics)

    def succeed(self, job: Job, metrics: dict) -> None:
        """A job is done."""
        self.meter.add(job, metrics["seconds"])
        self.run.progress.succeed(job, metrics)
        # In vain if the store does not show the job yet: `wait_for_files` fetches it then.
        self._write("the copy of a finished job", self.runs.fetch_results, job.key)
        update = functools.partial(update_rates, self.runs, job, self.work[job.key], metrics["seconds"])
        self.bookkeeping.write("rates.json", update, is_needed=False)
        self.run.tracker.job(self.run.records.job(job, metrics))

    def fail(self, stopped: Sequence[tuple[Job, str]]) -> None:
        """A job has failed, the first of `stopped`, and with it those that depend on it, each for its own reason."""
        for number, (job, reason) in enumerate(stopped):
            self._write("a job's failure.json", self.runs.write_failure, job, reason)
            self.run.progress.fail(job, reason, advice(self.runs, job) if number == 0 else "")
            self.run.tracker.failed(self.run.records.job(job, {}), reason)

    def _write(self, what: str, function: Callable[..., object], *arguments: object) -> None:
        self.bookkeeping.write(what, functools.partial(function, *arguments))


class _Mirror:
    """Logs the progress of a running pretraining to MLflow from time to time."""

    def __init__(self, run: SweepRun):
        self.run = run
        self.due = time.monotonic()

    def update(self, left: list[Job]) -> None:
        """`left`: the pretrainings that have not ended; the first of them is running."""
        if left and time.monotonic() >= self.due:
            self.run.context.runs.fetch_history(left[0].key)
            self.run.tracker.running(self.run.records.job(left[0], {}))
            self.due = time.monotonic() + LOG_EVERY_S
