"""The pre-norm transformer with rotary position embeddings (docs/methods.md, Model).

Axes: N packed tokens, D width, H heads, d = D / H.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.models.layers.attention import Packing, attend
from raydistill.models.layers.dropout import Dropout

ROTARY_BASE = 10_000.0
NORM_EPS = 1e-6


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis, with rms(x) in float32."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """`x`, normalised. Shape: (..., D) -> (..., D)."""
        # The weight is converted to the type of x, because torch's fused kernel needs equal types.
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), NORM_EPS)


def rotary_angles(time: Tensor, head_width: int) -> tuple[Tensor, Tensor]:
    """Cosine and signed sine of the rotation of each token by its bin.

    Shape:
        time: (N,) integer bins.
        output: two of (N, 1, head_width).
    """
    frequency = ROTARY_BASE ** (-torch.arange(0, head_width, 2, device=time.device) / head_width)
    angle = time[:, None, None] * frequency  # (N, 1, head_width / 2)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the pairs (x_i, x_{i + d/2}) of each head. Shape: (N, H, d) -> (N, H, d)."""
    swapped = x.roll(x.shape[-1] // 2, dims=-1)  # (x_i, x_{i + d/2}) -> (x_{i + d/2}, x_i)
    return torch.addcmul(x * cos.to(x.dtype), swapped, sin.to(x.dtype))


KeysAndValues = tuple[Tensor, Tensor]
"""Rotated keys and values of the L earlier tokens of a segment, each (L, H, d)."""


class Attention(nn.Module):
    """Multi-head self-attention within each segment. Shape: (N, D) -> (N, D)."""

    def __init__(self, width: int, heads: int, dropout: float, causal: bool):
        super().__init__()
        if heads < 1 or width % (2 * heads):
            raise ValueError(f"width must be a multiple of twice its heads (rotary pairs), got ({width=}, {heads=})")
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], packing: Packing) -> Tensor:
        """The output of every token; `angles` are the `rotary_angles` of the tokens."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)  # (N, 3 * D) -> 3 of (N, H, d)
        mixed = attend(rotate(q, *angles), rotate(k, *angles), v, packing, self.causal)
        return self.dropout(self.out(mixed.flatten(1)), packing.noise)  # (N, H, d) -> (N, D)

    def step(
        self, x: Tensor, angles: tuple[Tensor, Tensor], past: KeysAndValues | None
    ) -> tuple[Tensor, KeysAndValues]:
        """The outputs for the P tokens of the next bin, and the past for the bin after it. Shape: (P, D) -> (P, D)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(1)  # (P, 3 * D) -> 3 of (P, H, d)
        k = rotate(k, *angles)
        if past is not None:
            k, v = torch.cat([past[0], k]), torch.cat([past[1], v])  # (L, H, d)
        before = len(k) - len(x)
        mask = torch.ones(len(x), len(k), dtype=torch.bool, device=x.device).tril(before)  # (P, L)
        queries, keys, values = (y.transpose(0, 1) for y in (rotate(q, *angles), k, v))  # (., H, d) -> (H, ., d)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)  # (H, P, d)
        return self.out(mixed.transpose(0, 1).flatten(1)), (k, v)  # (H, P, d) -> (P, H, d) -> (P, D)


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

    def __init__(self, width: int, heads: int, mlp_ratio: int, dropout: float, causal: bool):
        super().__init__()
        self.norm1 = RMSNorm(width)
        self.attention = Attention(width, heads, dropout, causal)
        self.norm2 = RMSNorm(width)
        self.mlp = GatedMLP(width, mlp_ratio * width, dropout)

    def forward(self, x: Tensor, angles: tuple[Tensor, Tensor], packing: Packing) -> Tensor:
        """The output of every token; `angles` are the `rotary_angles` of the tokens."""
        x = x + self.attention(self.norm1(x), angles, packing)
        return x + self.mlp(self.norm2(x), packing.noise)

    def step(
        self, x: Tensor, angles: tuple[Tensor, Tensor], past: KeysAndValues | None
    ) -> tuple[Tensor, KeysAndValues]:
        """The outputs for the P tokens of the next bin, and the past for the bin after it. Shape: (P, D) -> (P, D)."""
        mixed, keys_and_values = self.attention.step(self.norm1(x), angles, past)
        x = x + mixed
        return x + self.mlp(self.norm2(x), None), keys_and_values


class Transformer(nn.Module):
    """`layers` blocks and a final norm. Tokens attend to all tokens of their segment, or if `causal` to earlier ones.

    Shape:
        x: (N, D) packed tokens; time: (N,) their bins; output: (N, D).
    """

    def __init__(self, *, width: int, layers: int, heads: int, mlp_ratio: int, dropout: float, causal: bool = False):
        super().__init__()
        self.blocks = nn.ModuleList([Block(width, heads, mlp_ratio, dropout, causal) for _ in range(layers)])
        self.head_width, self.causal = width // heads, causal
        self.norm = RMSNorm(width)

    def forward(self, x: Tensor, time: Tensor, packing: Packing) -> Tensor:
        """The output of every token."""
        angles = rotary_angles(time, self.head_width)
        for block in self.blocks:
            x = block(x, angles, packing)
        return self.norm(x)

    def initial_state(self) -> list[KeysAndValues | None]:
        """The state before the first bin of a segment. ValueError if the transformer is not causal."""
        if not self.causal:
            raise ValueError("only a causal transformer can run one bin at a time")
        return [None] * len(self.blocks)

    def step(
        self, state: list[KeysAndValues | None], x: Tensor, time: int
    ) -> tuple[list[KeysAndValues | None], Tensor]:
        """The new state, and the outputs for the P tokens of bin `time`, in evaluation. Shape: (P, D) -> (P, D)."""
        angles = rotary_angles(torch.full((len(x),), time, device=x.device), self.head_width)
        new: list[KeysAndValues | None] = []
        for block, past in zip(self.blocks, state, strict=True):
            assert isinstance(block, Block)
            x, keys_and_values = block.step(x, angles, past)
            new.append(keys_and_values)
        return new, self.norm(x)
