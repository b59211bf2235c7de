"""What an objective is: a loss, in the pieces that a training loop needs (docs/methods.md, Objectives).

Sums and counts are separate so that a loss can be normalised by the valid entries of a global batch, however it was
divided among workers and passes: the counts follow from the batch alone, before any model has seen it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from raydistill.feed.feed import FeedBatch
from raydistill.feed.masking import Draw
from raydistill.models.model import Model

P = TypeVar("P")
"""What an objective prepares from a batch: a dataclass or tuple of its own, with its masks, targets and inputs."""


@dataclass(frozen=True)
class Term:
    """A part of the loss: `weight * total / count`, with total and count summed over the global batch."""

    total: Tensor
    count: Tensor
    weight: float


@dataclass(frozen=True)
class Objective(Generic[P]):
    """A loss, in the pieces that a training loop needs one at a time."""

    weights: dict[str, float]
    """Weight of each term."""
    prepare: Callable[[FeedBatch, Draw], P]
    """Draws what is random, in numpy and on the host, before the batch goes to the device."""
    totals: Callable[[Any, P, Draw], dict[str, Tensor]]
    """The sum of each term over a prepared batch: (model, prepared, draw) -> term -> ()."""
    counts: Callable[[P], dict[str, Tensor]]
    """The entries of each term in a prepared batch."""
    extend: Callable[[Model], nn.Module] = lambda model: model
    """The module that is trained and checkpointed: the model, or the model with further weights of the objective."""
    after_step: Callable[[Any, int], None] | None = None
    """Called with that module and the epoch after each step of the optimizer, for example to update a moving average of
    weights."""
    watch: Callable[[Any, Callable[[Tensor], Tensor]], dict[str, float]] | None = None
    """Called after each validation with that module and a function that sums a tensor over the workers: gives further
    values for the history, or raises TrainingError."""
    finish: Callable[[Any], None] | None = None
    """Called with that module after the training, before the model is saved."""
    keeps_last: bool = False
    """Losses of different epochs cannot be compared: the weights of the last epoch are kept, whatever its loss is."""

    def __call__(self, model: nn.Module, batch: FeedBatch, draw: Draw) -> dict[str, Term]:
        """All terms of a batch as the feed gives it."""
        prepared = self.prepare(batch, draw)
        totals, counts = self.totals(model, prepared, draw), self.counts(prepared)
        return {name: Term(totals[name], counts[name], weight) for name, weight in self.weights.items()}
