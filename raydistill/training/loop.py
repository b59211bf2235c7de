"""The training loop, for one process or for the workers of a Ray Train job (docs/methods.md, Training).

The order of segments is a function of (seed, epoch); masks and dropout are functions of (seed, epoch, segment). A
training that is resumed from any checkpoint therefore ends with the same bits as one that was never stopped, and
micro-batches and the number of workers change its losses only by floating-point rounding.
"""

import contextlib
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raydistill.config.engine import EngineConfig
from raydistill.config.training import Recipe
from raydistill.errors import TimeLimitReached
from raydistill.feed.feed import Feed, FeedBatch
from raydistill.feed.masking import Draw
from raydistill.feed.noise import token_noise
from raydistill.feed.prefetch import Prefetcher
from raydistill.feed.tensors import pinned, to_device
from raydistill.models.layers.precision import has_bf16
from raydistill.objective import Objective
from raydistill.training import checkpoint
from raydistill.training.checkpoint import Saver, TrainingState, copied
from raydistill.training.guards import guarded
from raydistill.training.history import append_history, cut_history
from raydistill.training.optim import build_optimizer, set_schedule
from raydistill.training.totals import Totals, means


@dataclass(frozen=True)
class World:
    """The workers of a job; a single worker exchanges nothing."""

    rank: int = 0
    size: int = 1

    def total(self, values: Tensor) -> Tensor:
        """The sum over the workers, in place. Shape: any."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
        return values


class Pass(nn.Module):
    """One forward pass of model and objective, as the module that DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module, objective: Objective):
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, inputs: Any, draw: Draw) -> Tensor:
        """The total of each term of the loss over `inputs`, which the objective prepared. Shape: (terms,)."""
        totals = self.objective.totals(self.model, inputs, draw)
        return torch.stack([totals[name] for name in self.objective.weights])


@dataclass(frozen=True, kw_only=True)
class Training:
    """Everything a training needs: model, objective, data, recipe, and the folder of its files."""

    model: nn.Module
    objective: Objective
    feed: Feed
    recipe: Recipe
    engine: EngineConfig = field(default_factory=EngineConfig)
    seed: int
    folder: Path
    """The job's folder; rank 0 writes history.jsonl, timing.jsonl and checkpoints/ there."""
    world: World = World()
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module
    """Wraps the forward pass, for example in DistributedDataParallel (DDP)."""
    device: str = "cpu"
    until: int | None = None
    """Stop after this epoch; a later call continues from there. None: stop at the end of the recipe."""
    stop_at: float | None = None
    """Unix time after which the training saves a checkpoint and stops before its next step."""

    @property
    def last(self) -> int:
        """Number of epochs after which this call ends, unless patience runs out earlier."""
        return min(self.recipe.epochs, self.until or self.recipe.epochs)


def train(training: Training) -> TrainingState:
    """Train until the recipe ends or patience runs out. At the end, the model has the weights of its best epoch.

    Returns:
        The state at the end.
    Raises:
        TrainingError: the loss is not finite, memory or disk is full, or a fold is empty.
        TimeLimitReached: the time is over; a later call continues from the checkpoint that was saved.
    """
    model, recipe, folder = training.model.to(training.device), training.recipe, training.folder
    optimizer, leads = build_optimizer(model, recipe), training.world.rank == 0
    resumed = checkpoint.resume(folder / "checkpoints", model, optimizer)
    state, best = resumed or (TrainingState(), copied(model.state_dict()))
    if leads:
        cut_history(folder, state.epoch)
    forward = training.wrap(Pass(model, training.objective))

    stopping = _time_is_over(training)
    with guarded(training), Saver(folder / "checkpoints", training.engine, training.feed.steps) as saver:
        while not stopping and not _is_finished(training, state):
            epoch, clock = state.epoch, Clock(saver)
            rate = set_schedule(optimizer, recipe, epoch)
            with contextlib.closing(_steps(training, forward, optimizer, state, clock)) as steps:
                for totals in steps:
                    within_epoch = state.step < training.feed.steps
                    stopping = within_epoch and _time_is_over(training)
                    if leads and within_epoch and (stopping or saver.due(state)):
                        state.sums = totals.sums()
                        saver.save(state, model, best, optimizer)
                    if stopping:
                        break
            if stopping:
                break
            losses = {f"train_{name}": value for name, value in totals.means().items()}
            clock.trained()
            valid = validate(training)
            if training.objective.watch:
                valid |= training.objective.watch(training.model, training.world.total)
            if state.finish_epoch(valid["loss"], training.objective.keeps_last):
                best = copied(model.state_dict())
            stopping = _time_is_over(training)
            if leads:
                losses |= {f"valid_{name}": value for name, value in valid.items()}
                append_history(folder, {"epoch": epoch, "learning_rate": rate} | losses, clock.line(epoch))
                if stopping or saver.due(state) or state.epoch == training.last < recipe.epochs:
                    saver.save(state, model, best, optimizer)
    if stopping and not _is_finished(training, state):
        raise TimeLimitReached(f"stopped after epoch {state.epoch} and {state.step} steps")
    model.load_state_dict(best)
    return state


def _is_finished(training: Training, state: TrainingState) -> bool:
    return state.epoch >= training.last or state.epochs_since_best >= training.recipe.patience


def _time_is_over(training: Training) -> bool:
    """Whether the time limit has passed for any worker; all workers get the same answer and stop at the same step."""
    if training.stop_at is None:
        return False
    is_over = time.time() >= training.stop_at
    if training.world.size == 1:
        return is_over
    return bool(training.world.total(torch.tensor(float(is_over), device=training.device)) > 0)


@dataclass(frozen=True)
class PreparedBatch:
    """The input of one forward pass of a worker."""

    inputs: Any
    """The data that the objective prepared."""
    n_tokens: int
    idle: bool
    """Whether the batch is a placeholder, which does not enter the loss (`FeedBatch.idle`)."""


def _steps(training: Training, forward, optimizer, state: TrainingState, clock: "Clock") -> Generator[Totals]:
    """Run the remaining steps of an epoch; yields the totals of the epoch so far after each step."""
    feed, epoch, world = training.feed, state.epoch, training.world
    weights = training.objective.weights
    totals = Totals(weights, epoch, state.sums, state.step, lambda step: feed.sessions(epoch, step))
    draw = Draw(training.seed, epoch)
    forward.train()
    shares_of_epoch = enumerate(feed.train(epoch, state.step), state.step)
    prepared = (
        prepare(training.objective, share, draw._replace(step=step), training.device) for step, share in shares_of_epoch
    )
    with Prefetcher(prepared) as shares:
        for share in shares:
            counts = world.total(torch.stack([_counts(training, batch) for batch in share]).sum(0))
            summed = world.total(_backward(training, forward, share, draw, counts[:-1]))
            norm = nn.utils.clip_grad_norm_(training.model.parameters(), training.recipe.clip or math.inf)
            optimizer.step()
            optimizer.zero_grad()
            if training.objective.after_step:
                training.objective.after_step(training.model, epoch)
            totals.add(summed, counts[:-1], norm)
            clock.step(counts[-1], shares.waited_s)
            state.step += 1
            yield totals


def prepare(objective: Objective, share: list[FeedBatch], draw: Draw, device: str) -> list[PreparedBatch]:
    """The micro-batches of a worker with their random choices, on the device; runs in a thread, ahead of the step."""
    batches = []
    for batch in share:
        inputs = objective.prepare(_with_noise(batch, draw), draw)
        if device.startswith("cuda"):
            if (index := torch.device(device).index) is not None:
                torch.cuda.set_device(index)  # of this thread; pinning would open a context on GPU 0
            inputs = pinned(inputs)
        inputs = to_device(inputs, device)
        batches.append(PreparedBatch(inputs, len(batch.tokens.time), batch.idle))
    return batches


def _with_noise(batch: FeedBatch, draw: Draw) -> FeedBatch:
    """The batch with the random bits from which dropout draws."""
    tokens = batch.tokens
    noise = token_noise(tokens.sessions, tokens.numbers, tokens.lengths, draw.seed, draw.epoch)
    return replace(batch, tokens=replace(tokens, noise=noise))


def _counts(training: Training, batch: PreparedBatch) -> Tensor:
    """The number of entries of each term, then the number of tokens; zeros for an idle batch. Shape: (terms + 1,)."""
    counts = training.objective.counts(batch.inputs)
    values = [counts[name] for name in training.objective.weights]
    entries = torch.stack([*values, values[0].new_tensor(float(batch.n_tokens))])
    return entries * 0 if batch.idle else entries


def _backward(training: Training, forward, share: list[PreparedBatch], draw: Draw, counts: Tensor) -> Tensor:
    """Add the gradients of this worker's share of the global loss.

    Args:
        counts: (terms,) entries of each term in the global batch.
    Returns:
        (terms,) totals of the share.
    """
    weights = counts.new_tensor(list(training.objective.weights.values()))
    # DDP averages gradients over the workers; multiplied by their number, they are those of the global loss.
    scales = training.world.size * weights / counts.clamp(min=1)  # a batch without behavior has the count 0
    summed = torch.zeros_like(counts)
    for batch in share:
        with _exchanging(forward, batch is share[-1]):
            with _autocast(training):
                totals = forward(batch.inputs, draw) * (0.0 if batch.idle else 1.0)
            (totals * scales).sum().backward()
        summed += totals.detach()
    return summed


def _exchanging(forward, last: bool):
    """The context of a backward pass: workers exchange gradients only in the last pass of a step."""
    return contextlib.nullcontext() if last or not hasattr(forward, "no_sync") else forward.no_sync()


def _autocast(training: Training):
    kind = training.device.partition(":")[0]
    return torch.autocast(kind, torch.bfloat16, enabled=training.recipe.precision == "bf16" and has_bf16(kind))


@torch.no_grad()
def validate(training: Training) -> dict[str, float]:
    """`loss` and its terms on the validation fold, with the same masks in every epoch."""
    training.model.eval()
    objective, draw = training.objective, Draw(training.seed, 0, "valid")
    summed = torch.zeros(2, len(objective.weights), dtype=torch.double, device=training.device)
    forward = Pass(training.model, objective)
    prepared = (prepare(objective, [batch], draw, training.device) for batch in training.feed.valid())
    with Prefetcher(prepared) as batches:
        for (batch,) in batches:
            with _autocast(training):
                totals = forward(batch.inputs, draw)
            summed += torch.stack([totals.double(), _counts(training, batch)[:-1]])
    pairs = training.world.total(summed).T.tolist()
    return means(dict(zip(objective.weights, pairs, strict=True)), objective.weights, "validation")


class Clock:
    """Measures the speed of one epoch."""

    def __init__(self, saver: Saver):
        self.saver = saver
        self.started, self.waited_s, self.steps_s = time.perf_counter(), 0.0, 0.0
        self.tokens: list[Tensor] = []

    def step(self, tokens: Tensor, waited_s: float) -> None:
        """Add a step. `tokens`: () number of tokens; `waited_s`: seconds waited for data since the epoch began."""
        self.tokens.append(tokens)
        self.waited_s = waited_s

    def trained(self) -> None:
        """Stop the time of the training steps, when all of them are done, also on the device."""
        self.steps_s = time.perf_counter() - self.started

    def line(self, epoch: int) -> dict:
        """The line of the epoch in timing.jsonl."""
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
