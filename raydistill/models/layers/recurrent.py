"""A recurrent network over the bins of packed segments (docs/methods.md, Model).

Axes: n segments of one length, L bins of a segment, D width.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from raydistill.models.layers.attention import Packing, by_length
from raydistill.models.layers.dropout import Dropout
from raydistill.models.layers.state import State
from raydistill.models.layers.transformer import RMSNorm

CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):
    """LSTM or GRU layers, in both directions of time unless `causal`; the state is zero at the start of each segment.

    Shape:
        x: (sum of L, D) packed bins; output: (sum of L, D).
    """

    def __init__(
        self,
        *,
        width: int,
        hidden: int,
        layers: int,
        dropout: float,
        causal: bool,
        cell: Literal["lstm", "gru"] = "lstm",
    ):
        super().__init__()
        self.causal, directions = causal, 1 if causal else 2
        inputs = [width] + [directions * hidden] * (layers - 1)
        self.remembered = ("hidden", "cell") if cell == "lstm" else ("hidden",)
        self.layers = nn.ModuleList(CELLS[cell](n, hidden, batch_first=True, bidirectional=not causal) for n in inputs)
        self.dropouts = nn.ModuleList(Dropout(dropout) for _ in inputs)
        self.out = nn.Linear(directions * hidden, width)
        self.norm = RMSNorm(width)

    def forward(self, x: Tensor, time: Tensor, packing: Packing) -> Tensor:
        """The output of every bin; `time` is not used."""
        return self.norm(self.residual(x, time, packing))

    def residual(self, x: Tensor, time: Tensor, packing: Packing) -> Tensor:
        """The output before the final norm."""
        return self.out(by_length(self._recur, packing, x, *packing.noise_if_any))

    def _recur(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        if x.device.type == "cpu":
            x = x.to(self.norm.weight.dtype)
        # CPUs compute the layers in float32, because torch has no bfloat16 LSTM for CPUs without AVX-512.
        with torch.autocast("cpu", enabled=False):
            for layer, dropout in zip(self.layers, self.dropouts, strict=True):
                x = dropout(layer(x)[0], noise)
        return x  # (n, L, directions * hidden)

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """The state before the first bin, which is zero. ValueError if the network is not causal."""
        if not self.causal:
            raise ValueError("only a causal network can run one bin at a time")
        zeros = self.norm.weight.new_zeros(streams, self.out.in_features)
        return {f"{i}.{name}": zeros for i in range(len(self.layers)) for name in self.remembered}

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """The new state and the output for the next bin of n streams. Shape: (n, 1, D) -> (n, 1, D)."""
        new: State = {}
        for i, layer in enumerate(self.layers):
            before = tuple(state[f"{i}.{name}"][None] for name in self.remembered)  # (n, hidden) -> (1, n, hidden)
            x, after = layer(x, before if len(before) > 1 else before[0])
            named = zip(self.remembered, after if len(before) > 1 else (after,), strict=True)
            new |= {f"{i}.{name}": values[0] for name, values in named}
        return new, self.norm(self.out(x))
