"""Which methods are tuned, in which order, and which settings their trials show to be best on validation folds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean

from raydistill.errors import ConfigError
from raydistill.evaluation.tuning import TriedSettings
from raydistill.sweep.config.sweep import SweepConfig, compared_methods
from raydistill.sweep.planning.job import DONE, FAILED
from raydistill.sweep.planning.plan import Planned
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.tuning.settings import owners, teachers_of
from raydistill.sweep.tuning.trials import Trial

SCORE = "valid_r2"
"""The only entry of metrics.json by which settings are chosen. `r2` is that of the test fold."""


def tuned_methods(sweep: SweepConfig, named: Sequence[str]) -> list[str]:
    """The methods to tune, each after those that own its teachers.

    Args:
        named: the methods that `tune` names. If there are none: the compared ones, or all, and owners of teachers.
    Raises:
        ConfigError: methods teach each other.
    """
    wanted = named or compared_methods(sweep) or list(sweep.methods)
    of_line = owners(sweep)
    ordered: list[str] = []

    def put(method: str, path: tuple[str, ...]) -> None:
        if method in path:
            raise ConfigError(f"{' and '.join(path)} teach each other, so neither can be tuned first", at=("tune",))
        for teacher in teachers_of(sweep, method):
            if not named or teacher in owning:
                put(teacher, (*path, method))
        if method not in ordered:
            ordered.append(method)

    owning = list(dict.fromkeys(of_line[d.job] for method in wanted for d in sweep.decoders(method)))
    for method in owning:
        put(method, ())
    return ordered


def followers(sweep: SweepConfig, tuned: Sequence[str]) -> dict[str, str]:
    """Method that decodes models of a tuned one, and has its settings -> this other method."""
    of_line = owners(sweep)
    owner = {method: of_line[decoder.job] for method in sweep.methods for decoder in sweep.decoders(method)}
    return {method: other for method, other in owner.items() if other != method and other in tuned}


def outcome(trial: Trial, planned: Mapping[str, Planned], runs: RunsFolder) -> TriedSettings:
    """A trial with its score, if all of its jobs are done.

    Args:
        planned: key -> job with its state.
    """
    tried = TriedSettings(number=trial.number, values=trial.values, jobs=trial.scored)
    if trial.problem:
        return replace(tried, state="pruned", reason=trial.problem)
    jobs = [planned[job.key] for job in trial.jobs]
    if failed := next((p for p in jobs if p.state == FAILED), None):
        return replace(tried, state="failed", reason=f"{failed.job.name}: {failed.reason}")
    if any(p.state != DONE for p in jobs):
        return tried
    scores = [score for key in trial.scored if (score := runs.metrics(key).get(SCORE)) is not None]
    if len(scores) < len(trial.scored):
        return replace(tried, state="failed", reason="its jobs have no validation R²")
    return replace(tried, state="done", valid_r2=float(mean(scores)))
