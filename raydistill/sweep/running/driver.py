"""Running a sweep: pretrainings on Ray Train, per-session jobs through Ray Tune, everything tracked.

The driver holds no state of its own: what is done is what the runs folder says, so the same command goes on
wherever the last one stopped.
"""

import contextlib
import itertools
import time
from dataclasses import dataclass

import ray

from raydistill.cluster import connected
from raydistill.config.fingerprint import fingerprint
from raydistill.errors import DataError, RaydistillError
from raydistill.evaluation.results import Results
from raydistill.recordings.ingest import ingest
from raydistill.recordings.recording import Recording
from raydistill.simulation.simulate import generate_session, session_names
from raydistill.simulation.writers.nwb import SOURCE, write_nwb
from raydistill.store.store import Store
from raydistill.sweep.answering.collect import collect, sweep_fingerprint, tracked
from raydistill.sweep.answering.conclude import conclude
from raydistill.sweep.answering.cost import Cost, in_words
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.estimate import update_rates
from raydistill.sweep.planning.job import DONE, Job
from raydistill.sweep.planning.plan import EVERYTHING, Choice, Plan, narrow, plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.sessions import missing_recordings, store_uri
from raydistill.sweep.running.execute import JobContext, run_pretrainings, run_session_job
from raydistill.sweep.running.failures import advice, cause, keep_log
from raydistill.sweep.running.fanout import Resources, fan_out, jobs_at_once
from raydistill.sweep.running.meter import Meter
from raydistill.sweep.running.progress import Progress
from raydistill.sweep.running.queue import Queue
from raydistill.tracking.tracker import Tracker

MIRROR_S = 2.0  # between looks at the history of a pretraining that runs


@dataclass(frozen=True, kw_only=True)
class How:
    """In which way a sweep is run; none of it changes a result."""

    address: str | None = None
    """Of a Ray cluster; None: a local Ray."""
    device: str = "auto"
    """cpu, cuda, or auto: cuda where the cluster has a GPU by now (one that starts its nodes on demand has none at
    first)."""
    choice: Choice = EVERYTHING
    fail_fast: bool = False
    """The first failure ends the sweep; else it stops only what depends on it."""
    max_hours: float | None = None
    """The sweep stops then as by Ctrl-C."""


def run_sweep(sweep: SweepConfig, runs: RunsFolder, progress: Progress, how: How) -> Results:
    """Everything that is missing, then the results."""
    store = store_uri(sweep, runs)
    with contextlib.ExitStack() as stack:
        stack.enter_context(runs.exclusive_lock())
        start_ray = lambda: stack.enter_context(connected(how.address))  # noqa: E731
        if missing_recordings(sweep, runs):
            start_ray()
            make_recordings(sweep, runs, store, progress)
        whole = plan(sweep, Store(store).entries(), runs)
        planned = narrow(whole, how.choice)
        progress.plan(planned)
        runs.write_keys(sweep.name, whole.jobs)
        tracker = Tracker(runs.path, sweep.name)
        tracker.parent(
            sweep_fingerprint(whole),
            {"preset": sweep.preset, "seeds": sweep.seeds, "store": store},
            {"protocol": whole.protocol},
        )
        _track_finished(planned, runs, tracker)
        cost = None
        if planned.todo:
            start_ray()
            context = JobContext(runs.absolute(), store, device_of(how))
            try:
                cost = run_jobs(sweep, planned, context, tracker, progress, how)
            except KeyboardInterrupt:
                tracker.interrupted()
                raise
            progress.say(in_words(cost))
        results = collect(sweep, plan(sweep, Store(store).entries(), runs), runs)
        progress.say("drawing figures")
        conclude(sweep, whole, runs, results, tracker, cost)
    return results


def device_of(how: How) -> str:
    """The device that `auto` means here and now: cuda where Ray runs and has a GPU."""
    if how.device != "auto":
        return how.device
    return "cuda" if ray.is_initialized() and ray.cluster_resources().get("GPU") else "cpu"


def run_alone(runs: RunsFolder, key: str, how: How) -> Job:
    """One job of an earlier sweep in this process, or, of a pretraining, on its workers; what it raises is raised.

    Args:
        key: of the job, or how it begins.
    Raises:
        RaydistillError: no job has been started under that key, several have, or what it starts from is not there.
    """
    job, store = runs.find_job(key)
    if missing := [source for source in job.depends_on if not runs.is_done(source)]:
        raise RaydistillError(f"{job.name} starts from job {missing[0][:12]}, which is not done; run that first")
    context = JobContext(runs.absolute(), store, device_of(how))
    with runs.exclusive_lock():
        if job.is_pretraining:
            with connected(how.address):
                for _, err in run_pretrainings([job], context):
                    if err:
                        raise err
        else:
            run_session_job(job, context)
    return job


def make_recordings(sweep: SweepConfig, runs: RunsFolder, store: str, progress: Progress) -> None:
    """Synthetic recordings as NWB files, one task a session, and from there into the store like any others."""
    synthetic = sweep.recordings.synthetic
    folder = runs.path.absolute() / "recordings" / fingerprint(synthetic)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    recordings = [
        Recording(
            name=session,
            path=folder / f"{session}.nwb",
            source=SOURCE,
            config=sweep.recordings.ingest,
        )
        for session, _ in session_names(synthetic)
    ]
    progress.say(f"making {len(recordings)} synthetic recordings in {folder}")

    @ray.remote(num_cpus=1)
    def make(number, path):
        write_nwb(generate_session(synthetic, number), path)

    ray.get([make.remote(i, r.path) for i, r in enumerate(recordings) if not r.path.exists()])
    progress.say(f"reading them into the store {store}")
    outcome = ingest(recordings, store)
    for why in outcome.failed.values():
        raise DataError(why)


def run_jobs(
    sweep: SweepConfig, planned: Plan, context: JobContext, tracker: Tracker, progress: Progress, how: How
) -> Cost:
    """Run what is missing of a plan, Ray being there; jobs that fail stop only what depends on them."""
    runs, protocol = context.runs, planned.protocol
    queue = Queue([p.job for p in planned.todo], {p.job.key for p in planned.planned if p.state == DONE})
    works = {p.job.key: p.work for p in planned.planned}
    deadline = _Deadline(how.max_hours, queue)
    resources = Resources(sweep.cpus_per_job, sweep.gpu_per_job)
    meter = Meter(jobs_at_once(context, resources), elsewhere=len(ray.nodes()) > 1)

    def succeed(job: Job) -> None:
        queue.succeed(job.key)
        metrics = runs.metrics(job.key)
        update_rates(runs, job, works[job.key], metrics["seconds"])
        meter.job(job, metrics["seconds"])
        progress.succeed(job, metrics)
        tracker.job(tracked(job, runs, protocol, done=True))
        deadline.look()

    def fail(job: Job, why: str) -> None:
        for stopped, reason in queue.fail(job.key, why):
            runs.write_failure(stopped, reason)
            progress.fail(stopped, reason, advice(runs, stopped) if stopped is job else "")
            tracker.failed(tracked(stopped, runs, protocol, done=False), reason)
        if how.fail_fast:
            queue.close()

    def pretrain(jobs: list[Job]) -> None:
        left, mirror = list(jobs), _Mirror(runs, protocol, tracker)
        progress.start(left[0])
        for job, err in run_pretrainings(jobs, context, lambda: (mirror.look(left), deadline.stop())):
            left.remove(job)
            if err:
                keep_log(runs, job, err)
                fail(job, cause(err))
            else:
                succeed(job)
            if left:
                progress.start(left[0])

    at_once = 1 if how.fail_fast else None  # those that share their workers cannot be held back
    # A pretraining may learn from jobs on single sessions, and these from other pretrainings.
    while queue.waiting and not queue.closed:
        while jobs := list(itertools.islice(iter(lambda: queue.next(pretraining=True), None), at_once)):
            pretrain(jobs)
        if not queue.exhausted:
            progress.say("per-session jobs")
            with meter.fanning_out():
                fan_out(queue, context, resources, succeed, fail)
        deadline.stop()
    return meter.cost()


class _Deadline:
    """When the hours that the user gave are over, no job is begun; a pretraining, which takes long, stops."""

    def __init__(self, hours: float | None, queue: Queue):
        self.hours, self.queue = hours, queue
        self.end = time.monotonic() + hours * 3600 if hours is not None else float("inf")

    def look(self) -> None:
        if time.monotonic() >= self.end:
            self.queue.close()

    def stop(self) -> None:
        if time.monotonic() >= self.end:
            raise KeyboardInterrupt(f"the {self.hours:g} hours of --max-hours are over")


class _Mirror:
    """Shows a pretraining in MLflow while it runs, every now and then."""

    def __init__(self, runs: RunsFolder, protocol: str, tracker: Tracker):
        self.runs, self.protocol, self.tracker = runs, protocol, tracker
        self.due = time.monotonic()

    def look(self, left: list[Job]) -> None:
        """`left`: the one that runs comes first."""
        if left and time.monotonic() >= self.due:
            self.tracker.running(tracked(left[0], self.runs, self.protocol, done=False))
            self.due = time.monotonic() + MIRROR_S


def _track_finished(planned: Plan, runs: RunsFolder, tracker: Tracker) -> None:
    """Show in MLflow what was done before, by a sweep that was killed or by another one."""
    for p in planned.planned:
        if p.state == DONE:
            tracker.job(tracked(p.job, runs, planned.protocol, done=True))
