"""The settings of a job that a search or a tuning may vary, and their types."""

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
        return _hint([JobConfig], name, [key for key in field_names(JobConfig) if key not in NEVER_VARIED], "a job")
    if section not in SECTIONS:
        raise ConfigError(f'a job has no section "{section}"{suggest(section, SECTIONS)}')
    classes: dict[str, list[Any]] = {
        "model": [FAMILIES[job.family].settings],
        "training": [TrainingConfig],
        "objective": list(OBJECTIVES.values()),
    }
    known = [key for cls in classes[section] for key in field_names(cls) if key != "name"]
    return _hint(classes[section], field, known, f"`{section}`")


def _hint(classes: Iterable[Any], field: str, known: list[str], owner: str) -> Any:
    if field not in known:
        raise ConfigError(f'unknown key "{field}" in {owner}{suggest(field, dict.fromkeys(known))}')
    return next(typing.get_type_hints(cls, include_extras=True)[field] for cls in classes if field in field_names(cls))


def field_names(cls: Any) -> list[str]:
    """The names of the fields of a dataclass."""
    return [field.name for field in dataclasses.fields(cls)]


def number_type(kind: Any) -> type[int] | type[float] | None:
    """int or float, if a setting of this type is a number; None if it is none."""
    is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    alternatives = [_unmarked(alternative) for alternative in (typing.get_args(kind) if is_union else (kind,))]
    return next((number for number in (float, int) if number in alternatives), None)


def _unmarked(kind: Any) -> Any:
    """A type without its marks, such as the limits of a number."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is typing.Annotated else kind
