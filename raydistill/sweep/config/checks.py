"""Checks of a job that involve several of its parts, or other jobs."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

from raydistill.config.objectives import (
    OBJECTIVES,
    MaskedAutoencoding,
    MaskedAutoencodingWithBehavior,
    MaskedGroups,
    ObjectiveConfig,
    aligned_layers,
    default_objective,
)
from raydistill.errors import ConfigError, suggest
from raydistill.sweep.config.job import JobConfig

OF_OBJECTIVE = {
    **{"mask": "blocks", "mask_block": "blocks"},
    **dict.fromkeys(("channel_dropout", "gain_jitter", "noise"), "augmentation"),
    **{name: name for name in ("reconstruction", "align", "align_layers", "readout_share")},
    **{name: name for name in ("mask_by", "momentum", "momentum_epochs")},
}
"""Setting in `training:` -> the field of objectives that follows from it. Refused where it has no effect."""


def check_exists(name: str | None, allowed: Collection[str], *at: str | int) -> None:
    """Raise a ConfigError if a name is given (not None) and not one of those that are allowed."""
    if name is not None and name not in allowed:
        raise ConfigError(f'there is no "{name}"{suggest(name, allowed)}', at=at)


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
    _check_unfreezing(job, getattr(objective, "unfreeze_epoch", None), getattr(objective, "align", None))
    _check_masking(objective, model_of(name))
    _check_has_effect(job, objective)
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
        _check_aligned(job, objective, {name: model_of(name), job.distill: model_of(job.distill)})
    if job.inherit:
        _check_inherited(job, model_of(name), model_of(str(job.distill)))


def _check_objective(job: JobConfig) -> None:
    name, usual = job.objective_name, default_objective(job.verb, job.supervision)
    if job.supervision != "none" and name != usual:
        raise ConfigError(
            f"`supervision: {job.supervision}` means `objective: {usual}`, but got {name}; leave one of them out",
            at=("objective",),
        )
    if job.is_pretraining and (OBJECTIVES[name].needs.behavior or OBJECTIVES[name].needs.labels):
        raise ConfigError(
            f"sessions of a pretraining have different behavior: `objective: {name}` belongs to `each`",
            at=("objective",),
        )


def _check_masking(objective: ObjectiveConfig | None, model: Any) -> None:
    """Check what is masked, and how the input is changed, against what the model reads."""
    if isinstance(objective, MaskedGroups) and getattr(model, "token_bins", None) is None:
        raise ConfigError(
            "`objective: masked_groups` belongs to `family: barista`; leave it out, or give the job this family",
            at=("objective",),
        )
    if not isinstance(objective, MaskedAutoencoding | MaskedAutoencodingWithBehavior):
        return
    if getattr(model, "bins_predictor", None) and objective.blocks is None:
        raise ConfigError(
            f"`backbone: {model.backbone.name}` reads bins and has no tokens to mask: mask blocks of bins by "
            "`training: {mask: bins}`, or set `supervision: full`"
        )
    patch_bins = getattr(model, "patch_bins", None)
    if objective.blocks is None and (objective.patch_bins != patch_bins or (patch_bins and objective.same_tokens)):
        raise ConfigError(
            "what is masked follows from the patches of the model: leave out `patch_bins`, `blocks` and `mask`",
            at=("objective",),
        )
    if objective.augmentation and model.modality == "spikes":
        raise ConfigError(
            "`channel_dropout`, `gain_jitter` and `noise` change LFP, but the model reads spikes", at=("training",)
        )


def _check_has_effect(job: JobConfig, objective: ObjectiveConfig | None) -> None:
    """Refuse values of the job's own `training:` that its objective does not use."""
    fields = {field.name for field in dataclasses.fields(objective)} if objective else set()
    for name in job.training:
        if OF_OBJECTIVE.get(name, name) not in fields and name in OF_OBJECTIVE:
            raise ConfigError(
                f"`{name}` has no effect on `objective: {job.objective_name}`; leave it out", at=("training", name)
            )
    if "mask_block" in job.training and getattr(objective, "blocks", None) is None:
        raise ConfigError("`mask_block` has an effect only with `mask: bins`", at=("training", "mask_block"))


def _check_aligned(job: JobConfig, objective: ObjectiveConfig | None, models: dict[str, Any]) -> None:
    """Check that student and teacher have the layers that are aligned; of one layer, every network has the last."""
    if (n := getattr(objective, "align_layers", None)) is None:
        return
    if aligned_layers(objective) == 0:
        raise ConfigError(
            f"`align_layers: {n}` aligns what lies before the final norm: it needs `align: residual`", at=("objective",)
        )
    for name, model in models.items():
        depth = getattr(getattr(model, "backbone", None), "depth", None)
        if n > 1 and (depth is None or depth < n):
            has = "gives the output of its last layer only" if depth is None else f"has {depth}"
            raise ConfigError(
                f"`align_layers: {n}` needs as many layers of a transformer or of `mamba`, but {name} {has}",
                at=("training", "align_layers") if "align_layers" in job.training else (),
            )


def _check_inherited(job: JobConfig, model: Any, teacher: Any) -> None:
    """Check that a student can take over the value embedding of its teacher."""
    for part in ("inputs", "embedding"):
        ours, theirs = _shapes_of(getattr(model, part, None)), _shapes_of(getattr(teacher, part, None))
        if ours is None or ours != theirs:
            raise ConfigError(
                f"`inherit` takes over the value embedding of {job.distill}, which has "
                f"{_difference(part, theirs, ours)}",
                at=("inherit",),
            )
    is_delayed = getattr(model.embedding, "causal", False) and not getattr(teacher.embedding, "causal", True)
    if job.inherit == "shifted_tokenizer" and not is_delayed:
        raise ConfigError(
            "`inherit: shifted_tokenizer` is for a causal student of a teacher that is not causal, both with "
            "`embedding: gated`; use `inherit: tokenizer`",
            at=("inherit",),
        )


def _shapes_of(part: Any) -> Any:
    """A part of a model without its direction of time, which changes no shape."""
    return dataclasses.replace(part, causal=False) if hasattr(part, "causal") else part


def _check_unfreezing(job: JobConfig, epoch: int | None, align: str | None) -> None:
    """Check `unfreeze_epoch`, which the job or its `objective:` may give, but not both differently."""
    if job.unfreeze_epoch not in (None, epoch):
        raise ConfigError(
            f"`unfreeze_epoch` is given twice: {job.unfreeze_epoch}, and {epoch} in `objective`; leave one of them out",
            at=("objective",),
        )
    if epoch is not None and align == "residual":
        raise ConfigError(
            "`unfreeze_epoch` trains the teacher's latents, and `align: residual` compares others; use one of them",
            at=("training",) if "align" in job.training else (),
        )


def check_trained_teacher(job: JobConfig, teacher: JobConfig, pieces: tuple[float | None, float | None]) -> None:
    """Check a job that trains its teacher, too.

    Args:
        pieces: `piece_s` of the job and of its teacher.
    Raises:
        ConfigError: there are several teachers, or the teacher was trained on inputs of another length.
    """
    if job.is_pretraining and not teacher.is_one_model:
        raise ConfigError(
            f"`unfreeze_epoch` trains one teacher with one student, but {job.distill} has one for each session; "
            "distill from a pretraining, or on `each` session"
        )
    if pieces[0] != pieces[1]:
        own, other = ("null" if seconds is None else f"{seconds:g}" for seconds in pieces)
        raise ConfigError(
            f"`unfreeze_epoch` lets student and teacher read the same pieces, but `piece_s` is {own}, and {other} for "
            f"{job.distill}; make them equal"
        )


_SHAPES = (
    *("width", "inputs", "embedding", "backbone", "predictor", "bins_predictor", "space"),
    # Of other families than crossmodal, which has these in its backbone. What follows from others comes last.
    *("bin_width_ms", "patch_bins", "patches", "layers", "channel_layers", "heads", "hidden"),
    *("mlp_ratio", "token_bins", "grid", "times", "positions"),
)
"""Parts of a configuration that must equal those of the model from whose weights a job starts."""


def _check_weights(model: Any, other: Any, source: str) -> None:
    """Check that a model has the same shapes as the one from whose weights it starts."""
    for part in _SHAPES:
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
