"""The fan-out: jobs on one session through one Ray Tune run, in worker processes that are reused from job to job."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

import ray
import torch
from ray import tune
from ray.tune.search import Searcher

from raydistill.cluster import cores
from raydistill.cluster.isolation import keep_secrets_from_trials
from raydistill.errors import RaydistillError
from raydistill.sweep.planning.job import Job
from raydistill.sweep.running.execute import JobContext, run_session_job
from raydistill.sweep.running.failures import cause, log_text
from raydistill.sweep.running.queue import Queue

MAX_LOST_WORKERS = 3
"""How many times a job is started again after its process died, because the job need not be the cause."""


@dataclass(frozen=True)
class Resources:
    """The part of the machine that one job on one session occupies."""

    cpus: int = 1
    """Threads."""
    gpu: float = 0.25
    """Share of a GPU and of its memory; used if jobs run on GPUs."""


def fan_out(
    queue: Queue,
    context: JobContext,
    resources: Resources,
    succeed: Callable[[Job], None],
    fail: Callable[[Job, str], None],
) -> None:
    """Run the jobs on one session until no more of them can start.

    Args:
        succeed: called with every job that is done.
        fail: called with every job that failed, and the cause.
    Raises:
        KeyboardInterrupt: Ctrl-C, after the running jobs have been stopped.
    """
    dealer = _JobsInOrder(queue, context, resources, succeed, fail)
    run_tune(_trial, dealer, len(queue.waiting), context, resources)
    if not queue.exhausted:  # Tune returns after Ctrl-C instead of raising
        raise KeyboardInterrupt


def run_tune(
    trial: Callable[[dict], None],
    dealer: "Dealer",
    samples: int,
    context: JobContext,
    resources: Resources,
    scheduler=None,
) -> None:
    """Run the configurations that `dealer` suggests as trials of one Ray Tune run, in processes that are reused.

    Args:
        trial: called in a worker process with each configuration.
        samples: the largest number of configurations that the dealer may suggest.
        scheduler: of Ray Tune, which may stop trials early.
    """
    keep_secrets_from_trials()
    gpu = {"GPU": resources.gpu} if context.device == "cuda" else {}
    # cluster.yaml reserves labelled nodes for pretraining; a node without that label is suitable for any job.
    group = tune.PlacementGroupFactory(
        [{"CPU": resources.cpus} | gpu], bundle_label_selector=[{"pool": "!pretraining"}]
    )
    one_machine = len(ray.nodes()) == 1
    scratch = context.runs.scratch
    shutil.rmtree(scratch, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(trial, group),
        tune_config=tune.TuneConfig(
            search_alg=dealer,
            scheduler=scheduler,
            num_samples=samples,
            # On a cluster, jobs wait for resources in Tune, because the autoscaler reacts to waiting jobs.
            max_concurrent_trials=jobs_at_once(context, resources) if one_machine else None,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="jobs",
            storage_path=str(scratch),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=MAX_LOST_WORKERS),
        ),
    )
    tuner.fit()
    shutil.rmtree(scratch, ignore_errors=True)


def jobs_at_once(context: JobContext, resources: Resources) -> int:
    """The number of jobs that run at the same time on this machine."""
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


class _JobsInOrder(Dealer):
    """Suggests each job as soon as it is ready, so that no stage of the sweep waits for another."""

    def __init__(self, queue: Queue, context: JobContext, resources: Resources, succeed, fail):
        super().__init__(metric="finished", mode="max")
        self.queue, self.context, self.resources = queue, context, resources
        self.succeed, self.fail = succeed, fail
        self.trials: dict[str, Job] = {}

    def suggest(self, trial_id):
        job = self.queue.next()
        if job is None:  # all waiting jobs need running ones, or no job is left
            return Searcher.FINISHED if self.queue.exhausted else None
        self.trials[trial_id] = job
        return {"job": job.to_json(), "context": self.context, "resources": self.resources}

    def on_trial_complete(self, trial_id, result=None, error=False):
        job = self.trials.pop(trial_id)
        if error or result is None:
            self.fail(job, f"its worker process was lost {MAX_LOST_WORKERS + 1} times; is there enough memory?")
        elif result["cause"]:
            self.fail(job, result["cause"])
        else:
            self.succeed(job)


def _trial(config: dict) -> None:
    """One job in a worker process of Ray Tune."""
    job, context = Job.from_json(config["job"]), config["context"]
    prepare_process(context, config["resources"])
    # A failure is reported as a result, because an exception would end the process, which other jobs reuse.
    tune.report({"finished": 1, "cause": _try(job, context)})


def prepare_process(context: JobContext, resources: Resources) -> None:
    """Limit this process to its share of the machine."""
    torch.set_num_threads(resources.cpus)
    if context.device == "cuda":  # without a limit, one of several jobs on a GPU could take the memory of the others
        torch.cuda.set_per_process_memory_fraction(resources.gpu)


def _try(job: Job, context: JobContext) -> str:
    """Run a job, and try it once more after an error that may be temporary; returns the cause of its failure or ""."""
    for is_last in (False, True):
        try:
            run_session_job(job, context)
        except Exception as err:
            if is_last or isinstance(err, RaydistillError):
                context.runs.write_log(job.key, log_text(err))
                return cause(err)
        else:
            return ""
    raise AssertionError
