"""Checks of a job that involve several of its parts, or other jobs."""

import dataclasses
from collections.abc import Callable
from typing import Any

from raydistill.config.objectives import OBJECTIVES, ObjectiveConfig, default_objective
from raydistill.errors import ConfigError
from raydistill.sweep.config.job import JobConfig


def check_job(job: JobConfig, objective: ObjectiveConfig | None, model_of: Callable[[str], Any], name: str) -> None:
    """Check a job together with the jobs that it starts or learns from.

    Args:
        objective: its objective, with all settings of the file applied; None for a fitted model.
        model_of: name of a job -> configuration of its model.
        name: its name.
    Raises:
        ConfigError: parts of the job contradict each other; `at` is relative to the job.
    """
    _check_objective(job)
    _check_unfreezing(job, getattr(objective, "unfreeze_epoch", None))
    if job.workers != 1 and not job.is_pretraining:
        raise ConfigError("`workers` belongs to a pretraining; a job on `each` session has one", at=("workers",))
    if job.source:
        _check_weights(model_of(name), model_of(job.source), job.source)
    if job.distill:
        width, teacher = model_of(name).width, model_of(job.distill).width
        if width != teacher:
            raise ConfigError(
                f"the latents of student and teacher are compared, so they need one `width`, but it is {width}, and "
                f"{teacher} for {job.distill}"
            )


def _check_objective(job: JobConfig) -> None:
    name, usual = job.objective_name, default_objective(job.verb, job.supervision)
    if job.supervision != "none" and name != usual:
        raise ConfigError(
            f"`supervision: {job.supervision}` means `objective: {usual}`, but got {name}; leave one of them out",
            at=("objective",),
        )
    if job.is_pretraining and OBJECTIVES[name].needs.behavior:
        raise ConfigError(
            f"sessions of a pretraining have different behavior: `objective: {name}` belongs to `each`",
            at=("objective",),
        )


def _check_unfreezing(job: JobConfig, epoch: int | None) -> None:
    """Check `unfreeze_epoch`, which the job or its `objective:` may give, but not both differently."""
    if job.unfreeze_epoch not in (None, epoch):
        raise ConfigError(
            f"`unfreeze_epoch` is given twice: {job.unfreeze_epoch}, and {epoch} in `objective`; leave one of them out",
            at=("objective",),
        )


def _check_weights(model: Any, other: Any, source: str) -> None:
    """Check that a model has the same shapes as the one from whose weights it starts."""
    for part in ("width", "inputs", "embedding", "backbone", "predictor"):
        a, b = getattr(model, part, None), getattr(other, part, None)
        if a is not None and b is not None and a != b:
            raise ConfigError(f"starts from the weights of {source}, which has {_difference(part, b, a)}")


def _difference(part: str, theirs: object, ours: object) -> str:
    """The first setting in which two parts of a model differ."""
    if type(theirs) is type(ours) and dataclasses.is_dataclass(theirs):
        for field in dataclasses.fields(theirs):
            a, b = getattr(theirs, field.name), getattr(ours, field.name)
            if a != b:
                return f"{part}.{field.name} {a}, not {b}; make them equal"
    named = [getattr(value, "name", value) for value in (theirs, ours)]
    return f"`{part}: {named[0]}`, not {named[1]}; make them equal"
