"""The plan of a sweep with trials: the trials of every method, and the comparison with the settings that they chose.

Nothing but the runs folder keeps what was chosen: each time, it follows from the scores of the finished trials.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raydistill.config.names import draw_name
from raydistill.config.recordings import SCORED_WITH_VALID
from raydistill.evaluation.equal_settings import EqualSettings
from raydistill.evaluation.tuning import TunedMethod, TuningResults
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.space import Choices, Dimension
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.config.tune import TuneConfig
from raydistill.sweep.planning.expand import draws_of, expand
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.plan import Plan, plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.tuning.choose import followers, outcome, tuned_methods
from raydistill.sweep.tuning.equal import equal_rows
from raydistill.sweep.tuning.rows import joined, own_rows
from raydistill.sweep.tuning.settings import owners, teachers_of
from raydistill.sweep.tuning.trials import TrialMaker, job_seed


def planned(sweep: SweepConfig, entries: list[Entry], runs: RunsFolder, name: str = "") -> Plan:
    """The plan of a sweep: its jobs, and those of the rows that stand beside its methods.

    Args:
        name: of a variant of the sweep; by default that of the file.
    Raises:
        ConfigError: the sweep does not fit the sessions.
    """
    if sweep.tuning:
        return planned_with_trials(sweep, sweep.tuning, entries, runs, name)
    equal, jobs = equal_rows(sweep, entries)
    whole = plan(sweep, entries, runs, name, joined(expand(sweep, entries), jobs))
    return dataclasses.replace(whole, equal=equal)


def planned_with_trials(
    sweep: SweepConfig, tune: TuneConfig, entries: list[Entry], runs: RunsFolder, name: str = ""
) -> Plan:
    """The plan of a sweep that says `tune`, as far as the finished trials determine it.

    Each draw of the folds has trials and settings of its own. Until the trials of a method have ended, the sweep's own
    settings stand for those that will be chosen: the number of jobs is right, and some of their keys will change.

    Args:
        name: of a variant of the sweep; by default that of the file.
    Raises:
        ConfigError: the sweep does not fit the sessions.
    """
    numbers = draws_of(sweep, entries).numbers
    makers = [TrialMaker.of(sweep, tune, entries, draw) for draw in numbers]
    draws = [_tuned_draw(maker, runs, name, among=len(numbers)) for maker in makers]
    methods = list(draws[0].methods)  # each draw has the same
    beside = [*own_rows(sweep, methods, entries), *(job for draw in draws for job in draw.jobs_of_equal)]
    compared = joined(_apart(draws), beside)
    needed = {job.key for job in compared}
    jobs_of_trials = {key: job for draw in draws for key, job in draw.jobs_of_trials.items()}
    only_trials = [job for key, job in jobs_of_trials.items() if key not in needed]
    whole = plan(sweep, entries, runs, name, [*compared, *only_trials])
    sessions = {job.session for job in compared if job.method}
    return dataclasses.replace(
        whole,
        equal=tuple(row for draw in draws for row in draw.equal),
        of_trials=frozenset(job.key for job in only_trials),
        tuning=TuningResults(
            trials=tune.trials,
            seed=tune.seed,
            space={setting: _in_words(dimension) for setting, dimension in makers[0].space.dimensions.items()},
            methods=tuple(tuned for method in methods for draw in draws for tuned in [draw.methods[method]]),
            followers=followers(sweep, methods),
            unsettled=tuple(dict.fromkeys(method for draw in draws for method in _unsettled(sweep, draw.methods))),
            on_scored_fold=any(e.protocol in SCORED_WITH_VALID for e in entries if e.session in sessions),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _TunedDraw:
    """One draw of the folds: its trials, and its part of the comparison."""

    number: int
    methods: dict[str, TunedMethod]
    """Each after those that own its teachers."""
    jobs_of_trials: dict[str, Job]
    """By key."""
    jobs: list[Job]
    equal: tuple[EqualSettings, ...]
    jobs_of_equal: list[Job]


def _tuned_draw(trials: TrialMaker, runs: RunsFolder, name: str, among: int) -> _TunedDraw:
    methods, jobs_of_trials = _tuned_methods(trials, runs, name, among)
    tuned_sweep = trials.with_settings({method: dict(tuned.changes) for method, tuned in methods.items()})
    equal, jobs_of_equal = equal_rows(tuned_sweep, trials.entries, trials.draw)
    jobs = expand(tuned_sweep, trials.entries, trials.draw)
    return _TunedDraw(
        number=trials.draw,
        methods=methods,
        jobs_of_trials=jobs_of_trials,
        jobs=jobs,
        equal=equal,
        jobs_of_equal=jobs_of_equal,
    )


def _apart(draws: Sequence[_TunedDraw]) -> list[Job]:
    """The jobs of the comparison in all draws. A pretraining on sessions that are not decoded has the same name in each
    of them, and perhaps other settings; the later one then gets the number of its draw."""
    jobs, keys = list[Job](), dict[str, str]()
    for draw in draws:
        for job in draw.jobs:
            is_other = keys.setdefault(job.name, job.key) != job.key
            jobs.append(dataclasses.replace(job, name=draw_name(job.name, draw.number)) if is_other else job)
    return jobs


def _tuned_methods(
    trials: TrialMaker, runs: RunsFolder, name: str, among: int
) -> tuple[dict[str, TunedMethod], dict[str, Job]]:
    """The tuned methods, each after those that own its teachers, and the jobs of their trials by key."""
    methods: dict[str, TunedMethod] = {}
    jobs: dict[str, Job] = {}
    for method in tuned_methods(trials.sweep, trials.tune.methods):
        of_method = trials.of_method(method, {other: dict(tuned.changes) for other, tuned in methods.items()})
        own_jobs = {job.key: job for trial in of_method for job in trial.jobs}
        states = plan(trials.sweep, trials.entries, runs, name, list(own_jobs.values())).planned
        by_key = {p.job.key: p for p in states}
        tried = tuple(outcome(trial, by_key, runs) for trial in of_method)
        teachers = [methods[teacher] for teacher in teachers_of(trials.sweep, method) if teacher in methods]
        dimensions = trials.applying_to(method)
        methods[method] = TunedMethod(
            method=method,
            draw=trials.draw if among > 1 else None,
            trials=tried,
            sessions=len(of_method[0].scored),
            job_seed=job_seed(trials.sweep, method),
            left_out=tuple(setting for setting in trials.space.dimensions if setting not in dimensions),
            teachers=tuple(teacher.method for teacher in teachers),
            settled=all(t.state != "missing" for t in tried) and all(teacher.settled for teacher in teachers),
        )
        jobs |= {key: job for key, job in own_jobs.items() if key not in jobs}
    return methods, jobs


def _unsettled(sweep: SweepConfig, methods: Mapping[str, TunedMethod]) -> tuple[str, ...]:
    """The methods of the sweep whose settings, or those of their teachers, are not known yet."""
    of_line = owners(sweep)

    def is_settled(method: str) -> bool:
        others = {of_line[decoder.job] for decoder in sweep.decoders(method)}
        others |= {teacher for other in others for teacher in teachers_of(sweep, other)}
        return all(methods[other].settled for other in others if other in methods)

    return tuple(method for method in sweep.methods if not is_settled(method))


def _in_words(dimension: Dimension) -> str:
    """Such as 0.0001 to 0.01 (log), or 16, 32 or 64."""
    if isinstance(dimension, Choices):
        values = [str(value) for value in dimension.choices]
        text = " or ".join([", ".join(values[:-1]), values[-1]] if len(values) > 1 else values)
    else:
        kind = "log" if dimension.log else f"in steps of {dimension.step:g}" if dimension.step else ""
        text = f"{dimension.low:g} to {dimension.highest:g}" + (f" ({kind})" if kind else "")
    conditions = [f"{name} is {' or '.join(map(str, allowed))}" for name, allowed in dimension.when.items()]
    return text + (f" where {' and '.join(conditions)}" if conditions else "")
