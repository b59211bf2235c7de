"""The Optuna study of a search: its space, its trials on disk, and its best trial."""

import itertools
import random
from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from raydistill.sweep.config.search import Range, SearchConfig, Value

DIRECTIONS = {"valid_r2": StudyDirection.MAXIMIZE, "parameters": StudyDirection.MINIMIZE}


def open_study(search: SearchConfig, folder: Path) -> optuna.Study:
    """The study in a search's folder, created if there is none. Trials that a kill interrupted will be repeated."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=search.name,
        storage=f"sqlite:///{folder.absolute() / 'optuna.db'}",
        directions=[DIRECTIONS[name] for name in search.objectives],
        load_if_exists=True,
    )
    # The seed depends on the number of trials: a sampler that is created again must not repeat its draws.
    sampler = optuna.samplers.TPESampler if search.sampler == "tpe" else optuna.samplers.RandomSampler
    study.sampler = sampler(seed=search.seed + len(study.trials))
    if search.sampler == "grid" and not study.trials:
        for combination in _grid(search):
            study.enqueue_trial(combination)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    return study


def distributions(search: SearchConfig) -> dict[str, BaseDistribution]:
    """Name of a value -> its distribution."""
    return {name: _distribution(choices) for name, choices in search.space.items()}


def _distribution(choices: Range | tuple[Value, ...]) -> BaseDistribution:
    if not isinstance(choices, Range):
        return CategoricalDistribution(choices)
    if choices.whole:
        return IntDistribution(int(choices.low), int(choices.high), log=choices.log, step=int(choices.step or 1))
    return FloatDistribution(choices.low, choices.high, log=choices.log, step=choices.step)


def _grid(search: SearchConfig) -> list[dict[str, Value]]:
    """Every combination of the space, in an order drawn with the search's seed."""
    combinations = [
        dict(zip(search.space, values, strict=True))
        for values in itertools.product(*map(_steps, search.space.values()))
    ]
    random.Random(search.seed).shuffle(combinations)
    return combinations


def _steps(choices: Range | tuple[Value, ...]) -> list[Value]:
    if not isinstance(choices, Range):
        return list(choices)
    assert choices.step is not None, "a grid needs steps"
    count = int((choices.high - choices.low) / choices.step + 1e-9) + 1
    return [choices.low + i * choices.step for i in range(count)]


def n_trials(search: SearchConfig) -> int:
    """Number of trials of the search: `trials`, or the size of the grid if it is smaller."""
    return min(search.trials, len(_grid(search))) if search.sampler == "grid" else search.trials


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ran to their last epoch or were stopped early; failed ones do not count."""
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that ran to their last epoch."""
    return study.get_trials(states=(TrialState.COMPLETE,))


def try_first(study: optuna.Study, search: SearchConfig, values: Mapping[str, Value]) -> None:
    """Make these values the first trial of a new study, if the space contains them."""
    spaces = distributions(search)
    inside = all(spaces[name]._contains(spaces[name].to_internal_repr(value)) for name, value in values.items())
    if inside and not study.trials:
        study.enqueue_trial(dict(values))


def best_values(study: optuna.Study) -> dict[str, Value] | None:
    """Values of the complete trial with the highest validation R²; None without a complete trial."""
    return max(complete(study), key=lambda t: t.user_attrs["valid_r2"]).params if complete(study) else None


def importances(study: optuna.Study) -> dict[str, float]:
    """Importance of each value for validation R² (PED-ANOVA), as shares of 1; empty with fewer than four trials."""
    if len(complete(study)) < 4:
        return {}
    return optuna.importance.get_param_importances(
        study,
        evaluator=optuna.importance.PedAnovaImportanceEvaluator(evaluate_on_local=False),
        target=(lambda t: t.user_attrs["valid_r2"]) if len(study.directions) > 1 else None,
    )
