"""A convolutional network over the bins of packed segments (docs/methods.md, Model).

Axes: n segments of one length, L bins of a segment, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.models.layers.attention import Packing, by_length
from raydistill.models.layers.dropout import Dropout
from raydistill.models.layers.state import State
from raydistill.models.layers.transformer import RMSNorm


class ConvBlock(nn.Module):
    """x + out(gelu(conv(norm(x)))) along time. Shape: x (n, L, D), noise (n, L) -> (n, L, D)."""

    def __init__(self, width: int, hidden: int, kernel: int, dilation: int, dropout: float, causal: bool):
        super().__init__()
        reach = (kernel - 1) * dilation
        self.padding = (reach, 0) if causal else (reach // 2, reach // 2)
        self.norm = RMSNorm(width)
        self.conv = nn.Conv1d(width, hidden, kernel, dilation=dilation)
        self.out = nn.Linear(hidden, width)
        self.hidden_dropout, self.dropout = Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """The block on segments of one length."""
        padded = F.pad(self.norm(x).transpose(1, 2), self.padding)  # (n, L, D) -> (n, D, L + reach)
        hidden = F.gelu(self.conv(padded)).transpose(1, 2)  # (n, hidden, L) -> (n, L, hidden)
        return x + self.dropout(self.out(self.hidden_dropout(hidden, noise)), noise)

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """The output for one bin, and the past for the next. `past`: normalised inputs of the `reach` bins before it.

        Shape: x (n, 1, D), past (n, reach, D) -> (n, 1, D), (n, reach, D).
        """
        window = torch.cat([past, self.norm(x)], dim=1)  # (n, reach + 1, D)
        hidden = F.gelu(self.conv(window.transpose(1, 2))).transpose(1, 2)  # (n, hidden, 1) -> (n, 1, hidden)
        return x + self.out(hidden), window[:, 1:]


class Convolutional(nn.Module):
    """Residual blocks with dilations 1, 2, 4, 8, 16, 1, ..., centred on the bin unless `causal`.

    With ten blocks of kernel 5, the output of a bin depends on 124 bins on either side, or on 248 earlier bins.

    Shape:
        x: (sum of L, D) packed bins; output: (sum of L, D).
    """

    def __init__(self, *, width: int, hidden: int, blocks: int, kernel: int, dropout: float, causal: bool):
        super().__init__()
        self.causal = causal
        self.blocks = nn.ModuleList(
            ConvBlock(width, hidden, kernel, 2 ** (i % 5), dropout, causal) for i in range(blocks)
        )
        self.norm = RMSNorm(width)

    def forward(self, x: Tensor, time: Tensor, packing: Packing) -> Tensor:
        """The output of every bin; `time` is not used."""
        return self.norm(self.residual(x, time, packing))

    def residual(self, x: Tensor, time: Tensor, packing: Packing) -> Tensor:
        """The output before the final norm."""
        return by_length(self._convolve, packing, x, *packing.noise_if_any)

    def _convolve(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, noise)
        return x  # (n, L, D)

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """The state before the first bin: the zeros of the padding. ValueError if the network is not causal."""
        if not self.causal:
            raise ValueError("only a causal CNN can run one bin at a time")
        weight, state = self.norm.weight, State()
        for i, block in enumerate(self.blocks):
            assert isinstance(block, ConvBlock)
            state[f"{i}.past"] = weight.new_zeros(streams, block.padding[0], len(weight))
        return state

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """The new state and the output for the next bin of n streams. Shape: (n, 1, D) -> (n, 1, D)."""
        new = State()
        for i, block in enumerate(self.blocks):
            assert isinstance(block, ConvBlock)
            x, new[f"{i}.past"] = block.step(x, state[f"{i}.past"])
        return new, self.norm(x)
