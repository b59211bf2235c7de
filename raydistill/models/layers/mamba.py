"""REALM's state-space network over the bins of packed segments (arXiv 2605.14867; docs/methods.md, Model).

Axes: n segments of one length, L bins of a segment, D width, E = expand * D, H heads of P = E / H, S state dimensions.
"""

from collections import deque
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.models.layers.attention import Packing, by_length
from raydistill.models.layers.dropout import Dropout, DropPath
from raydistill.models.layers.state import State
from raydistill.models.layers.state_space import scan, step

KERNEL = 4
CHUNK = 64
"""Bins that are computed at once: more need more memory, fewer more steps."""


class MambaBlock(nn.Module):
    """A gated state-space block, which reads earlier bins and no later ones.

    Shape:
        x: (n, L, D); output: (n, L, D).
    """

    def __init__(self, width: int, expand: int, states: int, head: int):
        super().__init__()
        inner = expand * width
        self.n_heads, self.n_states = inner // head, states
        self.enter = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, KERNEL, groups=inner)
        self.write_read = nn.Linear(inner, 2 * states, bias=False)
        self.rate = nn.Linear(inner, self.n_heads)
        self.log_decay = nn.Parameter(torch.arange(1, self.n_heads + 1).float().log())
        self.skip = nn.Parameter(torch.ones(self.n_heads))
        self.leave = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, chunk: int = CHUNK) -> Tensor:
        """The block on segments of one length."""
        x, gate = self.enter(x).chunk(2, dim=-1)  # (n, L, E) each
        padded = F.pad(x.transpose(1, 2), (KERNEL - 1, 0))  # (n, L, E) -> (n, E, L + KERNEL - 1)
        x = F.silu(self.conv(padded)).transpose(1, 2)  # (n, E, L) -> (n, L, E)
        heads, write, read, log_a = self._parts(x)
        y = scan(heads, write, read, log_a, chunk) + self.skip[:, None] * heads
        return self.leave(y.flatten(-2) * F.silu(gate))  # (n, L, H, P) -> (n, L, E)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Values, write and read directions, and log decays. Sums of decays lose too much in half precision.

        Shape: x (..., E) -> (..., H, P), (..., S), (..., S), (..., H).
        """
        write, read = self.write_read(x).chunk(2, dim=-1)
        log_a = -self.log_decay.exp() * F.softplus(self.rate(x).to(self.log_decay.dtype))
        kind = log_a.dtype
        return x.unflatten(-1, (self.n_heads, -1)).to(kind), write.to(kind), read.to(kind), log_a

    def initial_state(self, streams: int) -> tuple[Tensor, Tensor]:
        """Last inputs of the convolution, (n, KERNEL - 1, E), and memory, (n, H, P, S), before the first bin."""
        inner, zeros = self.leave.in_features, self.leave.weight.new_zeros
        inputs = zeros(streams, KERNEL - 1, inner)
        return inputs, zeros(streams, self.n_heads, inner // self.n_heads, self.n_states)

    def step(self, x: Tensor, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The output for one bin of n streams, and the state as in `initial_state`. Shape: (n, D) -> (n, D)."""
        x, gate = self.enter(x).chunk(2, dim=-1)  # (n, E) each
        window = torch.cat([inputs, x[:, None]], dim=1)  # (n, KERNEL, E)
        bias = self.conv.bias
        assert bias is not None
        x = F.silu((window * self.conv.weight[:, 0].T).sum(1) + bias)  # weight: (E, 1, KERNEL)
        heads, write, read, log_a = self._parts(x)
        memory, y = step(memory, heads, write, read, log_a)
        y = y + self.skip[:, None] * heads
        return self.leave(y.flatten(-2) * F.silu(gate)), window[:, 1:], memory


class BidirectionalBlock(nn.Module):
    """A block forward and another backward in time, and a linear map of both. Shape: (n, L, D) -> (n, L, D)."""

    def __init__(self, width: int, expand: int, states: int, head: int):
        super().__init__()
        self.forwards = MambaBlock(width, expand, states, head)
        self.backwards = MambaBlock(width, expand, states, head)
        self.merge = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """The block on segments of one length; positions of the backward direction count from their end."""
        both = torch.cat([self.forwards(x), self.backwards(x.flip(1)).flip(1)], dim=-1)
        return self.norm(self.merge(both))


class MambaLayer(nn.Module):
    """x + drop_path(dropout(block(norm(x)))). Shape: x (n, L, D), noise (n, L) -> (n, L, D)."""

    def __init__(self, block: MambaBlock | BidirectionalBlock, width: int, dropout: float, drop_path: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.block = block
        self.dropout, self.drop_path = Dropout(dropout), DropPath(drop_path)

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """The layer on segments of one length."""
        return x + self.drop_path(self.dropout(self.block(self.norm(x)), noise), noise)

    def step(self, x: Tensor, inputs: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `MambaBlock.step`."""
        assert isinstance(self.block, MambaBlock)
        y, inputs, memory = self.block.step(self.norm(x), inputs, memory)
        return x + y, inputs, memory


class Mamba(nn.Module):
    """Dropout, pre-norm layers and a final norm; in both directions of time unless `causal`.

    `drop_path` leaves whole layers out while training, per segment, with a probability that rises linearly over layers
    from 0 to this value.

    Shape:
        x: (sum of L, D) packed bins; output: (sum of L, D).
    """

    def __init__(
        self,
        *,
        width: int,
        layers: int,
        expand: int,
        states: int,
        head: int,
        dropout: float,
        causal: bool,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.causal = causal
        self.dropout = Dropout(dropout)
        block = MambaBlock if causal else BidirectionalBlock
        self.layers = nn.ModuleList(
            MambaLayer(block(width, expand, states, head), width, dropout, drop_path * i / max(layers - 1, 1))
            for i in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, time: Tensor, packing: Packing) -> Tensor:
        """The output of every bin; `time` is not used, because a segment begins at bin 0."""
        return self.norm(self.residual(x, time, packing))

    def residual(self, x: Tensor, time: Tensor, packing: Packing, layers: int = 1) -> Tensor:
        """The sum of all layers, before the final norm; with `layers`, the sums after each of so many last ones.

        Shape: (sum of L, D) -> (sum of L, layers * D).
        """
        return by_length(partial(self._layers, last=layers), packing, x, *packing.noise_if_any)

    def _layers(self, x: Tensor, noise: Tensor | None = None, *, last: int) -> Tensor:
        x, sums = self.dropout(x, noise), deque[Tensor](maxlen=last)
        for layer in self.layers:
            x = layer(x, noise)
            sums.append(x)
        return torch.cat(tuple(sums), dim=-1)  # (n, L, D * last)

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """The state before the first bin, which is zero. ValueError if the network is not causal."""
        if not self.causal:
            raise ValueError("only a causal Mamba can run one bin at a time")
        state = State()
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, MambaLayer) and isinstance(layer.block, MambaBlock)
            state[f"{i}.inputs"], state[f"{i}.memory"] = layer.block.initial_state(streams)
        return state

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """The new state and the output for the next bin of n streams. Shape: (n, 1, D) -> (n, 1, D)."""
        new, y = State(), x[:, 0]
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, MambaLayer)
            y, new[f"{i}.inputs"], new[f"{i}.memory"] = layer.step(y, state[f"{i}.inputs"], state[f"{i}.memory"])
        return new, self.norm(y)[:, None]
