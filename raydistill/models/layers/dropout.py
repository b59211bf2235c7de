"""Dropout with masks that are a function of (seed, epoch, segment), for any batch, worker or device."""

from torch import Tensor, nn

from raydistill.feed.noise import fork, random_int16


class Dropout(nn.Module):
    """Zero each entry with probability `p` and scale the others by 1 / (1 - p); in evaluation, do nothing.

    `p` is rounded to a multiple of 2^-16. Masks are drawn from the noise of each token (feed/noise.py), so they depend
    neither on micro-batches nor on the number of workers (docs/methods.md, Training).

    Shape:
        x: (..., D); noise: (...), int32; output: (..., D).
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.layer = 0
        """Number of this layer in its model, set by `number_dropout_layers`; each layer draws different masks."""

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """`x` after dropout. Raises ValueError in training if there is no noise."""
        if not self.training or not self.p:
            return x
        if noise is None:
            raise ValueError("training with dropout needs the noise of each token: set `Batch.noise` to `token_noise`")
        n_dropped = round(self.p * 2**16)  # of the 2^16 values of 16 bits
        mask = random_int16(fork(noise, self.layer), x.shape[-1]) >= n_dropped - 2**15
        return x * mask.to(x.dtype).mul_(2**16 / (2**16 - n_dropped))


class DropPath(Dropout):
    """Zero all entries of a segment with probability `p` and scale the others, as `Dropout`: a layer is left out.

    Shape:
        x: (n, L, D), segments of one length; noise: (n, L), int32; output: (n, L, D).
    """

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """`x` after dropping. Raises ValueError in training if there is no noise."""
        kept = super().forward(x.new_ones(len(x), 1, 1), None if noise is None else noise[:, :1])
        return x * kept


def number_dropout_layers(model: nn.Module) -> None:
    """Number the dropout layers of a model from 1, in the order of its modules."""
    layers = (module for module in model.modules() if isinstance(module, Dropout))
    for number, layer in enumerate(layers, 1):
        layer.layer = number
