"""Objectives: each a function of (model, batch) -> loss terms (spec B3, C).

A term is a sum and the number of entries in it, so that a loss can be normalised by the valid entries of a
global batch, however it was spread over workers.
Axes: N tokens, M masked tokens, S patch size, D width, T bins.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.models.neural import NeuralModel
from raydistill.store.tokens import Batch


class Term(NamedTuple):
    """A part of the loss: `weight * total / count`, with total and count summed over the global batch."""

    total: Tensor
    count: Tensor
    weight: float = 1.0


class Draw(NamedTuple):
    """What the random choices of a pass depend on, besides the segment itself."""

    seed: int
    epoch: int
    split: str = "train"


Objective = Callable[[NeuralModel, Batch, Draw], dict[str, Term]]


def masked_autoencoding(mask_ratio: float) -> Objective:
    """Reconstruct exactly floor(mask_ratio * N) dropped tokens of each segment from the others.

    Spikes: Poisson negative log-likelihood exp(eta) - y * eta of clamped counts under log-rates eta.
    LFP: squared error. Padded slots count nowhere.
    """

    def objective(model: NeuralModel, batch: Batch, draw: Draw) -> dict[str, Term]:
        visible, dropped, lengths = drop_tokens(batch, mask_ratio, draw)
        predicted = model.reconstruct(batch, visible, dropped, lengths)  # (M, S)
        truth, valid = batch.values[dropped], batch.valid[dropped]
        if model.spec.modality == "spikes":
            truth = truth.clamp(max=model.spec.config.max_count).to(predicted.dtype)
            loss = predicted.exp() - truth * predicted
        else:
            loss = (predicted - truth).square()
        return {"reconstruction": Term(_over(loss, valid), valid.sum().double())}

    return objective


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
    device = batch.time.device
    places = [torch.from_numpy(np.concatenate(p)).to(device) for p in (visible, dropped)]
    return *places, tuple(len(v) for v in visible)


def behavior_regression(model: NeuralModel, batch: Batch, draw: Draw) -> dict[str, Term]:
    """Squared error of z-scored behavior from the latents of every bin, nothing masked; lost values do not count."""
    return {"behavior": _behavior_error(model, model.latents(batch), batch)}


def together(*objectives: Objective) -> Objective:
    """The sum of several objectives, each in a pass of its own and with weight 1 (spec B6: no scaling)."""

    def objective(model: NeuralModel, batch: Batch, draw: Draw) -> dict[str, Term]:
        terms = {}
        for part in objectives:
            terms |= part(model, batch, draw)
        return terms

    return objective


def distillation(alignment: float) -> Objective:
    """Eq. 1: MSE(y, f(h)) + alignment * (1 - mean over bins of cos(h, h_teacher)), nothing masked on either side.

    The teacher is frozen and sees no augmentation, so its pooled latents come with the batch (`batch.target`).
    """

    def objective(model: NeuralModel, batch: Batch, draw: Draw) -> dict[str, Term]:
        tokens = model.encode(batch)  # (N, D)
        error = (model.readout(tokens) - batch.values).square()
        reconstruction = Term(_over(error, batch.valid), batch.slots.sum().double())
        pull = _alignment(model.pool(tokens, batch), batch.target, alignment)
        return {"reconstruction": reconstruction, "alignment": pull}

    return objective


def distillation_with_behavior(alignment: float) -> Objective:
    """Eq. 3: Eq. 1 with the error of behavior, divided by its own dimensions, in place of that of the LFP."""

    def objective(model: NeuralModel, batch: Batch, draw: Draw) -> dict[str, Term]:
        latents = model.latents(batch)
        pull = _alignment(latents, batch.target, alignment)
        return {"behavior": _behavior_error(model, latents, batch), "alignment": pull}

    return objective


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

    def both(pair: StudentAndTeacher, batch: Batch, draw: Draw) -> dict[str, Term]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and draw.epoch >= epoch):
            target = pair.teacher.latents(batch.teacher)
        return objective(pair.student, dataclasses.replace(batch, target=target), draw)

    return both


def _alignment(latents: Tensor, target: Tensor, weight: float) -> Term:
    cosine = F.cosine_similarity(latents.float(), target.float(), dim=-1)  # (sum of T,)
    return Term((1 - cosine).sum(), cosine.new_tensor(len(cosine), dtype=torch.double), weight)


def _behavior_error(model: NeuralModel, latents: Tensor, batch: Batch) -> Term:
    there = batch.behavior.isfinite()  # (sum of T, K)
    error = (model.behavior(latents) - batch.behavior.nan_to_num()).square()
    return Term(_over(error, there), there.sum().double())


def _over(loss: Tensor, valid: Tensor) -> Tensor:
    """Sum over the values that are there."""
    return torch.where(valid, loss, 0.0).float().sum()
