"""The objectives: what a training sums over a batch, and over how many entries (docs/methods.md, Objectives).

Axes: N tokens, M masked tokens, S patch size, D width, T bins, K behavior dimensions.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.config import objectives as configs
from raydistill.config.objectives import Augmentation, Blocks, ObjectiveConfig
from raydistill.feed.augmentation import augmented
from raydistill.feed.feed import FeedBatch
from raydistill.feed.masking import (
    Draw,
    Masking,
    draw_bins,
    mask_bins,
    mask_groups,
    mask_patches,
    mask_same_tokens,
    mask_tokens,
)
from raydistill.feed.noise import fork
from raydistill.feed.tokens import Batch
from raydistill.models.barista.places import groups_of
from raydistill.models.barista.target import WithTarget, momentum_at
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.model import Model
from raydistill.models.spec import ModelSpec
from raydistill.objective import Objective
from raydistill.store.labels import UNKNOWN


def build_objective(config: ObjectiveConfig, spec: ModelSpec | None = None) -> Objective:
    """The objective of these settings. For one that unfreezes its teacher, the model is a `StudentAndTeacher`.

    Args:
        spec: the model that is trained; only `masked_groups` needs it.
    """
    match config:
        case configs.MaskedGroups():
            assert spec is not None, "groups of channels follow from the model"
            return masked_groups(config, spec)
        case configs.MaskedAutoencoding():
            return _masked(config)
        case configs.BehaviorRegression():
            return behavior_regression()
        case configs.LabelClassification():
            return label_classification()
        case configs.MaskedAutoencodingWithBehavior():
            return together(_masked(config), behavior_regression())
        case configs.Distillation(alignment=0):
            return reconstruction(_readout(config))
        case configs.DistillationWithBehavior(alignment=0):
            return behavior_regression()
        case configs.JointDistillation(alignment=0):
            return together(reconstruction(_readout(config)), behavior_regression())
        case configs.JointDistillation():
            return together(distillation(config.alignment, _readout(config)), behavior_regression())
        case configs.Distillation():
            objective = distillation(config.alignment, _readout(config))
        case configs.DistillationWithBehavior():
            objective = distillation_with_behavior(config.alignment, configs.aligned_layers(config))
    return objective if config.unfreeze_epoch is None else unfrozen(objective, config.unfreeze_epoch)


# ---- Masked autoencoding ----


def _masked(config: configs.MaskedAutoencoding | configs.MaskedAutoencodingWithBehavior) -> "Objective[MaskedBatch]":
    return masked_autoencoding(
        config.mask_ratio, config.blocks, config.augmentation, bool(config.same_tokens), config.patch_bins
    )


@dataclass(frozen=True)
class MaskedBatch:
    """A batch and its masked tokens."""

    batch: Batch
    masking: Masking
    recorded: Tensor | None = None
    """(N, S) values to reconstruct, if those of the batch are augmented."""


def masked_autoencoding(
    mask_ratio: float,
    blocks: Blocks | None = None,
    augmentation: Augmentation | None = None,
    same_tokens: bool = False,
    patch_bins: int | None = None,
) -> Objective[MaskedBatch]:
    """Reconstruct masked tokens of each segment from the others: floor(mask_ratio * N), or those of blocks of bins.

    Spikes: Poisson negative log-likelihood exp(eta) - y * eta of clamped counts y under log-rates eta.
    LFP: squared error. Padded slots do not count.

    Args:
        augmentation: of the input in training, not of what is reconstructed.
        same_tokens: mask the same tokens in all segments of a batch.
        patch_bins: mask so many successive tokens of a channel together.
    """
    masks = mask_same_tokens if same_tokens else mask_tokens
    if patch_bins:
        masks = partial(mask_patches, patch_bins=patch_bins)

    def prepare(batch: FeedBatch, draw: Draw) -> MaskedBatch:
        tokens = batch.tokens
        masking = mask_bins(tokens, mask_ratio, blocks, draw) if blocks else masks(tokens, mask_ratio, draw)
        if augmentation is None or draw.split != "train":
            return MaskedBatch(tokens, masking)
        changed = dataclasses.replace(tokens, values=augmented(tokens, augmentation, draw))
        return MaskedBatch(changed, masking, tokens.values)

    def totals(model: Model, prepared: MaskedBatch, draw: Draw) -> dict[str, Tensor]:
        batch, masked = prepared.batch, prepared.masking.masked
        predicted = model.reconstruct(batch, prepared.masking)  # (M, S)
        recorded = batch.values if prepared.recorded is None else prepared.recorded
        truth, valid = recorded[masked], batch.valid[masked]
        if model.spec.modality == "spikes":
            truth = truth.clamp(max=model.spec.config.inputs.max_count).to(predicted.dtype)
            loss = predicted.exp() - truth * predicted
        else:
            loss = (predicted - truth).square()
        return {"reconstruction": _sum_valid(loss, valid)}

    def counts(prepared: MaskedBatch) -> dict[str, Tensor]:
        return {"reconstruction": prepared.batch.slots[prepared.masking.masked].sum().double()}

    return Objective({"reconstruction": 1.0}, prepare, totals, counts)


# ---- Masked groups of channels ----


@dataclass(frozen=True)
class MaskedTokens:
    """A batch, and which of the tokens that the model makes of it are masked."""

    batch: Batch
    is_masked: Tensor
    """(n,) bool."""


def masked_groups(config: configs.MaskedGroups, spec: ModelSpec) -> Objective[MaskedTokens]:
    """Squared error of the tokens of masked channels, of whole groups over all time, against those of a moving average
    of the tokenizer, which is not trained and in the end takes the place of the tokenizer."""
    groups = {
        session: np.array(groups_of(spec.channels.get(session), config.mask_by, count))
        for session, count in spec.sessions.items()
    }

    def prepare(batch: FeedBatch, draw: Draw) -> MaskedTokens:
        return MaskedTokens(
            batch.tokens, mask_groups(batch.tokens, groups, config.mask_ratio, draw, spec.config.token_bins)
        )

    def totals(module: WithTarget, prepared: MaskedTokens, draw: Draw) -> dict[str, Tensor]:
        return {"latents": module.error(prepared.batch, prepared.is_masked).sum()}

    def counts(prepared: MaskedTokens) -> dict[str, Tensor]:
        return {"latents": prepared.is_masked.sum().double() * spec.config.width}

    def after_step(module: WithTarget, epoch: int) -> None:
        module.move_average(momentum_at(epoch, config.momentum, config.momentum_epochs))

    return Objective(
        {"latents": 1.0},
        prepare,
        totals,
        counts,
        extend=WithTarget,
        after_step=after_step,
        watch=WithTarget.spread_of_target,
        finish=WithTarget.keep_average,
        keeps_last=config.keeps_last,
    )


# ---- Behavior ----


def behavior_regression() -> Objective[Batch]:
    """Squared error of z-scored behavior from the latents of every bin, nothing masked; lost values do not count."""

    def totals(model: Model, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        return {"behavior": _behavior_error(model, model.latents(batch), batch)}

    def counts(batch: Batch) -> dict[str, Tensor]:
        return {"behavior": _behavior_count(batch)}

    return Objective({"behavior": 1.0}, lambda batch, draw: batch.tokens, totals, counts)


def label_classification() -> Objective[Batch]:
    """Cross entropy of the classes of a label, of every bin, or of every segment from the mean of its outputs.

    Examples without a class do not count.
    """

    def totals(model: Model, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        assert batch.classes is not None
        outputs = model.classes(model.latents(batch)).float()  # (sum of T, C)
        if len(batch.classes) != len(outputs):  # one class per segment
            outputs = torch.stack([of_segment.mean(dim=0) for of_segment in outputs.split(batch.bins)])  # (B, C)
        return {"label": F.cross_entropy(outputs, batch.classes, ignore_index=UNKNOWN, reduction="sum")}

    def counts(batch: Batch) -> dict[str, Tensor]:
        assert batch.classes is not None
        return {"label": (batch.classes != UNKNOWN).sum().double()}

    return Objective({"label": 1.0}, lambda batch, draw: batch.tokens, totals, counts)


def together(first: Objective, second: Objective) -> Objective[tuple[Any, Any]]:
    """The sum of two objectives, each in its own forward pass with its own dropout masks, and unscaled.

    Source: docs/methods.md, Objectives.
    """

    def prepare(batch: FeedBatch, draw: Draw) -> tuple[Any, Any]:
        noise = batch.tokens.noise
        tokens = batch.tokens if noise is None else dataclasses.replace(batch.tokens, noise=fork(noise, -1))
        return first.prepare(batch, draw), second.prepare(dataclasses.replace(batch, tokens=tokens), draw)

    def totals(model: nn.Module, prepared: tuple[Any, Any], draw: Draw) -> dict[str, Tensor]:
        return first.totals(model, prepared[0], draw) | second.totals(model, prepared[1], draw)

    def counts(prepared: tuple[Any, Any]) -> dict[str, Tensor]:
        return first.counts(prepared[0]) | second.counts(prepared[1])

    return Objective(first.weights | second.weights, prepare, totals, counts)


# ---- Distillation ----


@dataclass(frozen=True)
class TaughtBatch:
    """A student's input and the latents of its teacher."""

    batch: Batch
    target: Tensor
    """(sum of T, D)"""
    read_out: Tensor | None = None
    """Indices of the tokens whose LFP is reconstructed; None: all."""


@dataclass(frozen=True, kw_only=True)
class Readout:
    """The reconstruction of the LFP in a distillation."""

    weight: float = 1.0
    share: float = 1.0
    """Share of the bins of each segment."""
    layers: int = 0
    """How many of the last layers are aligned before the final norm, where the last one is read out; 0: latents after
    the norm are."""

    def chosen(self, batch: Batch, draw: Draw) -> Tensor | None:
        """Indices of the tokens that are reconstructed; None: all. A function of `draw` and the segment alone."""
        return None if self.share == 1 else draw_bins(batch, self.share, draw)

    def trained(self, model: Model) -> Model:
        """The model without gradients of the weights that this leaves unused: several workers would wait for them."""
        if self.layers:
            encoder: Any = model.encoder
            encoder.norm.requires_grad_(False)
        return model


def _readout(config: configs.Distillation | configs.JointDistillation) -> Readout:
    return Readout(
        weight=1.0 if config.reconstruction is None else config.reconstruction,
        share=config.readout_share or 1.0,
        layers=configs.aligned_layers(config),
    )


def _with_target(batch: FeedBatch, read_out: Tensor | None = None) -> TaughtBatch:
    if batch.teacher_latents is None:
        raise ValueError("distillation needs the latents of a teacher: open the feed with one")
    return TaughtBatch(batch.tokens, batch.teacher_latents, read_out)


def distillation(alignment: float, readout: Readout = Readout()) -> Objective[TaughtBatch]:
    """Eq. 1: MSE(y, f(h)) + alignment * (1 - mean over bins of cos(h, h_teacher)), nothing masked on either side.

    Args:
        readout: of the LFP; by default that of Eq. 1.
    """

    def prepare(batch: FeedBatch, draw: Draw) -> TaughtBatch:
        return _with_target(batch, readout.chosen(batch.tokens, draw))

    def totals(model: CrossModalModel, prepared: TaughtBatch, draw: Draw) -> dict[str, Tensor]:
        latents, reconstructed = model.latents_and_lfp(prepared.batch, readout.layers)
        return {
            "reconstruction": _lfp_error(reconstructed, prepared.batch, prepared.read_out),
            "alignment": _misalignment(latents, prepared.target, readout.layers),
        }

    def counts(prepared: TaughtBatch) -> dict[str, Tensor]:
        return {"reconstruction": _lfp_count(prepared.batch, prepared.read_out), "alignment": _bins(prepared.batch)}

    weights = {"reconstruction": readout.weight, "alignment": alignment}
    return Objective(weights, prepare, totals, counts, readout.trained)


@dataclass(frozen=True)
class ReadOutBatch:
    """A student's input and the tokens whose LFP it reconstructs."""

    batch: Batch
    read_out: Tensor | None


def reconstruction(readout: Readout = Readout()) -> Objective[ReadOutBatch]:
    """Eq. 1 without its alignment: MSE(y, f(h)), nothing masked. It needs no teacher."""

    def prepare(batch: FeedBatch, draw: Draw) -> ReadOutBatch:
        return ReadOutBatch(batch.tokens, readout.chosen(batch.tokens, draw))

    def totals(model: CrossModalModel, prepared: ReadOutBatch, draw: Draw) -> dict[str, Tensor]:
        _, reconstructed = model.latents_and_lfp(prepared.batch, min(readout.layers, 1))
        return {"reconstruction": _lfp_error(reconstructed, prepared.batch, prepared.read_out)}

    def counts(prepared: ReadOutBatch) -> dict[str, Tensor]:
        return {"reconstruction": _lfp_count(prepared.batch, prepared.read_out)}

    return Objective({"reconstruction": readout.weight}, prepare, totals, counts, readout.trained)


def distillation_with_behavior(alignment: float, layers: int = 0) -> Objective[TaughtBatch]:
    """Eq. 3: Eq. 1 with the error of behavior, divided by its own dimensions, in place of that of the LFP.

    Args:
        layers: how many of the last layers are aligned before the final norm; 0: the latents after it, which the head
            always reads.
    """

    def totals(model: Model, prepared: TaughtBatch, draw: Draw) -> dict[str, Tensor]:
        latents = model.latents(prepared.batch)
        aligned = model.residual(prepared.batch, layers) if layers else latents
        return {
            "behavior": _behavior_error(model, latents, prepared.batch),
            "alignment": _misalignment(aligned, prepared.target, layers),
        }

    def counts(prepared: TaughtBatch) -> dict[str, Tensor]:
        return {"behavior": _behavior_count(prepared.batch), "alignment": _bins(prepared.batch)}

    return Objective({"behavior": 1.0, "alignment": alignment}, lambda batch, draw: _with_target(batch), totals, counts)


class StudentAndTeacher(nn.Module):
    """Both sides of a distillation whose teacher is trained too. The teacher is never in training mode: no dropout."""

    def __init__(self, student: Model, teacher: Model):
        super().__init__()
        self.student, self.teacher = student, teacher

    def train(self, mode: bool = True) -> "StudentAndTeacher":
        """Training mode for the student only."""
        super().train(mode)
        self.teacher.eval()
        return self


@dataclass(frozen=True)
class BatchOfBoth:
    """The same segments as input of the student and of the teacher."""

    batch: Batch
    teacher: Batch


def unfrozen(objective: Objective[TaughtBatch], epoch: int) -> Objective[BatchOfBoth]:
    """A distillation whose teacher is trained with the student from `epoch` on (Table 4); before, it is frozen.

    Its model is a `StudentAndTeacher`.
    """

    def prepare(batch: FeedBatch, draw: Draw) -> BatchOfBoth:
        if batch.teacher_tokens is None:
            raise ValueError("a teacher that is trained needs its own input: open the feed with it")
        return BatchOfBoth(batch.tokens, batch.teacher_tokens)

    def totals(pair: StudentAndTeacher, prepared: BatchOfBoth, draw: Draw) -> dict[str, Tensor]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and draw.epoch >= epoch):
            target = pair.teacher.latents(prepared.teacher)
        return objective.totals(pair.student, TaughtBatch(prepared.batch, target), draw)

    def counts(prepared: BatchOfBoth) -> dict[str, Tensor]:
        return objective.counts(TaughtBatch(prepared.batch, prepared.batch.values))  # counts depend on no target

    return Objective(objective.weights, prepare, totals, counts, after_step=objective.after_step)


# ---- Sums ----


def _misalignment(latents: Tensor, target: Tensor, layers: int = 0) -> Tensor:
    """Sum over bins of 1 - cosine, of several layers with weights 1, 2, ... that add up to 1.

    Shape: (sum of T, D), or (sum of T, layers * D), twice -> ().
    """
    n = max(layers, 1)
    pairs = zip(latents.float().chunk(n, dim=-1), target.float().chunk(n, dim=-1), strict=True)
    apart = [(1 - F.cosine_similarity(ours, theirs, dim=-1)).sum() for ours, theirs in pairs]
    return sum((i * x for i, x in enumerate(apart, 1)), apart[0].new_zeros(())) / (n * (n + 1) / 2)


def _behavior_error(model: Model, latents: Tensor, batch: Batch) -> Tensor:
    assert batch.behavior is not None
    error = (model.behavior(latents) - batch.behavior.nan_to_num()).square()  # (sum of T, K)
    return _sum_valid(error, batch.behavior.isfinite())


def _behavior_count(batch: Batch) -> Tensor:
    assert batch.behavior is not None
    return batch.behavior.isfinite().sum().double()


def _lfp_error(reconstructed: Tensor, batch: Batch, rows: Tensor | None) -> Tensor:
    """Sum of squared errors over recorded channels, of the tokens at `rows` (None: all). Shape: (N, S) -> ()."""
    error, valid = (reconstructed - batch.values).square(), batch.valid
    return _sum_valid(error, valid) if rows is None else _sum_valid(error[rows], valid[rows])


def _lfp_count(batch: Batch, rows: Tensor | None) -> Tensor:
    return (batch.slots if rows is None else batch.slots[rows]).sum().double()


def _bins(batch: Batch) -> Tensor:
    return batch.slots.new_tensor(sum(batch.bins), dtype=torch.double)


def _sum_valid(loss: Tensor, valid: Tensor) -> Tensor:
    """Sum over the entries that were recorded."""
    return torch.where(valid, loss, 0.0).float().sum()
