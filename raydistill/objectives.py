"""Objectives: what a training sums over a batch, and over how many entries (spec B3, C).

Sums and counts are apart so that a loss can be normalised by the valid entries of a global batch, however it was
spread over workers and passes: the counts follow from the batch alone, before any model has seen it.
Axes: N tokens, M masked tokens, S patch size, D width, T bins.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.feed.tokens import Batch
from raydistill.models.crossmodal.model import NeuralModel


class Term(NamedTuple):
    """A part of the loss: `weight * total / count`, with total and count summed over the global batch."""

    total: Tensor
    count: Tensor
    weight: float


class Draw(NamedTuple):
    """What the random choices of a pass depend on, besides the segment itself."""

    seed: int
    epoch: int
    split: str = "train"


@dataclass(frozen=True)
class Objective:
    """A loss, in the pieces that a training loop needs one at a time."""

    weights: dict[str, float]
    """Weight of each term."""
    totals: Callable[[nn.Module, Batch, Draw], dict[str, Tensor]]
    """The sum of each term over a prepared batch."""
    counts: Callable[[Batch], dict[str, Tensor]]
    """The entries of each term in a prepared batch."""
    prepare: Callable[[Batch, Draw], Batch] = lambda batch, draw: batch
    """Draws what is random, in numpy and on the host."""

    def __call__(self, model: nn.Module, batch: Batch, draw: Draw) -> dict[str, Term]:
        """All terms of a batch as it comes from the store."""
        batch = self.prepare(batch, draw)
        totals, counts = self.totals(model, batch, draw), self.counts(batch)
        return {name: Term(totals[name], counts[name], weight) for name, weight in self.weights.items()}


def masked_autoencoding(mask_ratio: float) -> Objective:
    """Reconstruct exactly floor(mask_ratio * N) dropped tokens of each segment from the others.

    Spikes: Poisson negative log-likelihood exp(eta) - y * eta of clamped counts under log-rates eta.
    LFP: squared error. Padded slots count nowhere.
    """

    def prepare(batch: Batch, draw: Draw) -> Batch:
        visible, dropped, lengths = drop_tokens(batch, mask_ratio, draw)
        return dataclasses.replace(batch, visible=visible, dropped=dropped, visible_lengths=lengths)

    def totals(model: NeuralModel, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        predicted = model.reconstruct(batch)  # (M, S)
        truth, valid = batch.values[batch.dropped], batch.valid[batch.dropped]
        if model.spec.modality == "spikes":
            truth = truth.clamp(max=model.spec.config.max_count).to(predicted.dtype)
            loss = predicted.exp() - truth * predicted
        else:
            loss = (predicted - truth).square()
        return {"reconstruction": _over(loss, valid)}

    counts = lambda batch: {"reconstruction": batch.slots[batch.dropped].sum().double()}  # noqa: E731
    return Objective({"reconstruction": 1.0}, totals, counts, prepare)


def drop_tokens(batch: Batch, ratio: float, draw: Draw) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Which tokens stay and which are dropped: a function of (seed, epoch, segment) alone.

    Returns:
        visible (N - M,) and dropped (M,) places in the packed row, both in order, and the visible tokens of
        each segment.
    """
    visible, dropped, start = [], [], 0
    for session, number, length in zip(batch.sessions, batch.numbers, batch.lengths, strict=True):
        key = [draw.seed, draw.epoch, crc32(draw.split.encode()), crc32(session.encode()), number]
        order = np.random.default_rng(key).permutation(length)
        n_dropped = int(ratio * length)
        dropped.append(np.sort(order[:n_dropped]) + start)
        visible.append(np.sort(order[n_dropped:]) + start)
        start += length
    places = [torch.from_numpy(np.concatenate(p)).to(batch.time.device) for p in (visible, dropped)]
    return *places, tuple(len(v) for v in visible)


def behavior_regression() -> Objective:
    """Squared error of z-scored behavior from the latents of every bin, nothing masked; lost values do not count."""
    totals = lambda model, batch, draw: {"behavior": _behavior_error(model, model.latents(batch), batch)}  # noqa: E731
    return Objective({"behavior": 1.0}, totals, lambda batch: {"behavior": _behavior_count(batch)})


def together(first: Objective, second: Objective) -> Objective:
    """The sum of two objectives, each in a pass of its own and unscaled (spec B6)."""
    return Objective(
        first.weights | second.weights,
        lambda model, batch, draw: first.totals(model, batch, draw) | second.totals(model, batch, draw),
        lambda batch: first.counts(batch) | second.counts(batch),
        lambda batch, draw: second.prepare(first.prepare(batch, draw), draw),
    )


def distillation(alignment: float) -> Objective:
    """Eq. 1: MSE(y, f(h)) + alignment * (1 - mean over bins of cos(h, h_teacher)), nothing masked on either side.

    The teacher is frozen and sees no augmentation, so its pooled latents come with the batch (`batch.target`).
    """

    def totals(model: NeuralModel, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        tokens = model.encode(batch)  # (N, D)
        error = (model.readout(tokens) - batch.values).square()
        pull = _misalignment(model.pool(tokens, batch), batch.target)
        return {"reconstruction": _over(error, batch.valid), "alignment": pull}

    counts = lambda batch: {"reconstruction": batch.slots.sum().double(), "alignment": _bins(batch)}  # noqa: E731
    return Objective({"reconstruction": 1.0, "alignment": alignment}, totals, counts)


def distillation_with_behavior(alignment: float) -> Objective:
    """Eq. 3: Eq. 1 with the error of behavior, divided by its own dimensions, in place of that of the LFP."""

    def totals(model: NeuralModel, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        latents = model.latents(batch)
        return {
            "behavior": _behavior_error(model, latents, batch),
            "alignment": _misalignment(latents, batch.target),
        }

    counts = lambda batch: {"behavior": _behavior_count(batch), "alignment": _bins(batch)}  # noqa: E731
    return Objective({"behavior": 1.0, "alignment": alignment}, totals, counts)


class StudentAndTeacher(nn.Module):
    """Both sides of a distillation whose teacher learns too, from an epoch on. The teacher never drops out."""

    def __init__(self, student: NeuralModel, teacher: NeuralModel):
        super().__init__()
        self.student, self.teacher = student, teacher

    def train(self, mode: bool = True) -> "StudentAndTeacher":
        super().train(mode)
        self.teacher.eval()
        return self


def unfrozen(objective: Objective, epoch: int) -> Objective:
    """A distillation whose teacher is trained with the student from `epoch` on (Table 4); before, it is frozen.

    Its model is a `StudentAndTeacher`, and the teacher's own inputs come with the batch (`batch.teacher`).
    """

    def totals(pair: StudentAndTeacher, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and draw.epoch >= epoch):
            target = pair.teacher.latents(batch.teacher)
        return objective.totals(pair.student, dataclasses.replace(batch, target=target), draw)

    return dataclasses.replace(objective, totals=totals)


def _misalignment(latents: Tensor, target: Tensor) -> Tensor:
    """Sum over bins of 1 - cosine. Shape: (sum of T, D) twice -> ()."""
    return (1 - F.cosine_similarity(latents.float(), target.float(), dim=-1)).sum()


def _behavior_error(model: NeuralModel, latents: Tensor, batch: Batch) -> Tensor:
    error = (model.behavior(latents) - batch.behavior.nan_to_num()).square()  # (sum of T, K)
    return _over(error, batch.behavior.isfinite())


def _behavior_count(batch: Batch) -> Tensor:
    return batch.behavior.isfinite().sum().double()


def _bins(batch: Batch) -> Tensor:
    return batch.slots.new_tensor(sum(batch.bins), dtype=torch.double)


def _over(loss: Tensor, valid: Tensor) -> Tensor:
    """Sum over the values that are there."""
    return torch.where(valid, loss, 0.0).float().sum()
