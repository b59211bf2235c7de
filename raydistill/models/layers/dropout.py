"""Dropout whose masks follow from (seed, epoch, segment), whichever batch, worker or device a segment is in."""

from torch import Tensor, nn

from raydistill.feed.noise import fork, random_int16


class Dropout(nn.Module):
    """Zero each entry with probability `p` and scale the others by 1 / (1 - p); in evaluation, do nothing.

    `p` is met to 2^-16. The masks come from the noise of each token (feed/noise.py), so that neither micro-batches nor
    the number of workers change them.

    Shape:
        x: (..., D); noise: (...), int32; output: (..., D).
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p
        self.layer = 0
        """Number of this layer in its model (`number_dropout_layers`): each draws masks of its own."""

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        if not self.training or not self.p:
            return x
        if noise is None:
            raise ValueError("training with dropout needs the noise of each token: set `Batch.noise` to `token_noise`")
        n_dropped = round(self.p * 2**16)  # of the 2^16 values of 16 bits
        kept = random_int16(fork(noise, self.layer), x.shape[-1]) >= n_dropped - 2**15
        return x * kept.to(x.dtype).mul_(2**16 / (2**16 - n_dropped))


def number_dropout_layers(model: nn.Module) -> None:
    """Give each dropout layer of a model its number."""
    layers = (module for module in model.modules() if isinstance(module, Dropout))
    for number, layer in enumerate(layers, 1):
        layer.layer = number
