"""Prediction of masked tokens: the moving average of the tokenizer that gives the target, and the predictor.

Axes: n tokens, M masked tokens, D width.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.errors import TrainingError
from raydistill.feed.tokens import Batch
from raydistill.models.barista.layout import layout_of
from raydistill.models.barista.model import BaristaModel, noise_of
from raydistill.models.layers.dropout import Dropout, number_dropout_layers
from raydistill.models.model import Model

LEAST_SD = 1e-3
"""Standard deviation of a dimension of the target below which the tokens no longer tell segments apart."""
HIDDEN, DROPOUT = 3, 0.1


def momentum_at(epoch: int, momentum: float, epochs: int) -> float:
    """Weight of the old average in an epoch: it rises linearly from 0 to `momentum` over `epochs`."""
    return momentum * min(1.0, epoch / epochs)


class TokenPredictor(nn.Module):
    """Three hidden layers with GELU and dropout, and a last one with GELU. Shape: (M, D) -> (M, D)."""

    def __init__(self, width: int):
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(HIDDEN))
        self.dropout = nn.ModuleList(Dropout(DROPOUT) for _ in range(HIDDEN))
        self.last = nn.Linear(width, width)

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """The predicted tokens. Shape: x (M, D), noise (M,) -> (M, D)."""
        for linear, dropout in zip(self.hidden, self.dropout, strict=True):
            x = dropout(F.gelu(linear(x)), noise)
        return F.gelu(self.last(x))


class WithTarget(nn.Module):
    """A model, the moving average of its value embedding, what takes the place of a masked token, and the predictor."""

    def __init__(self, model: Model):
        super().__init__()
        assert isinstance(model, BaristaModel), "only models of this family have such tokens"
        width = model.config.width
        self.model = model
        self.average = copy.deepcopy(model.tokenizer.value).requires_grad_(False)
        self.mask = nn.Parameter(torch.randn(width))
        self.predictor = TokenPredictor(width)
        number_dropout_layers(self)  # those of the model come first, and keep their numbers
        self._sums: Tensor | None = None
        """(3, D) number of targets, their sum and that of their squares, since `spread_of_target` was last called."""

    def error(self, batch: Batch, is_masked: Tensor) -> Tensor:
        """Squared errors of the masked tokens. Shape: is_masked (n,) bool -> (M, D)."""
        layout = layout_of(batch, self.model.config.token_bins)
        visible, masked = (~is_masked).nonzero().squeeze(1), is_masked.nonzero().squeeze(1)
        seen = self.model.tokenizer.value(batch.values[layout.rows[visible]])
        tokens = self.mask.to(seen.dtype).expand(len(is_masked), -1).index_copy(0, visible, seen)
        outputs = self.model.encode(self.model.tokenizer.located(tokens, batch, layout), batch, layout)
        noise = noise_of(batch, layout)
        predicted = self.predictor(outputs[masked], None if noise is None else noise[masked])
        return (predicted.float() - self._target(batch.values[layout.rows[masked]])).square()

    @torch.no_grad()
    def _target(self, values: Tensor) -> Tensor:
        """The tokens of the average. Shape: (M, w, S) -> (M, D)."""
        target = self.average(values).float()
        if not self.training:
            x = target.double()
            sums = torch.stack([torch.full_like(x[0], len(x)), x.sum(0), x.square().sum(0)])
            self._sums = sums if self._sums is None else self._sums + sums
        return target

    @torch.no_grad()
    def move_average(self, momentum: float) -> None:
        """Take the weights of the tokenizer into the average, `momentum` times the old ones."""
        new = self.model.tokenizer.value.parameters()
        for average, weight in zip(self.average.parameters(), new, strict=True):
            average.lerp_(weight, 1 - momentum)

    def spread_of_target(self, total: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """The standard deviation of the target over all masked tokens that were validated: of the dimension with the
        least, and the mean over dimensions.

        Args:
            total: sums a tensor over all workers.
        Raises:
            TrainingError: a dimension no longer varies.
        """
        sums = torch.zeros_like(self.mask, dtype=torch.double).expand(3, -1) if self._sums is None else self._sums
        self._sums = None
        count, first, second = total(sums.clone())
        mean = first / count
        sd = (second / count - mean.square()).clamp(min=0).sqrt()  # (D,)
        constant = int((sd < LEAST_SD).sum())
        if constant:
            raise TrainingError(
                f"the target has collapsed: {constant} of its {len(sd)} dimensions have a standard deviation below "
                f"{LEAST_SD:g} over the masked tokens, so that predicting them teaches nothing; lower `learning_rate`, "
                "or raise `momentum`",
                everywhere=True,
            )
        return {"target_sd_least": float(sd.min()), "target_sd_mean": float(sd.mean())}

    def keep_average(self) -> None:
        """Give the model the average as its tokenizer, which it has from now on."""
        self.model.tokenizer.value.load_state_dict(self.average.state_dict())
