"""The pre-norm transformer with rotary position embeddings (docs/methods.md, Model).

Axes: N packed tokens, D width, H heads, d = D / H.
"""

from collections import deque

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.models.layers.attention import Packing, attend
from raydistill.models.layers.dropout import Dropout
from raydistill.models.layers.state import State

ROTARY_BASE = 10_000.0
NORM_EPS = 1e-6


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis, with rms(x) in float32."""

    def __init__(self, width: int, eps: float = NORM_EPS):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """`x`, normalised. Shape: (..., D) -> (..., D)."""
        # The weight is converted to the type of x, because torch's fused kernel needs equal types.
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.eps)


def rotary_angles(time: Tensor, head_width: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Cosine and signed sine of the rotation of each token by its bin.

    Angles are computed in float64, because in float32 those of a stream of an hour would be wrong by 0.01.

    Shape:
        time: (...) integer bins.
        output: two of (..., 1, head_width).
    """
    pair = torch.arange(0, head_width, 2, dtype=torch.float64, device=time.device)
    angle = time[..., None, None] * ROTARY_BASE ** (-pair / head_width)  # (..., 1, head_width / 2)
    cos, sin = angle.cos().to(dtype), angle.sin().to(dtype)
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (x_i, x_{i + d/2}) of each head. Shape: (..., H, d) -> (..., H, d)."""
    swapped = x.roll(x.shape[-1] // 2, dims=-1)  # (x_i, x_{i + d/2}) -> (x_{i + d/2}, x_i)
    return torch.addcmul(x * cos.to(x.dtype), swapped, sin.to(x.dtype))


class Attention(nn.Module):
    """Multi-head self-attention within each segment. Shape: (N, D) -> (N, D)."""

    def __init__(self, width: int, heads: int, dropout: float, causal: bool, before_projection: bool):
        super().__init__()
        if heads < 1 or width % (2 * heads):
            raise ValueError(f"width must be a multiple of twice its heads (rotary pairs), got ({width=}, {heads=})")
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mixed_dropout = Dropout(dropout) if before_projection else None
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], packing: Packing) -> Tensor:
        """The output of every token; `angles` are the `rotary_angles` of the tokens."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)  # (N, 3 * D) -> 3 of (N, H, d)
        mixed = attend(rotate(q, *angles), rotate(k, *angles), v, packing, self.causal)
        mixed = mixed.flatten(1)  # (N, H, d) -> (N, D)
        if self.mixed_dropout is not None:
            mixed = self.mixed_dropout(mixed, packing.noise)
        return self.dropout(self.out(mixed), packing.noise)

    def step(
        self, x: Tensor, angles: tuple[Tensor, Tensor], keys: Tensor, values: Tensor, places: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs for the P tokens of the next bin of n streams, and the keys and values of all L tokens.

        Args:
            keys, values: of the last L tokens, in any order; the keys are rotated.
            places: of the L tokens, those that the next bin replaces.
            bias: 0 where a token is read, and -inf elsewhere.
        Shape:
            x: (n, P, D); keys, values: (n, H, L, d); places: (n, H, P, d); bias: (n, 1, P, L); output: as x, keys and
            values.
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (n, P, 3 * D) -> (3, n, H, P, d)
        q, k = rotate(qkv[:2], *angles).unbind(0)
        # Of the state, only these few values change: copying all of it would take most of the time of a bin.
        keys, values = keys.scatter(2, places, k), values.scatter(2, places, qkv[2])
        scores = (q * q.shape[-1] ** -0.5) @ keys.transpose(-1, -2) + bias  # (n, H, P, L)
        mixed = scores.softmax(-1) @ values  # (n, H, P, d)
        return self.out(mixed.transpose(1, 2).flatten(2)), keys, values  # (n, P, H, d) -> (n, P, D)


class GatedMLP(nn.Module):
    """down(gelu(gate(x)) * up(x)), with dropout before and after the projection `down`."""

    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        self.gate = nn.Linear(width, hidden)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.gate_dropout, self.dropout = Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """The output of every token. Shape: x (N, D), noise (N,) -> (N, D)."""
        hidden = self.gate_dropout(F.gelu(self.gate(x)) * self.up(x), noise)
        return self.dropout(self.down(hidden), noise)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)). Shape: (N, D) -> (N, D)."""

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_ratio: int,
        dropout: float,
        causal: bool,
        before_projection: bool,
        mlp_dropout: float,
        eps: float,
    ):
        super().__init__()
        self.norm1 = RMSNorm(width, eps)
        self.attention = Attention(width, heads, dropout, causal, before_projection)
        self.norm2 = RMSNorm(width, eps)
        self.mlp = GatedMLP(width, mlp_ratio * width, mlp_dropout)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], packing: Packing) -> Tensor:
        """The output of every token; `angles` are the `rotary_angles` of the tokens."""
        x = x + self.attention(self.norm1(x), angles, packing)
        return x + self.mlp(self.norm2(x), packing.noise)

    def step(
        self, x: Tensor, angles: tuple[Tensor, Tensor], keys: Tensor, values: Tensor, places: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `Attention.step`."""
        mixed, keys, values = self.attention.step(self.norm1(x), angles, keys, values, places, bias)
        x = x + mixed
        return x + self.mlp(self.norm2(x), None), keys, values


class Transformer(nn.Module):
    """`layers` blocks and a final norm. Tokens attend to all tokens of their segment, or if `causal` to earlier ones.

    Args:
        before_projection: whether the output of the heads has dropout before it is projected, too.
        mlp_dropout: of the MLPs; None: as elsewhere.
        eps: of the norms.
    Shape:
        x: (N, D) packed tokens; time: (N,) their bins; output: (N, D).
    """

    def __init__(
        self,
        *,
        width: int,
        layers: int,
        heads: int,
        mlp_ratio: int,
        dropout: float,
        causal: bool = False,
        before_projection: bool = False,
        mlp_dropout: float | None = None,
        eps: float = NORM_EPS,
    ):
        super().__init__()
        of_mlp = dropout if mlp_dropout is None else mlp_dropout
        sizes = (width, heads, mlp_ratio, dropout, causal, before_projection, of_mlp, eps)
        self.blocks = nn.ModuleList(Block(*sizes) for _ in range(layers))
        self.head_width, self.causal = width // heads, causal
        self.norm = RMSNorm(width, eps)

    def forward(self, x: Tensor, time: Tensor, packing: Packing) -> Tensor:
        """The output of every token."""
        return self.norm(self.residual(x, time, packing))

    def residual(self, x: Tensor, time: Tensor, packing: Packing, layers: int = 1) -> Tensor:
        """The output before the final norm; with `layers`, those of so many last blocks. Shape: (N, D * layers)."""
        angles = rotary_angles(time, self.head_width, self.norm.weight.dtype)
        outputs = deque[Tensor](maxlen=layers)
        for block in self.blocks:
            x = block(x, angles, packing)
            outputs.append(x)
        return torch.cat(tuple(outputs), dim=-1)

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """The state before the first bin: no earlier token. ValueError if the transformer is not causal.

        Keys and values of `window` bins are a ring: bin t replaces bin t - window.
        """
        if not self.causal:
            raise ValueError("only a causal transformer can run one bin at a time")
        width = len(self.norm.weight)
        empty = self.norm.weight.new_zeros(streams, width // self.head_width, window * patches, self.head_width)
        return {f"{i}.{name}": empty for i in range(len(self.blocks)) for name in ("keys", "values")}

    def step(self, state: State, x: Tensor) -> tuple[State, Tensor]:
        """The new state, and the outputs of the next bin of n streams. Shape: (n, P, D) -> (n, P, D)."""
        patches, (_, heads, length, _) = x.shape[1], state["0.keys"].shape
        angles = rotary_angles(state["time"], self.head_width, x.dtype)  # two of (n, 1, d)
        angles = (angles[0][:, None], angles[1][:, None])  # (n, 1, 1, d)
        own = state["time"][:, None] * patches % length + torch.arange(patches, device=x.device)  # (n, P)
        token = torch.arange(length, device=x.device)
        is_filled = token < (state["time"][:, None] + 1) * patches  # (n, L): all, once the ring has been filled
        is_later = (token > own[..., None]) & (token <= own[:, -1:, None])  # (n, P, L), in the same bin
        bias = torch.zeros((), dtype=x.dtype, device=x.device).masked_fill(is_later | ~is_filled[:, None], -torch.inf)
        places = own[:, None, :, None].expand(-1, heads, -1, self.head_width)  # (n, H, P, d)
        new: State = {}
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            x, keys, values = block.step(x, angles, state[f"{i}.keys"], state[f"{i}.values"], places, bias[:, None])
            new |= {f"{i}.keys": keys, f"{i}.values": values}
        return new, self.norm(x)
