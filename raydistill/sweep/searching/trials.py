"""The trials of a search in Ray Tune: each trains the jobs of one point, from rung to rung.

The trainings are jobs like those of a sweep, in the same runs folder: a finished one counts as done for every sweep
with the same values, and one that was killed continues from its checkpoint. Which point is tried next, and which
continues at a rung, is decided by `Points`.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from statistics import mean

from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raydistill.cluster.waiting import Wanted
from raydistill.errors import DataError, TimeLimitReached, one_line
from raydistill.sweep.config.search import Search
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.unused import note_tried
from raydistill.sweep.running.deadline import GRACE_S
from raydistill.sweep.running.execute import JobContext, advance_job
from raydistill.sweep.running.failures import cause, log_text
from raydistill.sweep.running.fanout import MAX_LOST_WORKERS, Dealer, prepare_process, run_tune
from raydistill.sweep.running.jobs import SweepRun
from raydistill.sweep.running.room import need_of_session_job
from raydistill.sweep.running.rungs import valid_r2_at
from raydistill.sweep.running.shared import watch as watch_cluster
from raydistill.sweep.searching.points import Point, Points


@dataclass(frozen=True)
class SearchRun:
    """A search that is being run."""

    search: Search
    run: SweepRun
    """The sweep with the searched job."""


def run_trials(points: Points, search_run: SearchRun, on_end: Callable[[FrozenTrial], None]) -> None:
    """Try points until none is left.

    Args:
        on_end: called in this thread with every trial that has ended.
    Raises:
        DataError: the study cannot be written, or Ray Tune ended before the trials.
        KeyboardInterrupt: the command is interrupted, or the time limit is reached.
    """
    events: SimpleQueue[FrozenTrial] = SimpleQueue()
    dealer, run = _PointsInTurn(points, search_run, events.put), search_run.run
    samples = search_run.search.config.trials + 1  # the sweep's own values may be outside of the space
    deadline, context = run.options.deadline, run.context
    cluster = watch_cluster(run.options, context.runs, context.store, run.progress.line)
    wanted = Wanted("trials", need_of_session_job(run.sweep.config, run.context.device))

    def watch() -> None:
        cluster.look([wanted])
        while not events.empty():
            on_end(events.get())
        deadline.check(GRACE_S)

    run_tune(_trial, dealer, samples, wanted.need, run.context, run.resources, _AtRungs(dealer), watch)
    if isinstance(dealer.error, OptunaError | OSError):
        raise DataError(
            f"the study of {search_run.search.name} cannot be written ({one_line(dealer.error)}); free disk space and "
            "run the same command again; finished work is kept"
        ) from dealer.error
    if dealer.error:
        raise dealer.error
    if points.running or points.has_next():
        deadline.check()
        raise DataError(
            f"{search_run.search.name}: Ray Tune ended with {len(points.running)} trials running; run the same command "
            "again"
        )


class _PointsInTurn(Dealer):
    """The points of a study as a search algorithm of Ray Tune, which would swallow an error that is raised in it.

    Args:
        tell: called with every trial that has ended.
    """

    def __init__(self, points: Points, search_run: SearchRun, tell: Callable[[FrozenTrial], None]):
        super().__init__(metric="valid_r2", mode="max")
        self.points, self.search_run, self.tell = points, search_run, tell
        self.trials: dict[str, Point] = {}
        self.error: Exception | None = None
        """The first error of the study's own bookkeeping, after which no trial starts."""

    def suggest(self, trial_id):
        point = self._guarded(self.points.next)
        if point is None:
            return None if self.trials and not self.error else Searcher.FINISHED
        self.trials[trial_id] = point
        run, config = self.search_run.run, self.search_run.search.config
        # The jobs are planned here, because a worker on another machine may lack the sweep file.
        note_tried(run.sweep.runs, self.search_run.search.name, point.jobs)
        return {
            "jobs": [job.to_json() for job in point.jobs],
            "behavior": self.search_run.search.sweep.columns,
            "halving": config.halving,
            "context": run.context,
            "resources": run.resources,
        }

    def continues(self, trial_id: str, result: dict) -> bool:
        """Store a score at a rung; returns whether the trial continues."""
        if self.error or result["cause"] or result["complete"] or result["stopped"]:
            return not self.error
        report = self.points.report
        return bool(self._guarded(lambda: report(self.trials[trial_id], result["epoch"], result["valid_r2"])))

    def on_trial_complete(self, trial_id, result=None, error=False):
        point = self.trials.pop(trial_id)
        if self.error or (result and result["stopped"]):  # the next run of the search continues it
            return
        lost = f"its worker process was lost {MAX_LOST_WORKERS + 1} times; is there enough memory?"
        if error or result is None or result["cause"]:
            self._guarded(lambda: self.tell(self.points.fail(point, result["cause"] if result else lost)))
        else:
            outcome = {name: result[name] for name in ("valid_r2", "epoch", "complete")}
            self._guarded(lambda: self.tell(self.points.end(point, **outcome)))

    def _guarded(self, step: Callable):
        try:
            return step() if self.error is None else None
        except Exception as err:
            self.error = err
            return None


class _AtRungs(FIFOScheduler):
    """Stops the trials that do not continue at a rung."""

    def __init__(self, dealer: _PointsInTurn):
        super().__init__()
        self.dealer = dealer

    def on_trial_result(self, tune_controller, trial, result):
        goes_on = self.dealer.continues(trial.trial_id, result)
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP


def _trial(config: dict) -> None:
    """One trial in a worker process of Ray Tune: trains its jobs from rung to rung until the search stops it."""
    jobs, context, columns = [Job.from_json(job) for job in config["jobs"]], config["context"], config["behavior"]
    prepare_process(context, config["resources"])
    epochs, common = jobs[0].training_spec.epochs, {"cause": "", "complete": False, "stopped": False}
    rungs = config["halving"].rungs(epochs)[:-1] if config["halving"] else []
    try:
        for epoch in rungs:
            scores = [_logged(valid_r2_at, job, context, epoch, columns) for job in jobs]
            if None not in scores:  # the score of a job that is done already may not have been kept
                tune.report(common | {"valid_r2": mean(scores), "epoch": epoch})
        metrics = [_logged(advance_job, job, context, epochs, columns) for job in jobs]
        tune.report(common | {"valid_r2": mean(m["valid_r2"] for m in metrics), "epoch": epochs, "complete": True})
    except TimeLimitReached:
        tune.report(common | {"valid_r2": 0.0, "epoch": epochs, "stopped": True})
    except Exception as err:  # reported as a result, because an exception would end the process that trials reuse
        tune.report(common | {"valid_r2": 0.0, "epoch": epochs, "cause": cause(err)})


def _logged(train: Callable, job: Job, context: JobContext, epochs: int, columns: tuple[str, ...]):
    """The result of `train`; the traceback of an error is written to the log of the job."""
    try:
        return train(job, context, epochs, columns)
    except TimeLimitReached:
        raise
    except Exception as err:
        with contextlib.suppress(OSError):  # the disk may be full, which may be the cause too
            context.runs.write_log(job.key, log_text(err))
        raise
