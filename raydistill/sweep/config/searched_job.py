"""The settings of a job that a search varies: their values in the sweep, and a sweep with others."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from raydistill.models.families import FAMILIES
from raydistill.sweep.config.job import JobConfig
from raydistill.sweep.config.setting_types import field_names
from raydistill.sweep.config.space import Value, Values
from raydistill.sweep.config.sweep import SweepConfig


def own_value(sweep: SweepConfig, job: JobConfig, name: str) -> Value:
    """The value of a setting in the sweep; None for one that the job does not use."""
    section, _, field = name.partition(".")
    match section:
        case "model":
            return getattr(sweep.settings_of(job), field)
        case "training":
            return getattr(sweep.training_of(job), field)
        case "objective":
            return getattr(sweep.objective_of(job), field, None) if field else job.objective_name
        case "embedding":
            return sweep.embedding_of(next(line for line, other in sweep.jobs.items() if other is job))
        case _:
            return getattr(job, name)


def sweep_with(sweep: SweepConfig, line: str, values: Values) -> SweepConfig:
    """The sweep with these values for one of its jobs.

    Args:
        line: name of the job.
    Raises:
        ConfigError: the values contradict each other or the rest of the sweep.
    """
    return dataclasses.replace(sweep, jobs=sweep.jobs | {line: job_with(sweep.jobs[line], values)})


def job_with(job: JobConfig, values: Values) -> JobConfig:
    """The job with these values; whether they fit the rest of the sweep is not checked.

    Raises:
        ConfigError: the values contradict each other.
    """
    changes = dict[str, Any]()
    for name, value in values.items():
        section, _, field = name.partition(".")
        if not field:
            changes[name] = value
            continue
        before = changes.get(section, getattr(job, section))
        named = {"name": before} if isinstance(before, str) else before or {}
        changes[section] = named | {field: value}
    return dataclasses.replace(job, **changes)


def needed_lines(sweep: SweepConfig, lines: Iterable[str]) -> set[str]:
    """These lines of `jobs`, and all that they start or learn from."""
    needed, waiting = set[str](), list(lines)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [other for other in (sweep.jobs[name].source, sweep.jobs[name].distill) if other]
    return needed


def narrowed(sweep: SweepConfig, *lines: str) -> SweepConfig:
    """The sweep with only these jobs and those that they start or learn from, and without methods and comparisons."""
    needed = needed_lines(sweep, lines)
    jobs = {name: job for name, job in sweep.jobs.items() if name in needed}
    settings = {key for job in jobs.values() for key in field_names(FAMILIES[job.family].settings)}
    return dataclasses.replace(
        sweep,
        jobs=jobs,
        model={key: value for key, value in sweep.model.items() if key in settings},
        methods={},
        baselines=(),
        compare=(),
        align=(),
        answers={},
        tune=None,
    )
