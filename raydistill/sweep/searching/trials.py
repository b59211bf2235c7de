"""The trials of a search: Optuna suggests values of one job, Ray Tune trains the job with them on its sessions.

The trainings of a trial are jobs like those of a sweep, in the same runs folder: a finished one counts as done for
every sweep with the same values, and one that was killed continues from its checkpoint. The trials themselves are in
an Optuna database in the search's folder. With `halving`, trials are compared after some epochs, at so-called rungs,
and the worse ones are stopped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import optuna
from optuna.trial import FrozenTrial, TrialState
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raydistill.sweep.config.search import Halving, SearchConfig, Value, sweep_with
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import Job, parameters
from raydistill.sweep.planning.unused import note_tried
from raydistill.sweep.running.execute import advance_job
from raydistill.sweep.running.failures import cause
from raydistill.sweep.running.fanout import Dealer, prepare_process, run_tune
from raydistill.sweep.running.jobs import SweepRun
from raydistill.sweep.searching.study import distributions, ended, n_trials

NO_LIMIT = 1_000_000  # epochs; a trial ends by itself
WORST_R2 = -1e6  # reported for a failed trial, so that the scheduler stops it


@dataclass(frozen=True)
class SearchRun:
    """A search that is being run."""

    search: SearchConfig
    path: Path
    """Path of the search file."""
    run: SweepRun
    """The sweep with the searched job."""

    def jobs(self, values: Mapping[str, Value]) -> list[Job]:
        """The searched job with these values, on each of its sessions and with each seed."""
        jobs = expand(sweep_with(self.search, self.path, dict(values)), self.run.sweep.entries)
        return [job for job in jobs if job.line == self.search.job]

    def parameters(self, jobs: list[Job]) -> int:
        """Number of parameters of the largest model; the models differ only in the embeddings of their sessions."""
        entries = {e.session: e for e in self.run.sweep.entries}
        return max(parameters(job, [entries[s] for s in job.spec.sessions]) for job in jobs)


def run_trials(study: optuna.Study, search_run: SearchRun, on_end: Callable[[FrozenTrial], None]) -> None:
    """Run the trials that have not ended.

    Args:
        on_end: called with every trial that has ended.
    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    left = n_trials(search_run.search) - len(ended(study))
    if left <= 0:
        return
    dealer, run = _Suggestions(study, search_run, left, on_end), search_run.run
    run_tune(_trial, dealer, left, run.context, run.resources, _scheduler(search_run.search.halving))
    if dealer.running or dealer.suggested < left:  # Tune returns after Ctrl-C instead of raising
        raise KeyboardInterrupt


def _scheduler(halving: Halving | None) -> TrialScheduler:
    if halving is None:
        return FIFOScheduler()
    return AsyncHyperBandScheduler(
        time_attr="epoch",
        metric="valid_r2",
        mode="max",
        max_t=NO_LIMIT,
        grace_period=halving.first,
        reduction_factor=halving.part,
    )


class _Suggestions(Dealer):
    """Optuna's study as a search algorithm of Ray Tune."""

    def __init__(self, study: optuna.Study, search_run: SearchRun, left: int, on_end: Callable[[FrozenTrial], None]):
        super().__init__(metric="valid_r2", mode="max")
        self.study, self.search_run, self.search = study, search_run, search_run.search
        self.left, self.on_end = left, on_end
        self.suggested = 0
        self.running: dict[str, optuna.Trial] = {}

    def suggest(self, trial_id):
        if self.suggested >= self.left:
            return Searcher.FINISHED
        self.suggested += 1
        trial = self.study.ask(distributions(self.search))
        self.running[trial_id] = trial
        # The jobs are planned here, because a worker on another machine may lack the sweep file.
        jobs, run = self.search_run.jobs(trial.params), self.search_run.run
        note_tried(run.sweep.runs, self.search.name, jobs)
        return {
            "jobs": [job.to_json() for job in jobs],
            "parameters": self.search_run.parameters(jobs),
            "behavior": run.sweep.config.behavior,
            "halving": self.search.halving,
            "context": run.context,
            "resources": run.resources,
        }

    def on_trial_result(self, trial_id, result):
        if len(self.search.objectives) == 1 and not result["cause"]:
            self.running[trial_id].report(result["valid_r2"], result["epoch"])

    def on_trial_complete(self, trial_id, result=None, error=False):
        trial = self.running.pop(trial_id)
        if error or result is None or result["cause"]:
            trial.set_user_attr("cause", result["cause"] if result else "its worker process was lost")
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            for name in ("valid_r2", "epoch", "parameters"):
                trial.set_user_attr(name, result[name])
            if result["complete"]:
                self.study.tell(trial, [result[name] for name in self.search.objectives])
            else:
                self.study.tell(trial, state=TrialState.PRUNED)
        self.on_end(self.study.trials[trial.number])


def _trial(config: dict) -> None:
    """One trial in a worker process of Ray Tune: trains its jobs from rung to rung until the scheduler stops it."""
    jobs, context, halving = [Job.from_json(job) for job in config["jobs"]], config["context"], config["halving"]
    prepare_process(context, config["resources"])
    epochs = jobs[0].training_spec.epochs
    common = {"parameters": config["parameters"], "cause": ""}
    try:
        for epoch in halving.rungs(epochs) if halving else [epochs]:
            r2 = mean(advance_job(job, context, epoch, config["behavior"])["valid_r2"] for job in jobs)
            tune.report(common | {"valid_r2": r2, "epoch": epoch, "complete": epoch == epochs})
    except Exception as err:  # reported as a result, because an exception would end the process that trials reuse
        failed = {"valid_r2": WORST_R2, "epoch": NO_LIMIT, "complete": False, "cause": cause(err)}
        tune.report(common | failed)
