"""A search: Optuna asks for values of one job, Ray Tune trains the job with them on its sessions, rung by rung.

A trial's trainings are jobs like those of a sweep, in the same runs folder: one that reaches its end is done for every
sweep that asks for these values, and one that was killed goes on from its checkpoint. The trials themselves lie in an
Optuna database in the search's folder.
"""

import itertools
import random
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler
from ray.tune.search import Searcher

from raydistill.store.catalogue import Entry
from raydistill.sweep.config.search import Halving, Range, SearchConfig, sweep_with
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import Job, parameters
from raydistill.sweep.running.execute import JobContext, advance_job
from raydistill.sweep.running.failures import cause
from raydistill.sweep.running.fanout import Dealer, Resources, prepare_process, run_tune

NO_END = 1_000_000  # epochs; a trial ends by itself
NO_R2 = -1e6  # of a trial that failed, to be stopped
DIRECTIONS = {"valid_r2": "maximize", "parameters": "minimize"}


@dataclass(frozen=True)
class Asked:
    """What every trial needs besides its values."""

    search: SearchConfig
    path: Path
    """Of the search file."""
    entries: tuple[Entry, ...]
    behavior: tuple[str, ...]
    """Columns that the sweep decodes; none: all."""
    context: JobContext
    resources: Resources

    def jobs(self, values: dict) -> list[Job]:
        """The job with these values, on each of its sessions and seeds."""
        made = expand(sweep_with(self.search, self.path, values), list(self.entries))
        return [job for job in made if job.name.startswith(f"{self.search.job}/")]

    def parameters(self, jobs: list[Job]) -> int:
        """Of the largest of the jobs' models; they differ in the sessions' own embeddings alone."""
        known = {e.session: e for e in self.entries}
        return max(parameters(job, [known[s] for s in job.spec.sessions]) for job in jobs)


def open_study(search: SearchConfig, folder: Path) -> optuna.Study:
    """The search's study on disk; trials that were cut off by a kill are asked for again."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=search.name,
        storage=f"sqlite:///{folder.absolute() / 'optuna.db'}",
        directions=[DIRECTIONS[name] for name in search.objectives],
        load_if_exists=True,
    )
    # Taken up again, a sampler must not draw what it drew before.
    by = optuna.samplers.TPESampler if search.sampler == "tpe" else optuna.samplers.RandomSampler
    study.sampler = by(seed=search.seed + len(study.trials))
    if search.sampler == "grid" and not study.trials:
        for combination in _grid(search):
            study.enqueue_trial(combination)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def distributions(search: SearchConfig) -> dict[str, BaseDistribution]:
    """Of every value of the space."""
    made = {}
    for name, where in search.space.items():
        if not isinstance(where, Range):
            made[name] = CategoricalDistribution(where)
        elif where.whole:
            made[name] = IntDistribution(where.low, where.high, log=where.log, step=where.step or 1)
        else:
            made[name] = FloatDistribution(where.low, where.high, log=where.log, step=where.step)
    return made


def _grid(search: SearchConfig) -> list[dict]:
    """Every combination of the space, in an order drawn with the search's seed."""
    values = []
    for where in search.space.values():
        if isinstance(where, Range):
            count = int((where.high - where.low) / where.step + 1e-9) + 1
            values.append([where.low + i * where.step for i in range(count)])
        else:
            values.append(list(where))
    combinations = [dict(zip(search.space, c, strict=True)) for c in itertools.product(*values)]
    random.Random(search.seed).shuffle(combinations)
    return combinations


def wanted(search: SearchConfig) -> int:
    """Trials of the search: those asked for, or the whole grid if it is smaller."""
    return min(search.trials, len(_grid(search))) if search.sampler == "grid" else search.trials


def ended(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that ran to their end, or to the rung that they did not get beyond."""
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def run_trials(study: optuna.Study, asked: Asked, tell) -> None:
    """Run the trials that are still to be done.

    Args:
        tell: called with every trial that has ended (optuna.trial.FrozenTrial).
    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    search = asked.search
    left = wanted(search) - len(ended(study))
    if left <= 0:
        return
    asking = _Asking(study, asked, left, tell)
    run_tune(_trial, asking, left, asked.context, asked.resources, _scheduler(search.halving))
    if asking.running or asking.asked < left:  # Tune returns from Ctrl-C instead of raising
        raise KeyboardInterrupt


def _scheduler(halving: Halving | None):
    if halving is None:
        return FIFOScheduler()
    return AsyncHyperBandScheduler(
        time_attr="epoch",
        metric="valid_r2",
        mode="max",
        max_t=NO_END,
        grace_period=halving.first,
        reduction_factor=halving.part,
    )


class _Asking(Dealer):
    """Optuna's study as Ray Tune's search algorithm."""

    def __init__(self, study: optuna.Study, about: Asked, left: int, tell):
        super().__init__(metric="valid_r2", mode="max")
        self.study, self.about, self.search, self.left, self.told = study, about, about.search, left, tell
        self.asked, self.running = 0, {}

    def suggest(self, trial_id):
        if self.asked >= self.left:
            return Searcher.FINISHED
        self.asked += 1
        trial = self.study.ask(distributions(self.search))
        self.running[trial_id] = trial
        # The jobs themselves: a worker may not see the files that they were planned from.
        jobs = self.about.jobs(trial.params)
        return {
            "jobs": [job.to_json() for job in jobs],
            "parameters": self.about.parameters(jobs),
            "behavior": self.about.behavior,
            "halving": self.search.halving,
            "context": self.about.context,
            "resources": self.about.resources,
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
            trial.set_user_attr("valid_r2", result["valid_r2"])
            trial.set_user_attr("epoch", result["epoch"])
            trial.set_user_attr("parameters", result["parameters"])
            if result["whole"]:
                self.study.tell(trial, [result[name] for name in self.search.objectives])
            else:
                self.study.tell(trial, state=TrialState.PRUNED)
        self.told(self.study.trials[trial.number])


def _trial(config: dict) -> None:
    """One trial in a worker process of Ray Tune: its jobs from rung to rung, until the scheduler stops it."""
    jobs, context, halving = [Job.from_json(job) for job in config["jobs"]], config["context"], config["halving"]
    prepare_process(context, config["resources"])
    epochs = jobs[0].training.recipe.epochs
    found = {"parameters": config["parameters"], "cause": ""}
    try:
        for epoch in halving.rungs(epochs) if halving else [epochs]:
            reached = mean(advance_job(job, context, epoch, config["behavior"])["valid_r2"] for job in jobs)
            tune.report(found | {"valid_r2": reached, "epoch": epoch, "whole": epoch == epochs})
    except Exception as err:  # told as a result: an exception would cost the process that other trials reuse
        tune.report(found | {"valid_r2": NO_R2, "epoch": NO_END, "whole": False, "cause": cause(err)})


def ask_first(study: optuna.Study, search: SearchConfig, values: dict) -> None:
    """Try these values before any other, where they lie in the space and nothing was tried yet."""
    spaces = distributions(search)
    fits = all(spaces[name]._contains(spaces[name].to_internal_repr(value)) for name, value in values.items())
    if fits and not study.trials:
        study.enqueue_trial(values)


def best_values(study: optuna.Study) -> dict | None:
    """Of the trial with the highest R² on validation among those that ran to their end."""
    whole = [t for t in study.get_trials(states=(TrialState.COMPLETE,))]
    return max(whole, key=lambda t: t.user_attrs["valid_r2"]).params if whole else None


def importances(study: optuna.Study) -> dict[str, float]:
    """How much each value decides R² on validation (PED-ANOVA); empty with fewer than four whole trials."""
    if len(study.get_trials(states=(TrialState.COMPLETE,))) < 4:
        return {}
    return optuna.importance.get_param_importances(
        study,
        evaluator=optuna.importance.PedAnovaImportanceEvaluator(evaluate_on_local=False),
        target=(lambda t: t.user_attrs["valid_r2"]) if len(study.directions) > 1 else None,
    )
