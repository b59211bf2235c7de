"""The fan-out: per-session jobs through one Ray Tune run, in worker processes that are reused from job to job."""

import shutil
from dataclasses import dataclass

import ray
import torch
from ray import tune
from ray.tune.search import Searcher

from raydistill.cluster import cores
from raydistill.errors import RaydistillError
from raydistill.sweep.planning.job import Job
from raydistill.sweep.running.execute import JobContext, run_session_job
from raydistill.sweep.running.failures import cause, keep_log
from raydistill.sweep.running.queue import Queue

LOST_WORKERS = 3
"""Times that a job is taken up again after its process died, which is no fault of its own."""


@dataclass(frozen=True)
class Resources:
    """Of one job."""

    cpus: int = 1
    """Threads."""
    gpu: float = 0.25
    """Share of a GPU, and of its memory, where there is one."""


def fan_out(queue: Queue, context: JobContext, resources: Resources, succeed, fail) -> None:
    """Run the queue until nothing in it can start.

    Args:
        succeed: called with every job that is done.
        fail: called with every job that is not, and why.
    Raises:
        KeyboardInterrupt: Ctrl-C, once the jobs that ran have been stopped.
    """
    run_tune(_trial, _JobsInOrder(queue, context, resources, succeed, fail), len(queue.waiting), context, resources)
    if not queue.exhausted:  # Tune returns from Ctrl-C instead of raising
        raise KeyboardInterrupt


def run_tune(trial, dealer: Searcher, samples: int, context: JobContext, resources: Resources, scheduler=None) -> None:
    """One Ray Tune run of what `dealer` deals out, up to `samples` times, in processes that are reused.

    Args:
        trial: what a process does with each; sees `context` and `resources` only if the dealer hands them out.
    """
    bundle = {"CPU": resources.cpus} | ({"GPU": resources.gpu} if context.device == "cuda" else {})
    # cluster.yaml keeps nodes for pretraining apart; a node without that label suits any job.
    bundle = tune.PlacementGroupFactory([bundle], bundle_label_selector=[{"pool": "!pretraining"}])
    local = len(ray.nodes()) == 1
    folder = context.runs.scratch
    shutil.rmtree(folder, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(trial, bundle),
        tune_config=tune.TuneConfig(
            search_alg=dealer,
            scheduler=scheduler,
            num_samples=samples,
            # Elsewhere Tune lets jobs wait for resources, so that a cluster that scales sees what is wanted.
            max_concurrent_trials=jobs_at_once(context, resources) if local else None,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="jobs",
            storage_path=str(folder),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=LOST_WORKERS),
        ),
    )
    tuner.fit()
    shutil.rmtree(folder, ignore_errors=True)


def jobs_at_once(context: JobContext, resources: Resources) -> int:
    """Jobs that this machine has room for, side by side."""
    room = cores() // resources.cpus
    if context.device == "cuda":
        room = min(room, int(ray.cluster_resources()["GPU"] / resources.gpu))
    return max(1, room)


class Dealer(Searcher):
    """A search algorithm that Tune need not restore: what it has dealt out is on disk already."""

    def __getstate__(self):
        return {}  # Tune keeps a copy to restore from

    def save(self, checkpoint_path):
        """Nothing, for the same reason."""

    restore = save


class _JobsInOrder(Dealer):
    """Deals out jobs as they become ready, so that no stage waits for another."""

    def __init__(self, queue: Queue, context: JobContext, resources: Resources, succeed, fail):
        super().__init__(metric="finished", mode="max")
        self.queue, self.context, self.resources = queue, context, resources
        self.succeed, self.fail = succeed, fail
        self.trials: dict[str, Job] = {}

    def suggest(self, trial_id):
        job = self.queue.next()
        if job is None:  # either all wait for running ones, or none is left
            return Searcher.FINISHED if self.queue.exhausted else None
        self.trials[trial_id] = job
        return {"job": job.to_json(), "context": self.context, "resources": self.resources}

    def on_trial_complete(self, trial_id, result=None, error=False):
        job = self.trials.pop(trial_id)
        if error or result is None:
            self.fail(job, f"its worker process was lost {LOST_WORKERS + 1} times; is there enough memory?")
        elif result["cause"]:
            self.fail(job, result["cause"])
        else:
            self.succeed(job)


def _trial(config: dict) -> None:
    """One per-session job in a worker process of Ray Tune."""
    job, context = Job.from_json(config["job"]), config["context"]
    prepare_process(context, config["resources"])
    # A failure is told as a result: an exception would cost the process that other jobs reuse.
    tune.report({"finished": 1, "cause": _tried(job, context)})


def prepare_process(context: JobContext, resources: Resources) -> None:
    """Hold this process to its share of the machine."""
    torch.set_num_threads(resources.cpus)
    if context.device == "cuda":  # several jobs share a GPU: none takes the memory of the others
        torch.cuda.set_per_process_memory_fraction(resources.gpu)


def _tried(job: Job, context: JobContext) -> str:
    """Run a job, once more where the first error may pass; the cause of its failure, or nothing."""
    for last in (False, True):
        try:
            run_session_job(job, context)
        except Exception as err:
            if last or isinstance(err, RaydistillError):
                keep_log(context.runs, job, err)
                return cause(err)
        else:
            return ""
    raise AssertionError
