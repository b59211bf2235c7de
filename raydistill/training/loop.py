"""The training recipe: the one loop of the project, for one process or for the workers of a Ray Train job.

The order of segments is a function of (seed, epoch), their masks of (seed, epoch, segment), and dropout of (seed,
epoch, step, rank), so a training resumed from any checkpoint ends with the same bits as one that was never stopped.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from raydistill.config.engine import EngineConfig
from raydistill.config.training import TrainingConfig
from raydistill.feed.feed import Feed
from raydistill.feed.prefetch import Ahead
from raydistill.feed.tokens import Batch
from raydistill.models.layers.precision import has_bf16
from raydistill.objectives import Draw, Objective
from raydistill.training import checkpoint
from raydistill.training.checkpoint import Progress, Saver, copied
from raydistill.training.guards import guarded
from raydistill.training.history import append_history, cut_history
from raydistill.training.optim import build_optimizer, set_schedule
from raydistill.training.totals import Totals, means


@dataclass(frozen=True)
class World:
    """The workers of a job. Alone, nothing is exchanged."""

    rank: int = 0
    size: int = 1

    def total(self, values: Tensor) -> Tensor:
        """Sum over the workers."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
        return values


class Pass(nn.Module):
    """One forward pass of model and objective, as the module that DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module, objective: Objective):
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, batch: Batch, draw: Draw) -> Tensor:
        """The total of each term over a prepared batch. Shape: (terms,)."""
        totals = self.objective.totals(self.model, batch, draw)
        return torch.stack([totals[name] for name in self.objective.weights])


@dataclass(frozen=True, kw_only=True)
class Training:
    """Everything a training needs: what is trained, on what, how, and where it is kept."""

    model: nn.Module
    objective: Objective
    feed: Feed
    recipe: TrainingConfig
    engine: EngineConfig = field(default_factory=EngineConfig)
    seed: int
    folder: Path
    """The job's folder; rank 0 keeps history.jsonl, timing.jsonl and checkpoints/ there."""
    world: World = World()
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module
    """Makes the forward pass distributed (DDP)."""
    device: str = "cpu"
    until: int | None = None
    """Stop after this epoch, to go on from there another time; None: at the recipe's end."""

    @property
    def last(self) -> int:
        """Epochs to be run by the end of it."""
        return min(self.recipe.epochs, self.until or self.recipe.epochs)


def train(training: Training) -> Progress:
    """Train until the recipe ends or patience runs out; the model is left with its best epoch's weights.

    Raises:
        TrainingError: the loss is not finite, there is too little memory or disk, a fold is empty.
    """
    model, recipe, folder = training.model.to(training.device), training.recipe, training.folder
    optimizer, leads = build_optimizer(model, recipe), training.world.rank == 0
    resumed = checkpoint.resume(folder / "checkpoints", model, optimizer)
    progress, best = resumed or (Progress(), copied(model.state_dict()))
    if leads:
        cut_history(folder, progress.epoch)
    forward = training.wrap(Pass(model, training.objective))

    with guarded(training), Saver(folder / "checkpoints", training.engine, training.feed.steps) as saver:
        while progress.epoch < training.last and progress.epochs_since_best < recipe.patience:
            epoch, clock = progress.epoch, Clock(saver)
            rate = set_schedule(optimizer, recipe, epoch)
            for totals in _steps(training, forward, optimizer, progress, clock):
                if leads and progress.step < training.feed.steps and saver.due(progress):
                    progress.sums = totals.sums()
                    saver.save(progress, model, best, optimizer)
            learned = {f"train_{name}": value for name, value in totals.means().items()}
            clock.trained()
            valid = validate(training)
            if progress.finish_epoch(valid["loss"]):
                best = copied(model.state_dict())
            if leads:
                learned |= {f"valid_{name}": value for name, value in valid.items()}
                append_history(folder, {"epoch": epoch, "learning_rate": rate} | learned, clock.line(epoch))
                if saver.due(progress) or progress.epoch == training.last < recipe.epochs:
                    saver.save(progress, model, best, optimizer)
    model.load_state_dict(best)
    return progress


def _steps(training: Training, forward, optimizer, progress: Progress, clock: "Clock") -> Iterable[Totals]:
    """The steps that an epoch still has; what it has summed so far comes after each."""
    feed, epoch, world = training.feed, progress.epoch, training.world
    weights = training.objective.weights
    totals = Totals(weights, epoch, progress.sums, progress.step, lambda step: feed.sessions(epoch, step))
    draw = Draw(training.seed, epoch)
    forward.train()
    prepared = (_prepared(training, share, draw) for share in feed.train(epoch, progress.step))
    with Ahead(prepared) as shares:
        for share in shares:
            torch.manual_seed(_seed(training.seed, epoch, progress.step, world.rank))
            counts = world.total(sum(_counts(training, batch) for batch in share))
            summed = world.total(_backward(training, forward, share, draw, counts[:-1]))
            norm = nn.utils.clip_grad_norm_(training.model.parameters(), training.recipe.clip or math.inf)
            optimizer.step()
            optimizer.zero_grad()
            totals.add(summed, counts[:-1], norm)
            clock.step(counts[-1], shares.waited_s)
            progress.step += 1
            yield totals


def _prepared(training: Training, share: list[Batch], draw: Draw) -> list[Batch]:
    """With its random choices, on the device; called in a thread of its own, ahead of the step."""
    pinned = training.device.startswith("cuda")
    batches = (training.objective.prepare(batch, draw) for batch in share)
    return [(batch.pinned() if pinned else batch).to(training.device) for batch in batches]


def _counts(training: Training, batch: Batch) -> Tensor:
    """Entries of each term, and tokens. Shape: (terms + 1,)."""
    counts = training.objective.counts(batch)
    there = [counts[name] for name in training.objective.weights]
    there = torch.stack([*there, there[0].new_tensor(float(len(batch.time)))])
    return there * 0 if batch.idle else there


def _backward(training: Training, forward, share: list[Batch], draw: Draw, counts: Tensor) -> Tensor:
    """Gradients of the loss of the global batch, from this worker's share; its totals. Shape: (terms,)."""
    weights = counts.new_tensor(list(training.objective.weights.values()))
    # DDP averages gradients over the workers; times their number, the loss is that of the global batch.
    shares = training.world.size * weights / counts.clamp(min=1)  # of behavior, a batch may hold nothing
    summed = torch.zeros_like(counts)
    for batch in share:
        with _exchanging(forward, batch is share[-1]):
            with _autocast(training):
                totals = forward(batch, draw) * (0.0 if batch.idle else 1.0)
            (totals * shares).sum().backward()
        summed += totals.detach()
    return summed


def _exchanging(forward, last: bool):
    """Workers exchange gradients once, after the last of a step's passes."""
    return contextlib.nullcontext() if last or not hasattr(forward, "no_sync") else forward.no_sync()


def _autocast(training: Training):
    kind = training.device.partition(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=training.recipe.precision == "bf16" and has_bf16(kind))


@torch.no_grad()
def validate(training: Training) -> dict[str, float]:
    """The objective on the validation fold, with the same masks every epoch."""
    training.model.eval()
    objective, draw = training.objective, Draw(training.seed, 0, "valid")
    summed = torch.zeros(2, len(objective.weights), dtype=torch.double, device=training.device)
    forward = Pass(training.model, objective)
    with Ahead(_prepared(training, [batch], draw) for batch in training.feed.valid()) as batches:
        for (batch,) in batches:
            with _autocast(training):
                totals = forward(batch, draw)
            summed += torch.stack([totals.double(), _counts(training, batch)[:-1]])
    pairs = training.world.total(summed).T.tolist()
    return means(dict(zip(objective.weights, pairs, strict=True)), objective.weights, "validation")


class Clock:
    """What an epoch takes."""

    def __init__(self, saver: Saver):
        self.saver = saver
        self.started, self.waited_s, self.steps_s, self.tokens = time.perf_counter(), 0.0, 0.0, []

    def step(self, tokens: Tensor, waited_s: float) -> None:
        self.tokens.append(tokens)
        self.waited_s = waited_s

    def trained(self) -> None:
        """All steps are done, the device included."""
        self.steps_s = time.perf_counter() - self.started

    def line(self, epoch: int) -> dict:
        tokens = float(torch.stack(self.tokens).sum())
        return {
            "epoch": epoch,
            "time": time.time(),
            "epoch_s": time.perf_counter() - self.started,
            "steps_s": self.steps_s,
            "data_wait_s": self.waited_s,
            "checkpoint_stall_s": self.saver.stalled(),
            "tokens_per_s": tokens / self.steps_s,
        }


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
