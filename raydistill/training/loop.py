"""The training recipe: the one loop of the project, for one process or for the workers of a Ray Train job.

Every epoch's randomness (order, masks, dropout) is drawn from (seed, epoch), so a training resumed from any
checkpoint ends with the same bits as one that was never stopped.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from raydistill.config.model import TrainingConfig
from raydistill.errors import TrainingError
from raydistill.models.precision import has_bf16
from raydistill.objectives import Draw, Objective, Term
from raydistill.store.batches import Feed
from raydistill.store.tokens import Batch
from raydistill.training import checkpoint
from raydistill.training.history import append_history, cut_history
from raydistill.training.optim import build_optimizer, set_schedule


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

    def forward(self, batch: Batch, draw: Draw) -> dict[str, Term]:
        return self.objective(self.model, batch, draw)


@dataclass(frozen=True, kw_only=True)
class Training:
    """Everything a training needs: what is trained, on what, how, and where it is kept."""

    model: nn.Module
    objective: Objective
    feed: Feed
    recipe: TrainingConfig
    seed: int
    folder: Path
    """The job's folder; rank 0 keeps history.jsonl and checkpoints/ there."""
    world: World = World()
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module
    """Makes the forward pass distributed (DDP)."""
    device: str = "cpu"


def train(training: Training) -> checkpoint.Progress:
    """Train until the recipe ends or patience runs out; the model is left with its best epoch's weights."""
    model, recipe = training.model.to(training.device), training.recipe
    optimizer = build_optimizer(model, recipe)
    checkpoints, history = training.folder / "checkpoints", training.folder / "history.jsonl"

    resumed = checkpoint.resume(checkpoints, model, optimizer)
    progress, best = resumed or (checkpoint.Progress(), _copy(model))
    if training.world.rank == 0:
        cut_history(history, progress.epoch)
    forward = training.wrap(Pass(model, training.objective))

    while progress.epoch < recipe.epochs and progress.epochs_since_best < recipe.patience:
        epoch, started = progress.epoch, time.time()
        rate = set_schedule(optimizer, recipe, epoch)
        torch.manual_seed(_epoch_seed(training.seed, epoch, training.world.rank))

        losses = _train_epoch(training, forward, optimizer, epoch)
        valid = validate(training)

        progress.epoch = epoch + 1
        if valid["loss"] < progress.best_loss:
            progress.best_loss, progress.best_epoch, best = valid["loss"], epoch, _copy(model)
        if training.world.rank == 0:
            line = {f"train_{k}": v for k, v in losses.items()} | {f"valid_{k}": v for k, v in valid.items()}
            line |= {"epoch": epoch, "time": time.time(), "seconds": time.time() - started, "learning_rate": rate}
            append_history(history, line)
            if progress.epoch % recipe.checkpoint_every == 0:
                checkpoint.save(checkpoints, progress, model, best, optimizer)
    model.load_state_dict(best)
    return progress


def _train_epoch(training, forward, optimizer, epoch) -> dict[str, float]:
    """One pass over the training segments; returns the mean of each term over all of them."""
    forward.train()
    sums = _Sums(training.world)
    for batch in training.feed.train(epoch):
        terms = _terms(training, forward, batch, Draw(training.seed, epoch))
        counts = training.world.total(torch.stack([t.count for t in terms.values()]))
        # DDP averages gradients over the workers; times their number, the loss is that of the global batch.
        shares = training.world.size / counts.clamp(min=1)  # of behavior, a batch may hold nothing
        loss = sum(t.weight * t.total * share for t, share in zip(terms.values(), shares, strict=True))
        loss.backward()
        if training.recipe.clip:
            nn.utils.clip_grad_norm_(training.model.parameters(), training.recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        sums.add(terms)
    return sums.means(f"epoch {epoch}")


@torch.no_grad()
def validate(training: Training) -> dict[str, float]:
    """The objective on the validation fold, with the same masks every epoch."""
    training.model.eval()
    forward, sums = Pass(training.model, training.objective), _Sums(training.world)
    for batch in training.feed.split("valid"):
        sums.add(_terms(training, forward, batch, Draw(training.seed, 0, "valid")))
    return sums.means("validation")


def _terms(training, forward, batch: Batch, draw: Draw) -> dict[str, Term]:
    kind = training.device.partition(":")[0]
    with torch.autocast(kind, torch.bfloat16, enabled=training.recipe.precision == "bf16" and has_bf16(kind)):
        terms = forward(batch.to(training.device), draw)
    if batch.idle:  # the worker has no segment in this global batch: it takes part with nothing
        terms = {name: Term(t.total * 0, t.count * 0, t.weight) for name, t in terms.items()}
    return terms


class _Sums:
    """Totals and counts of the terms of an epoch, kept on the device until the epoch ends."""

    def __init__(self, world: World):
        self.world, self.sums, self.weights = world, {}, {}

    def add(self, terms: dict[str, Term]) -> None:
        for name, term in terms.items():
            pair = torch.stack([term.total.detach().double(), term.count.double()])  # (2,)
            self.sums[name] = self.sums[name] + pair if name in self.sums else pair
            self.weights[name] = term.weight

    def means(self, when: str) -> dict[str, float]:
        """Mean of each term and `loss`, over all workers. Raises TrainingError where it is not finite."""
        if not self.sums:
            raise TrainingError(f"no segments in {when}: the fold is empty; give a longer recording or other splits")
        totals = self.world.total(torch.stack(list(self.sums.values()))).tolist()  # (terms, 2)
        means = {name: total / max(count, 1) for name, (total, count) in zip(self.sums, totals, strict=True)}
        loss = sum(self.weights[name] * mean for name, mean in means.items())
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} in {when} ({means}); lower `learning_rate`, set `clip`, or look at the recordings"
            )
        return {"loss": loss} | (means if len(means) > 1 else {})


def _epoch_seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _copy(model: nn.Module) -> dict[str, Tensor]:
    return {name: w.detach().cpu().clone() for name, w in model.state_dict().items()}
