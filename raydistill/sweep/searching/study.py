"""The Optuna study of a search: its trials on disk, and what each of them says about its point.

Each study has the fingerprint of its space, job and data in its name, so that trials of different ones are never
compared. All studies of a search are in one database, and a new one takes over the trials that have the same jobs.
"""

from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import OptunaError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from raydistill.errors import DataError, RaydistillError, one_line
from raydistill.sweep.config.search import Search
from raydistill.sweep.config.space import Dimension, Range, Space, Value, Values
from raydistill.sweep.searching.searched import SearchedJob

DIRECTIONS = {"valid_r2": StudyDirection.MAXIMIZE, "parameters": StudyDirection.MINIMIZE}

DATABASE = "optuna.db"

# Attributes of a trial.
VALUES = "values"
"""The values of its point."""
IDENTITY = "identity"
"""The identity of its point; missing if its values are invalid."""
RUNGS = "rungs"
"""Epoch, as text -> R² on the validation folds at this epoch."""
CAUSE = "cause"
"""Why it failed."""
REASON = "reason"
"""Why its values are invalid."""
REPEATS = "repeats"
"""Number of the trial whose point Optuna has suggested again."""
TAKEN_FROM = "taken_from"
"""Name of the earlier study with this trial."""


def open_study(searched: SearchedJob, folder: Path) -> optuna.Study:
    """The study of a search's space, job and data, in the search's folder; created if there is none.

    Raises:
        DataError: the database in the folder cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    config = searched.search.config
    try:
        study = optuna.create_study(
            study_name=name_of_study(searched),
            storage=_storage(folder),
            directions=[DIRECTIONS[name] for name in config.objectives],
            load_if_exists=True,
        )
    except (OptunaError, SQLAlchemyError) as err:
        raise DataError(
            f"{folder / DATABASE}: cannot be used as a database of trials ({one_line(err)}); move it away: a new "
            "search finds the trainings that are done"
        ) from None
    # The seed depends on the number of trials: a sampler that is created again must not repeat its draws.
    sampler = optuna.samplers.TPESampler if config.sampler == "tpe" else optuna.samplers.RandomSampler
    study.sampler = sampler(seed=config.seed + len(study.trials))
    return study


def name_of_study(searched: SearchedJob) -> str:
    """The name of the study of a search's space, job and data."""
    return f"{searched.search.name}-{searched.fingerprint()[:16]}"


def _storage(folder: Path) -> str:
    return f"sqlite:///{folder.absolute() / DATABASE}"


def interrupted(study: optuna.Study) -> list[Values]:
    """Close the trials that a kill interrupted; returns their values, to be tried again."""
    values = []
    while study.get_trials(states=(TrialState.WAITING,)):
        study.ask()
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if IDENTITY in trial.user_attrs:  # the kill may have come before all values were drawn
            values.append(trial.user_attrs[VALUES])
    return values


def drawn(trial: Trial, space: Space) -> Values:
    """The point that the sampler suggests for a trial."""
    return space.chosen(lambda name, dimension: _suggest(trial, name, dimension))


def trial_of(study: optuna.Study, space: Space, values: Values) -> Trial:
    """A new trial with these values, which need not be in the space: Optuna gets those that are."""
    inside = params_of(space, values)
    study.enqueue_trial(inside)
    trial = study.ask()
    for name in inside:
        _suggest(trial, name, space.dimensions[name])
    return trial


def params_of(space: Space, values: Values) -> Values:
    """The values that are in the dimensions of a space."""
    return {name: value for name, value in values.items() if value in space.dimensions.get(name, ())}


def _suggest(trial: Trial, name: str, dimension: Dimension) -> Value:
    d = distribution_of(dimension)
    if isinstance(d, CategoricalDistribution):
        return trial.suggest_categorical(name, d.choices)
    if isinstance(d, IntDistribution):
        return trial.suggest_int(name, d.low, d.high, step=d.step, log=d.log)
    return dimension.nearest(trial.suggest_float(name, d.low, d.high, step=d.step, log=d.log))


def distribution_of(dimension: Dimension) -> CategoricalDistribution | IntDistribution | FloatDistribution:
    """The distribution from which Optuna samples a dimension."""
    if not isinstance(dimension, Range):
        return CategoricalDistribution(dimension.choices)
    if dimension.whole:
        low, high, step = (int(number) for number in (dimension.low, dimension.highest, dimension.step or 1))
        return IntDistribution(low, high, log=dimension.log, step=step)
    return FloatDistribution(dimension.low, dimension.highest, log=dimension.log, step=dimension.step)


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """The trial of each point that ran to its last epoch or was stopped early, not failed or repeated ones."""
    trials = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [t for t in trials if "valid_r2" in t.user_attrs and REPEATS not in t.user_attrs]


def complete(study: optuna.Study) -> list[FrozenTrial]:
    """The trial of each point that ran to its last epoch."""
    return [trial for trial in ended(study) if trial.state == TrialState.COMPLETE]


def failed(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ended with an error; their points may have been tried again since."""
    return [t for t in study.get_trials(states=(TrialState.FAIL,)) if CAUSE in t.user_attrs]


def take_over(study: optuna.Study, searched: SearchedJob, folder: Path) -> tuple[int, int]:
    """Add the trials of the search's other studies that have the same jobs, and thus the same score, in this one.

    Returns:
        Number of trials that were added, and of trials of other studies.
    """
    known = {trial.user_attrs[IDENTITY] for trial in ended(study)}
    count, taken = 0, 0
    for name, trial in _of_other_studies(study, searched.search, folder):
        count += 1
        identity = trial.user_attrs[IDENTITY]
        if identity in known:
            continue
        values = _point_of(identity, trial.user_attrs[VALUES], searched)
        if values is not None:
            known.add(identity)
            study.add_trial(_copy(trial, values, name, searched.search))
            taken += 1
    return taken, count


def _of_other_studies(study: optuna.Study, search: Search, folder: Path) -> Iterator[tuple[str, FrozenTrial]]:
    """(name of the study, trial) of every trial of another study that ran to its last epoch."""
    storage = _storage(folder)
    for name in optuna.get_all_study_names(storage):
        if name.rpartition("-")[0] == search.name and name != study.study_name:
            other = optuna.load_study(study_name=name, storage=storage)
            yield from ((name, t) for t in complete(other) if TAKEN_FROM not in t.user_attrs)


def _point_of(identity: str, values: Values, searched: SearchedJob) -> Values | None:
    """The point of the present space with this identity, given its values in another one; None if there is none."""
    own, space = searched.search.all_own_values, searched.search.space
    point = space.chosen(lambda name, dimension: values.get(name, own[name]))
    try:
        jobs = searched.jobs(point)
    except RaydistillError:
        return None
    inside = point in space or point == searched.search.own_values
    return point if inside and searched.identity(jobs) == identity else None


def _copy(trial: FrozenTrial, values: Values, study_name: str, search: Search) -> FrozenTrial:
    params = params_of(search.space, values)
    distributions: dict[str, BaseDistribution] = {
        name: distribution_of(search.space.dimensions[name]) for name in params
    }
    rungs = trial.user_attrs.get(RUNGS, {}) if len(search.config.objectives) == 1 else {}
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE,
        values=[trial.user_attrs[name] for name in search.config.objectives],
        params=params,
        distributions=distributions,
        intermediate_values={int(epoch): r2 for epoch, r2 in rungs.items()},
        user_attrs=trial.user_attrs | {VALUES: values, TAKEN_FROM: study_name},
    )
