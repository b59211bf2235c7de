"""Running a sweep: pretrainings on Ray Train, per-session jobs through Ray Tune, everything tracked.

The driver holds no state of its own: what is done is what the runs folder says, so the same command goes on
wherever the last one stopped.
"""

import contextlib
import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import ray
import torch
from ray import tune
from ray.tune.search import Searcher

from raydistill.cluster import connected, cores
from raydistill.config.fingerprint import fingerprint
from raydistill.config.sweep import SweepConfig
from raydistill.errors import DataError, RaydistillError
from raydistill.evaluation.results import Results
from raydistill.recordings.ingest import ingest
from raydistill.recordings.manifest import Recording, Source
from raydistill.recordings.synthetic import generate_session, session_names
from raydistill.recordings.writers.nwb import write_nwb
from raydistill.store.files import write_json
from raydistill.store.store import Store
from raydistill.sweep.collect import collect, sweep_fingerprint, tracked
from raydistill.sweep.conclude import conclude
from raydistill.sweep.fanout import Queue
from raydistill.sweep.folders import FAILURE, job_folder, remember_keys
from raydistill.sweep.job import DONE, Job
from raydistill.sweep.jobs import Places, run_pretraining, run_session_job
from raydistill.sweep.plan import Plan, plan
from raydistill.sweep.prepare import missing_recordings, store_uri
from raydistill.sweep.progress import Progress
from raydistill.tracking import Tracker

VELOCITY = "processing/behavior/BehavioralTimeSeries/velocity"
MIRROR_S = 2.0  # between looks at the history of a pretraining that runs
LOST_WORKERS = 3  # times that a job is taken up again after its process died


def run_sweep(
    sweep: SweepConfig, runs: Path, progress: Progress, address: str | None = None, device: str = "auto"
) -> Results:
    """Everything that is missing, then the results; jobs that fail stop only what depends on them.

    Args:
        address: of a Ray cluster; None: a local Ray.
        device: cpu, cuda, or auto: cuda where the cluster has a GPU by now (one that starts its nodes on demand
            has none at first).
    """
    store = store_uri(sweep, runs)
    with contextlib.ExitStack() as stack:
        start_ray = lambda: stack.enter_context(connected(address))  # noqa: E731
        if missing_recordings(sweep, runs):
            start_ray()
            _make_recordings(sweep, runs, store, progress)
        planned = plan(sweep, Store(store).entries(), runs)
        progress.plan(planned)
        remember_keys(runs, sweep.name, planned.jobs)
        tracker = Tracker(runs, sweep.name)
        tracker.parent(
            sweep_fingerprint(planned),
            {"preset": sweep.preset, "seeds": sweep.seeds, "store": store},
            {"protocol": planned.protocol},
        )
        _track_finished(planned, runs, tracker)
        if planned.todo:
            start_ray()
            if device == "auto":
                device = "cuda" if ray.cluster_resources().get("GPU") else "cpu"
            try:
                _run_jobs(sweep, planned, Places(str(runs.absolute()), store, device), tracker, progress)
            except KeyboardInterrupt:
                tracker.interrupted()
                raise
    results = collect(sweep, plan(sweep, Store(store).entries(), runs), runs)
    progress.say("drawing figures")
    conclude(sweep, planned, runs, results, tracker)
    return results


def _make_recordings(sweep: SweepConfig, runs: Path, store: str, progress: Progress) -> None:
    """Synthetic recordings as NWB files, one task a session, and from there into the store like any others."""
    synthetic = sweep.recordings.synthetic
    folder = runs.absolute() / "recordings" / fingerprint(synthetic)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    recordings = [
        Recording(
            name=session,
            path=folder / f"{session}.nwb",
            source=Source(file=f"{session}.nwb", dataset="synthetic", behavior=VELOCITY),
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
    for cause in outcome.failed.values():
        raise DataError(cause)


def _run_jobs(sweep: SweepConfig, planned: Plan, places: Places, tracker: Tracker, progress: Progress) -> None:
    runs, protocol = Path(places.runs), planned.protocol
    done = {p.job.key for p in planned.planned if p.state == DONE}
    queue = Queue([p.job for p in planned.todo], done)

    def succeed(job: Job) -> None:
        queue.succeed(job.key)
        progress.succeed(job)
        tracker.job(tracked(job, runs, protocol, done=True))

    def fail(job: Job, cause: str) -> None:
        for stopped, why in queue.fail(job.key, cause):
            _keep_failure(runs, stopped, why)
            progress.fail(stopped, why)
            tracker.failed(tracked(stopped, runs, protocol, done=False), why)

    while queue.waiting:  # a pretraining may learn from jobs on single sessions, and these from other pretrainings
        while job := queue.next(pretraining=True):
            progress.start(job)
            try:
                run_pretraining(job, places, _mirror(job, runs, protocol, tracker))
            except Exception as err:
                fail(job, _cause(err))
            else:
                succeed(job)
        if not queue.exhausted:
            progress.say("per-session jobs")
            _fan_out(queue, places, sweep.gpu_per_job, succeed, fail)


def _mirror(job: Job, runs: Path, protocol: str, tracker: Tracker) -> Callable[[], None]:
    """Shows a pretraining in MLflow while it runs; to be called again and again."""
    due = time.monotonic()

    def mirror():
        nonlocal due
        if time.monotonic() >= due:
            tracker.running(tracked(job, runs, protocol, done=False))
            due = time.monotonic() + MIRROR_S

    return mirror


class _JobsInOrder(Searcher):
    """A search algorithm that deals out jobs as they become ready, so that no stage waits for another."""

    def __init__(self, queue: Queue, places: Places, succeed, fail):
        super().__init__(metric="finished", mode="max")
        self.queue, self.places, self.succeed, self.fail = queue, places, succeed, fail
        self.trials: dict[str, Job] = {}

    def suggest(self, trial_id):
        job = self.queue.next()
        if job is None:  # either all wait for running ones, or none is left
            return Searcher.FINISHED if self.queue.exhausted else None
        self.trials[trial_id] = job
        return {"job": job.to_json(), "places": self.places}

    def on_trial_complete(self, trial_id, result=None, error=False):
        job = self.trials.pop(trial_id)
        if error or result is None:
            self.fail(job, f"its worker process was lost {LOST_WORKERS + 1} times; is there enough memory?")
        elif result["cause"]:
            self.fail(job, result["cause"])
        else:
            self.succeed(job)

    def __getstate__(self):
        return {}  # Tune keeps a copy to restore from; ours is the runs folder

    def save(self, checkpoint_path):
        """Nothing, for the same reason."""

    restore = save


def _fan_out(queue: Queue, places: Places, gpu_per_job: float, succeed, fail) -> None:
    """Run the queue through Ray Tune, in worker processes that are reused from job to job."""
    resources = {"CPU": 1} | ({"GPU": gpu_per_job} if places.device == "cuda" else {})
    # cluster.yaml keeps nodes for pretraining apart; a node without that label suits any job.
    bundle = tune.PlacementGroupFactory([resources], bundle_label_selector=[{"pool": "!pretraining"}])
    local = len(ray.nodes()) == 1
    folder = Path(places.runs) / "ray"
    shutil.rmtree(folder, ignore_errors=True)
    tuner = tune.Tuner(
        tune.with_resources(_trial, bundle),
        tune_config=tune.TuneConfig(
            search_alg=_JobsInOrder(queue, places, succeed, fail),
            num_samples=len(queue.waiting),
            # Elsewhere Tune lets jobs wait for resources, so that a cluster that scales sees what is wanted.
            max_concurrent_trials=cores() if local else None,
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
    if not queue.exhausted:  # Tune returns from Ctrl-C instead of raising
        raise KeyboardInterrupt


def _trial(config: dict) -> None:
    """One per-session job in a worker process of Ray Tune."""
    torch.set_num_threads(1)
    job, places = Job.from_json(config["job"]), config["places"]
    cause = ""
    try:
        run_session_job(job, places)
    except Exception as err:  # told as a result: an exception would cost the process that other jobs reuse
        cause = _cause(err)
    tune.report({"finished": 1, "cause": cause})


def _cause(err: Exception) -> str:
    """One line for ours; type, message and place for a surprise."""
    root = getattr(err, "cause", None) or err  # Ray wraps what a worker raised
    message = str(root).strip().splitlines()
    if isinstance(root, RaydistillError):
        return message[0]
    place = traceback.extract_tb(root.__traceback__)[-1] if root.__traceback__ else None
    where = f" ({Path(place.filename).name}:{place.lineno})" if place else ""
    return f"{type(root).__name__}: {message[-1] if message else ''}{where}"


def _keep_failure(runs: Path, job: Job, cause: str) -> None:
    write_json(job_folder(runs, job.key) / FAILURE, {"cause": cause, "job": job.name})


def _track_finished(planned: Plan, runs: Path, tracker: Tracker) -> None:
    """Show in MLflow what was done before, by a sweep that was killed or by another one."""
    for p in planned.planned:
        if p.state == DONE:
            tracker.job(tracked(p.job, runs, planned.protocol, done=True))
