"""Sums of the loss over the steps of an epoch, without waiting for the device at every step."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from raydistill.errors import TrainingError


class Totals:
    """Totals and counts of the terms of an epoch, over all workers.

    Values of steps stay on the device until the sums are read. They are then added in float64 in the order of the
    steps, so an epoch that continued from a checkpoint ends with the same bits as one that was never stopped.

    Args:
        weights: term -> its weight in the loss.
        epoch: for messages.
        sums: the result of `sums` for earlier steps of the epoch.
        step: number of these earlier steps.
        sessions: step -> the sessions of its global batch, for messages.
    """

    def __init__(
        self,
        weights: dict[str, float],
        epoch: int,
        sums: dict[str, list[float]],
        step: int,
        sessions: Callable[[int], list[str]],
    ):
        self.weights, self.epoch, self.sessions = weights, epoch, sessions
        self._sums = {name: list(sums.get(name, (0.0, 0.0))) for name in weights}
        self._first: int = step
        self._pending: list[Tensor] = []

    def add(self, totals: Tensor, counts: Tensor, norm: Tensor) -> None:
        """Add one step.

        Args:
            totals, counts: (terms,) over all workers.
            norm: () norm of the gradient.
        """
        self._pending.append(torch.cat([totals.double(), counts.double(), norm.double()[None]]))

    def sums(self) -> dict[str, list[float]]:
        """Term -> [total, count], over all steps so far.

        Raises:
            TrainingError: a loss or gradient is not finite; the message names the step and its sessions.
        """
        if not self._pending:
            return self._sums
        for step, values in enumerate(torch.stack(self._pending).tolist(), self._first):
            if not all(map(math.isfinite, values)):
                raise TrainingError(self._not_finite(step, values), everywhere=True)
            for i, name in enumerate(self.weights):
                self._sums[name][0] += values[i]
                self._sums[name][1] += values[i + len(self.weights)]
        self._first, self._pending = self._first + len(self._pending), []
        return self._sums

    def means(self) -> dict[str, float]:
        """`loss`, and its terms if there are several."""
        return means(self.sums(), self.weights, f"epoch {self.epoch}")

    def _not_finite(self, step, values):
        n = len(self.weights)
        values_by_term = ", ".join(f"{name} {value:g}" for name, value in zip(self.weights, values, strict=False))
        return (
            f"epoch {self.epoch}, step {step}: the loss or its gradient is not finite ({values_by_term}; gradient norm "
            f"{values[2 * n]:g}) over sessions {', '.join(self.sessions(step))}; check these recordings, lower "
            "`learning_rate`, or set `clip`; the last checkpoint is kept"
        )


def means(sums: dict[str, list[float]], weights: dict[str, float], when: str) -> dict[str, float]:
    """`loss`, and the mean of each term if there are several.

    Args:
        sums: term -> (total, count).
        when: the place in the training, for messages.
    Raises:
        TrainingError: all counts are 0, or the loss is not finite.
    """
    if not any(count for _, count in sums.values()):
        raise TrainingError(
            f"{when}: the fold has no data to train on; give longer recordings, other splits or, where segments have "
            "so few tokens that none is masked, a larger `mask_ratio`",
            everywhere=True,
        )
    term_means = {name: total / max(count, 1) for name, (total, count) in sums.items()}
    loss = sum(weights[name] * mean for name, mean in term_means.items())
    if not math.isfinite(loss):
        raise TrainingError(
            f"{when}: the loss is {loss} ({term_means}); lower `learning_rate`, set `clip`, or check the recordings",
            everywhere=True,
        )
    return {"loss": loss} | (term_means if len(term_means) > 1 else {})
