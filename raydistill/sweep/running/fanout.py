"""The fan-out: jobs on one session through one Ray Tune run, in worker processes that are reused from job to job."""

import contextlib
import json
import math
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass, replace
from queue import SimpleQueue

import ray
import torch
from ray import tune
from ray.tune.search import Searcher

from raydistill.cluster import cores, is_local
from raydistill.cluster.isolation import keep_secrets_from_trials
from raydistill.cluster.room import Need, room
from raydistill.cluster.threads import in_a_thread
from raydistill.errors import RaydistillError, TimeLimitReached, one_line
from raydistill.sweep.planning.job import Job
from raydistill.sweep.running.execute import JobContext, run_session_job
from raydistill.sweep.running.failures import cause, log_text
from raydistill.sweep.running.queue import Queue

MAX_LOST_WORKERS = 3
"""How many times a job is started again after its process died, because the job need not be the cause."""
CHECK_S = 0.2
"""Seconds between two looks at what has happened in Ray Tune's thread."""
LOOK_S = 1.0
"""Seconds between two looks at the nodes of a cluster."""


@dataclass(frozen=True)
class Resources:
    """The part of the machine that one job on one session occupies."""

    cpus: int = 1
    """Threads."""
    gpu: float = 0.25
    """Share of a GPU and of its memory; used if jobs run on GPUs."""


@dataclass(frozen=True)
class Ended:
    """A job that has ended, as it reported itself; nothing need be read from its folder."""

    job: Job
    metrics: dict
    """Of a job that is done; empty for one that failed."""
    stopped: tuple[tuple[Job, str], ...] = ()
    """If it failed: the job and those that depend on it, each with its cause."""


@dataclass(frozen=True)
class Lost:
    """A job whose worker process has ended, so that it is started again in another one."""

    job: Job
    times: int
    """How often this has happened to the job."""


def fan_out(
    queue: Queue,
    context: JobContext,
    resources: Resources,
    tell: Callable[[Ended | Lost], None],
    watch: Callable[[], None],
    at_most: Callable[[], int] = lambda: sys.maxsize,
) -> None:
    """Run the jobs on one session until no more of them can start before another pretraining is done.

    Args:
        tell: called in this thread with everything that happens to a job.
        watch: called in this thread a few times per second.
        at_most: called in another thread; how many jobs may run at the same time now. Those that run may be more.
    Raises:
        RaydistillError: Ray Tune ended before the jobs.
        BaseException: what `tell` or `watch` raises, for example KeyboardInterrupt.
    """
    events: SimpleQueue[Ended | Lost] = SimpleQueue()
    dealer = _JobsInOrder(queue, context, resources, events.put, at_most)

    def deliver() -> None:
        while not events.empty():
            tell(events.get())
        watch()

    # One more than there are jobs, so that the dealer is always asked until it says that it has finished.
    # Some jobs need no GPU, so CPUs say how many may run.
    need = Need(resources.cpus, not_in="pretraining")
    run_tune(_trial, dealer, len(queue.waiting) + 1, need, context, resources, watch=deliver)
    if not dealer.is_finished or queue.session_jobs_running:
        raise RaydistillError(
            f"Ray Tune ended with {queue.session_jobs_running} jobs running; run the same command again"
        )


def run_tune(
    trial: Callable[[dict], None],
    dealer: "Dealer",
    samples: int,
    need: Need,
    context: JobContext,
    resources: Resources,
    scheduler=None,
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Run the configurations that `dealer` suggests as trials of one Ray Tune run, in processes that are reused.

    Ray Tune runs in another thread, in which no signal is raised. An exception there would be swallowed or repeated;
    the first exception of the dealer therefore ends the run, and is raised here.

    Args:
        trial: called in a worker process with each configuration, which has its "resources" and its "context".
        dealer: called in Ray Tune's thread.
        samples: the largest number of configurations that the dealer may suggest.
        need: of a trial; so many are suggested at the same time as the cluster has room for, or may come to have.
        scheduler: of Ray Tune, which may stop trials early.
        watch: called in this thread a few times per second, and once at the end.
    Raises:
        RaydistillError: Ray Tune failed.
        BaseException: what the dealer or `watch` raises.
    """
    keep_secrets_from_trials()
    scratch = context.runs.scratch / "trials"
    shutil.rmtree(scratch, ignore_errors=True)
    guard = _Guard(dealer, _trials_at_once(need, resources))
    try:
        tuner = tune.Tuner(
            tune.with_resources(trial, _place),
            tune_config=tune.TuneConfig(
                search_alg=guard,
                scheduler=scheduler,
                num_samples=samples,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="jobs",
                storage_path=str(scratch),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=MAX_LOST_WORKERS),
                stop=_Stop(guard.stopped),
                callbacks=[_OnLostWorker(guard)],
            ),
        )
    except OSError as err:  # Ray tries whether it can write there, and names no file
        raise RaydistillError(f"{scratch}: cannot be written ({one_line(err)}); finished work is kept") from None
    fit = in_a_thread(tuner.fit)
    try:
        while wait([fit], timeout=CHECK_S).not_done:
            watch()
        watch()
    finally:
        guard.stopped.set()
    if guard.error:
        raise guard.error
    if isinstance(error := fit.exception(), Exception):
        raise RaydistillError(f"Ray Tune failed ({one_line(error)}); finished work is kept; run the same command again")
    shutil.rmtree(scratch, ignore_errors=True)


def _place(config: dict) -> tune.PlacementGroupFactory:
    """What the trial of a configuration occupies."""
    resources, context = config["resources"], config["context"]
    gpu = {"GPU": resources.gpu} if context.device == "cuda" else {}
    # cluster.yaml reserves labelled nodes for pretraining; a node without that label is suitable for any job.
    return tune.PlacementGroupFactory([{"CPU": resources.cpus} | gpu], bundle_label_selector=[{"pool": "!pretraining"}])


def _trials_at_once(need: Need, resources: Resources) -> Callable[[], int]:
    """How many trials are suggested at the same time.

    On a cluster, those that have no room yet wait for it: its autoscaler starts nodes for what it sees waiting.
    """
    if is_local():
        return lambda: max(1, cores() // resources.cpus)
    looked_at, at_once = -math.inf, 0

    def now() -> int:
        nonlocal looked_at, at_once
        if time.monotonic() - looked_at > LOOK_S:
            looked_at, at_once = time.monotonic(), room().asked_for(need)
        return at_once

    return now


def jobs_at_once(context: JobContext, resources: Resources) -> int:
    """The number of jobs that run at the same time on this machine, if it is the only one and all use its GPUs."""
    slots = cores() // resources.cpus
    if context.device == "cuda":
        slots = min(slots, int(ray.cluster_resources().get("GPU", 0) / resources.gpu))
    return max(1, slots)


class Dealer(Searcher):
    """A search algorithm of Ray Tune that need not be saved or restored, because its state is in the runs folder."""

    def __getstate__(self):
        return {}  # Tune keeps a copy to restore from

    def save(self, checkpoint_path):
        """Save nothing."""

    restore = save

    def on_worker_lost(self, trial_id: str) -> None:
        """Called when the process of a trial has ended and the trial is started again."""


class _Guard(Dealer):
    """Passes everything to a dealer; after its first exception, the run stops and the dealer is not called again.

    Args:
        at_most: how many trials may run or wait at the same time now.
    """

    def __init__(self, dealer: Dealer, at_most: Callable[[], int]):
        super().__init__(metric=dealer.metric, mode=dealer.mode)
        self.dealer, self.at_most = dealer, at_most
        self.suggested: set[str] = set()
        """Trials that have not ended."""
        self.stopped = threading.Event()
        """Set to stop the run."""
        self.error: Exception | None = None

    def suggest(self, trial_id):
        if self.stopped.is_set():
            return Searcher.FINISHED
        if len(self.suggested) >= self.at_most():
            return None
        config = self._try(self.dealer.suggest, trial_id)
        if isinstance(config, dict):
            self.suggested.add(trial_id)
        return config

    def on_trial_result(self, trial_id, result):
        self._try(self.dealer.on_trial_result, trial_id, result)

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.suggested.discard(trial_id)
        self._try(self.dealer.on_trial_complete, trial_id, result, error)

    def on_worker_lost(self, trial_id):
        self._try(self.dealer.on_worker_lost, trial_id)

    def _try(self, method, *given):
        if not self.stopped.is_set():
            try:
                return method(*given)
            except Exception as err:
                self.error = err
                self.stopped.set()
        return Searcher.FINISHED


class _Stop(tune.Stopper):
    """Ends the run when an event is set."""

    def __init__(self, event: threading.Event):
        self.event = event

    def __call__(self, trial_id, result):
        return False

    def stop_all(self):
        return self.event.is_set()

    def __getstate__(self):
        return {}  # see Dealer


class _OnLostWorker(tune.Callback):
    """Tells the dealer of trials that are started again."""

    def __init__(self, dealer: Dealer):
        self.dealer = dealer

    def on_trial_recover(self, iteration, trials, trial, **_):
        self.dealer.on_worker_lost(trial.trial_id)


class _JobsInOrder(Dealer):
    """Suggests each job as soon as it is ready, so that no stage of the sweep waits for another."""

    def __init__(
        self,
        queue: Queue,
        context: JobContext,
        resources: Resources,
        tell: Callable[[Ended | Lost], None],
        at_most: Callable[[], int],
    ):
        super().__init__(metric="finished", mode="max")
        self.queue, self.context, self.resources, self.tell, self.at_most = queue, context, resources, tell, at_most
        self.is_finished = False
        self.trials: dict[str, Job] = {}
        self.lost: Counter[str] = Counter()

    def suggest(self, trial_id):
        if self.queue.exhausted:  # all waiting jobs need pretrainings, or no job is left
            self.is_finished = True
            return Searcher.FINISHED
        job = self.queue.next() if self.queue.session_jobs_running < self.at_most() else None
        if job is None:
            return None
        self.trials[trial_id] = job
        context = self.context if job.uses_gpu else replace(self.context, device="cpu")
        return {"job": job.to_json(), "context": context, "resources": self.resources}

    def on_trial_complete(self, trial_id, result=None, error=False):
        job = self.trials.pop(trial_id)
        if error or result is None:
            self._fail(job, f"its worker process was lost {MAX_LOST_WORKERS + 1} times; is there enough memory?")
        elif result["stopped"]:
            self.queue.put_back(job.key)
        elif result["cause"]:
            self._fail(job, result["cause"])
        else:
            self.queue.succeed(job.key)
            self.tell(Ended(job, json.loads(result["metrics"])))

    def on_worker_lost(self, trial_id):
        job = self.trials[trial_id]
        self.lost[job.key] += 1
        self.tell(Lost(job, self.lost[job.key]))

    def _fail(self, job: Job, job_cause: str) -> None:
        self.tell(Ended(job, {}, tuple(self.queue.fail(job.key, job_cause))))


def _trial(config: dict) -> None:
    """One job in a worker process of Ray Tune."""
    job, context = Job.from_json(config["job"]), config["context"]
    prepare_process(context, config["resources"])
    # A failure is reported as a result, because an exception would end the process, which other jobs reuse.
    tune.report({"finished": 1, "stopped": False, "cause": "", "metrics": ""} | _try(job, context))


def prepare_process(context: JobContext, resources: Resources) -> None:
    """Limit this process to its share of the machine."""
    torch.set_num_threads(resources.cpus)
    if context.device == "cuda":  # without a limit, one of several jobs on a GPU could take the memory of the others
        torch.cuda.set_per_process_memory_fraction(resources.gpu)


def _try(job: Job, context: JobContext) -> dict:
    """Run a job, and try it once more after an error that may be temporary; returns what its trial reports."""
    for is_last in (False, True):
        try:
            return {"metrics": json.dumps(run_session_job(job, context))}
        except TimeLimitReached:
            return {"stopped": True}
        except Exception as err:
            if is_last or isinstance(err, RaydistillError):
                return {"cause": _recorded(err, job, context)}
    raise AssertionError


def _recorded(err: Exception, job: Job, context: JobContext) -> str:
    """Write the traceback of a failed job to its log if possible; returns the cause in one line."""
    with contextlib.suppress(OSError):  # the disk may be full, which may be the cause too
        context.runs.write_log(job.key, log_text(err))
    return cause(err)
