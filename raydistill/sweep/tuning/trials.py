"""The trials of a method: which settings are tried, and which jobs they need. Their scores are not looked at."""

import dataclasses
from dataclasses import dataclass

from raydistill.config.names import draw_name
from raydistill.errors import ConfigError, one_line
from raydistill.evaluation.tuning import Setting
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.searched_job import narrowed, own_value
from raydistill.sweep.config.space import Space, Values
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.config.tune import TuneConfig, space_of
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import Job
from raydistill.sweep.tuning.points import points
from raydistill.sweep.tuning.settings import Applying, Chosen, applying, lines_of, owned_decoders, with_settings

POINTS_PER_TRIAL = 16
"""How many points are looked at for each trial: in a small space most of them are known."""
TITLE = "tuning of "
"""Begins the names of jobs that only trials need, before the name of the method."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Settings of a method, and the jobs that score them."""

    number: int
    values: dict[str, Setting]
    """Of the dimensions that apply to the method; for trial 0, the values of the sweep."""
    jobs: tuple[Job, ...] = ()
    """All jobs of the trial, each after those that it starts from."""
    scored: tuple[str, ...] = ()
    """Keys of those whose scores count, one per session."""
    problem: str = ""
    """Why there are no jobs: the values contradict each other."""


@dataclass(frozen=True, kw_only=True)
class TrialMaker:
    """What the trials of all methods share."""

    sweep: SweepConfig
    tune: TuneConfig
    space: Space
    dimensions: Applying
    entries: list[Entry]
    """The sessions of the store."""
    draw: int
    """The draw of their folds: each has trials of its own, because what one draw validates on another tests on."""

    @classmethod
    def of(cls, sweep: SweepConfig, tune: TuneConfig, entries: list[Entry], draw: int) -> "TrialMaker":
        """Those of one draw of a sweep."""
        space = space_of(tune, sweep.preset, sweep.jobs.values())
        dimensions = applying(sweep, space)
        return cls(sweep=sweep, tune=tune, space=space, dimensions=dimensions, entries=entries, draw=draw)

    def with_settings(self, chosen: Chosen) -> SweepConfig:
        """The sweep with these settings; ConfigError if they contradict each other."""
        return with_settings(self.sweep, chosen, self.dimensions)

    def applying_to(self, method: str) -> list[str]:
        """The dimensions of the space that some job of the method has."""
        lines = lines_of(self.sweep, method)
        return [name for name in self.space.dimensions if any(name in self.dimensions[line] for line in lines)]

    def of_method(self, method: str, chosen: Chosen) -> list[Trial]:
        """The trials of a method: fewer than `tune.trials` if the space has fewer points for it.

        Args:
            chosen: the settings of the methods that own its teachers.
        Raises:
            ConfigError: the sweep does not fit the sessions.
        """
        dimensions = self.applying_to(method)
        job = self.sweep.jobs[owned_decoders(self.sweep, method)[0].job]
        first = self._trial(method, 0, {}, chosen)
        own: dict[str, Setting] = {name: own_value(self.sweep, job, name) for name in dimensions}
        trials, jobs_seen, values_seen = [dataclasses.replace(first, values=own)], {_scored_keys(first)}, [own]
        for point in points(self.space, POINTS_PER_TRIAL * self.tune.trials, self.tune.seed):
            values = {name: value for name, value in point.items() if name in dimensions}
            if len(trials) == self.tune.trials:
                break
            if values in values_seen:
                continue
            values_seen.append(dict(values))
            try:
                trial = self._trial(method, len(trials), values, chosen)
            except ConfigError as err:
                trials.append(Trial(number=len(trials), values=dict(values), problem=one_line(err)))
                continue
            if _scored_keys(trial) not in jobs_seen:
                jobs_seen.add(_scored_keys(trial))
                trials.append(trial)
        return trials

    def _trial(self, method: str, number: int, values: Values, chosen: Chosen) -> Trial:
        decoders = owned_decoders(self.sweep, method)
        part = narrowed(self.with_settings({**chosen, method: values}), *(decoder.job for decoder in decoders))
        alone = dataclasses.replace(
            part,
            jobs={line: dataclasses.replace(job, seeds=()) for line, job in part.jobs.items()},
            seeds=(job_seed(self.sweep, method),),
            methods={method: decoders},
            controls=(),
        )
        jobs = expand(alone, self.entries, self.draw)
        title = f"{TITLE}{method.replace('/', ' ')}/{draw_name(f'trial {number}', self.draw)}"
        return Trial(
            number=number,
            values=dict(values),
            jobs=tuple(dataclasses.replace(job, name=f"{title}/{job.name}", method=None) for job in jobs),
            scored=tuple(job.key for job in jobs if job.method == method),
        )


def _scored_keys(trial: Trial) -> frozenset[str]:
    return frozenset(trial.scored)


def job_seed(sweep: SweepConfig, method: str) -> int:
    """The seed of the jobs of a method's trials: the first of those that it has in the comparison."""
    return (sweep.jobs[owned_decoders(sweep, method)[0].job].seeds or sweep.seeds)[0]
