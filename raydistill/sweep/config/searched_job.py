"""The settings of a job that a search may vary: their types, their values in the sweep, and a sweep with others."""

import dataclasses
import types
import typing
from collections.abc import Iterable
from typing import Any

from raydistill.config.objectives import OBJECTIVES
from raydistill.config.training import TrainingConfig
from raydistill.errors import ConfigError, suggest
from raydistill.models.families import FAMILIES
from raydistill.sweep.config.job import JobConfig
from raydistill.sweep.config.space import Value, Values
from raydistill.sweep.config.sweep import SweepConfig

SECTIONS = ("model", "training", "objective")
NEVER_VARIED = ("on", "each", "seeds", "workers", "model", "training", "engine")
"""Keys of a job that decide where it runs, on which data it is scored, or that have keys of their own."""


def type_of(job: JobConfig, name: str) -> Any:
    """The type of a setting of a job, as its class declares it, with the limits of a number.

    Args:
        name: such as training.learning_rate, or embedding.
    Raises:
        ConfigError: the job has no such setting, or it does not change the model.
    """
    section, _, field = name.partition(".")
    if section == "engine":
        raise ConfigError("execution settings change no score; leave them out of the space")
    if not field:
        return _hint([JobConfig], name, [key for key in _fields(JobConfig) if key not in NEVER_VARIED], "a job")
    if section not in SECTIONS:
        raise ConfigError(f'a job has no section "{section}"{suggest(section, SECTIONS)}')
    classes: dict[str, list[Any]] = {
        "model": [FAMILIES[job.family].settings],
        "training": [TrainingConfig],
        "objective": list(OBJECTIVES.values()),
    }
    known = [key for cls in classes[section] for key in _fields(cls) if key != "name"]
    return _hint(classes[section], field, known, f"`{section}`")


def _hint(classes: Iterable[Any], field: str, known: list[str], owner: str) -> Any:
    if field not in known:
        raise ConfigError(f'unknown key "{field}" in {owner}{suggest(field, dict.fromkeys(known))}')
    return next(typing.get_type_hints(cls, include_extras=True)[field] for cls in classes if field in _fields(cls))


def _fields(cls: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(cls)]


def number_type(kind: Any) -> type[int] | type[float] | None:
    """int or float, if a setting of this type is a number; None if it is none."""
    is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    alternatives = [_unmarked(alternative) for alternative in (typing.get_args(kind) if is_union else (kind,))]
    return next((number for number in (float, int) if number in alternatives), None)


def _unmarked(kind: Any) -> Any:
    """A type without its marks, such as the limits of a number."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind


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
    job, changes = sweep.jobs[line], dict[str, Any]()
    for name, value in values.items():
        section, _, field = name.partition(".")
        if not field:
            changes[name] = value
            continue
        before = changes.get(section, getattr(job, section))
        named = {"name": before} if isinstance(before, str) else before or {}
        changes[section] = named | {field: value}
    return dataclasses.replace(sweep, jobs=sweep.jobs | {line: dataclasses.replace(job, **changes)})


def narrowed(sweep: SweepConfig, line: str) -> SweepConfig:
    """The sweep with only this job and those that it starts or learns from, and without methods and comparisons."""
    needed, waiting = set[str](), [line]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [other for other in (sweep.jobs[name].source, sweep.jobs[name].distill) if other]
    jobs = {name: job for name, job in sweep.jobs.items() if name in needed}
    settings = {key for job in jobs.values() for key in _fields(FAMILIES[job.family].settings)}
    return dataclasses.replace(
        sweep,
        jobs=jobs,
        model={key: value for key, value in sweep.model.items() if key in settings},
        methods={},
        baselines=(),
        compare=(),
        align=(),
        answers={},
    )
