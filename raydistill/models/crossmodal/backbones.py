"""The backbones that stand in the transformer's place to show what the gain owes to it (spec E6, Table 3).

Both read one vector a bin, the mean of its patches' tokens, and are of the same number of parameters as the
transformer encoder (config/parameters.py). Neither sees past the ends of its segment.

Axes: n segments of one length, L bins of a segment, D width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.models.crossmodal.config import ModelConfig
from raydistill.models.crossmodal.parameters import CONV_BLOCKS, CONV_KERNEL, LSTM_LAYERS, conv_hidden, lstm_hidden
from raydistill.models.layers.attention import Layout, by_length
from raydistill.models.layers.transformer import Dropout, RMSNorm


class Recurrent(nn.Module):
    """An LSTM, in both directions of time unless `causal`; its state is zero where a segment begins.

    Shape:
        x: (sum of T, D) packed bins of segments of `bins` bins; output: (sum of T, D).
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        hidden, directions = lstm_hidden(config), 1 if config.causal else 2
        inputs = [config.width] + [directions * hidden] * (LSTM_LAYERS - 1)
        self.layers = nn.ModuleList(
            nn.LSTM(n, hidden, batch_first=True, bidirectional=not config.causal) for n in inputs
        )
        self.dropout = Dropout(config.dropout)
        self.out = nn.Linear(directions * hidden, config.width)
        self.norm = RMSNorm(config.width)

    def forward(self, x: Tensor, bins: tuple[int, ...]) -> Tensor:
        return self.norm(self.out(by_length(self._recur, Layout(bins, x.device), x)))

    def _recur(self, x):
        if x.device.type == "cpu":
            x = x.float()
        # In float32 on CPUs: torch has no bfloat16 LSTM for those without AVX-512.
        with torch.autocast("cpu", enabled=False):
            for layer in self.layers:
                x = self.dropout(layer(x)[0])
        return x  # (n, L, directions * hidden)


class ConvBlock(nn.Module):
    """x + out(gelu(conv(norm(x)))), along time. Shape: (n, L, D) -> (n, L, D)."""

    def __init__(self, config: ModelConfig, dilation: int):
        super().__init__()
        hidden, reach = conv_hidden(config), (CONV_KERNEL - 1) * dilation
        self.padding = (reach, 0) if config.causal else (reach // 2, reach // 2)
        self.norm = RMSNorm(config.width)
        self.conv = nn.Conv1d(config.width, hidden, CONV_KERNEL, dilation=dilation)
        self.out = nn.Linear(hidden, config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(self.norm(x).transpose(1, 2), self.padding)  # (n, L, D) -> (n, D, L + reach)
        hidden = F.gelu(self.conv(padded)).transpose(1, 2)  # (n, hidden, L) -> (n, L, hidden)
        return x + self.dropout(self.out(self.dropout(hidden)))


class Convolutional(nn.Module):
    """Ten residual blocks of dilated convolutions, centred on the bin unless `causal`.

    Each bin sees 124 bins to either side, or 248 before it.

    Shape:
        x: (sum of T, D) packed bins of segments of `bins` bins; output: (sum of T, D).
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.blocks = nn.Sequential(*(ConvBlock(config, 2 ** (i % 5)) for i in range(CONV_BLOCKS)))
        self.norm = RMSNorm(config.width)

    def forward(self, x: Tensor, bins: tuple[int, ...]) -> Tensor:
        return self.norm(by_length(self.blocks, Layout(bins, x.device), x))
