"""A recurrent network over the bins of packed segments (docs/methods.md, Model).

Axes: n segments of one length, L bins of a segment, D width.
"""

import torch
from torch import Tensor, nn

from raydistill.models.layers.attention import Packing, by_length
from raydistill.models.layers.dropout import Dropout
from raydistill.models.layers.state import State
from raydistill.models.layers.transformer import RMSNorm


class Recurrent(nn.Module):
    """LSTM layers, in both directions of time unless `causal`; the state is zero at the start of each segment.

    Shape:
        x: (sum of L, D) packed bins; output: (sum of L, D).
    """

    def __init__(self, *, width: int, hidden: int, layers: int, dropout: float, causal: bool):
        super().__init__()
        self.causal, directions = causal, 1 if causal else 2
        inputs = [width] + [directions * hidden] * (layers - 1)
        self.layers = nn.ModuleList(nn.LSTM(n, hidden, batch_first=True, bidirectional=not causal) for n in inputs)
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
        # CPUs compute the LSTM in float32, because torch has no bfloat16 LSTM for CPUs without AVX-512.
        with torch.autocast("cpu", enabled=False):
            for layer, dropout in zip(self.layers, self.dropouts, strict=True):
                x = dropout(layer(x)[0], noise)
        return x  # (n, L, directions * hidden)

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """The state before the first bin, which is zero. ValueError if the LSTM is not causal."""
        if not self.causal:
            raise ValueError("only a causal LSTM can run one bin at a time")
        zeros = self.norm.weight.new_zeros(streams, self.out.in_features)
        return {f"{i}.{name}": zeros for i in range(len(self.layers)) for name in ("hidden", "cell")}

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """The new state and the output for the next bin of n streams. Shape: (n, 1, D) -> (n, 1, D)."""
        new: State = {}
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, nn.LSTM)
            before = state[f"{i}.hidden"][None], state[f"{i}.cell"][None]  # (n, hidden) -> (1, n, hidden)
            x, (hidden, cell) = layer(x, before)
            new |= {f"{i}.hidden": hidden[0], f"{i}.cell": cell[0]}
        return new, self.norm(self.out(x))
