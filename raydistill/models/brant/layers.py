"""Post-norm transformer layers with the equations and the names of weights of `torch.nn.TransformerEncoderLayer`.

Their dropout draws from the noise of each token (feed/noise.py), so that it depends on no batch.

Axes: n sequences of one length, L tokens of a sequence, D width, H heads, d = D / H.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.models.layers.dropout import Dropout


class SelfAttention(nn.Module):
    """Attention of all tokens of a sequence to each other, with dropout of its probabilities."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.in_proj_weight, self.in_proj_bias = (
            nn.Parameter(torch.empty(3 * width, width)),
            nn.Parameter(torch.zeros(3 * width)),
        )
        self.out_proj = nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """What each token reads. Shape: x (n, L, D), noise (n, L) -> (n, L, D)."""
        mapped = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = mapped.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # 3 of (n, H, L, d)
        shares = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1).transpose(1, 2)  # (n, L, H, L)
        shares = self.dropout(shares.flatten(2), noise).unflatten(2, (self.heads, -1)).transpose(1, 2)
        return self.out_proj((shares.to(v.dtype) @ v).transpose(1, 2).flatten(2))  # (n, H, L, d) -> (n, L, D)


class EncoderLayer(nn.Module):
    """norm(x + attention(x)), then norm(x + mlp(x)) with ReLU. Shape: x (n, L, D), noise (n, L) -> (n, L, D)."""

    def __init__(self, width: int, hidden: int, heads: int, dropout: float):
        super().__init__()
        self.self_attn = SelfAttention(width, heads, dropout)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout, self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """The output of every token."""
        x = self.norm1(x + self.dropout1(self.self_attn(x, noise), noise))
        hidden = self.dropout(F.relu(self.linear1(x)), noise)
        return self.norm2(x + self.dropout2(self.linear2(hidden), noise))


class Encoder(nn.Module):
    """Layers one after another, without a norm at the end. Shape: x (n, L, D), noise (n, L) -> (n, L, D)."""

    def __init__(self, *, width: int, hidden: int, heads: int, layers: int, dropout: float):
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, hidden, heads, dropout) for _ in range(layers))

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        """The output of every token."""
        for layer in self.layers:
            x = layer(x, noise)
        return x
