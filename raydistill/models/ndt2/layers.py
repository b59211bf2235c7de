"""Post-norm transformer layers in which a token reads its own and earlier bins, and context tokens.

Axes: n segments of one length, L tokens of a segment, D width, H heads, d = D / H.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.models.layers.attention import Packing, by_length
from raydistill.models.layers.dropout import Dropout
from raydistill.models.layers.state import State

CONTEXT = -1
"""In place of the bin of a token: it belongs to the context, before all bins."""


def readable(reader: Tensor, read: Tensor, causal: bool) -> Tensor:
    """Which tokens a token reads: context always, and, if it is not context itself, those of its own and earlier bins
    (of all bins, if not `causal`).

    Shape:
        reader: (n, L) bins; read: (n, M) bins; output: (n, 1, L, M) bool, the same for all heads.
    """
    reader, read = reader[:, None, :, None], read[:, None, None, :]
    return read <= reader if causal else (read == CONTEXT) | (reader != CONTEXT)


class PostNormLayer(nn.Module):
    """norm(x + attention(x)), then norm(x + mlp(x)), with a layer as wide as the model in the MLP."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, width), nn.Linear(width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed_dropout, self.hidden_dropout, self.dropout = Dropout(dropout), Dropout(dropout), Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, noise: Tensor | None) -> Tensor:
        """The output of every token. Shape: x (n, L, D), mask (n, 1, L, L), noise (n, L) -> (n, L, D)."""
        q, k, v = self.heads_of(x)
        return self.finished(x, F.scaled_dot_product_attention(q, k, v, attn_mask=mask), noise)

    def heads_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values. Shape: (n, L, D) -> 3 of (n, H, L, d)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (n, L, 3 * D) -> 3 of these
        return q, k, v

    def finished(self, x: Tensor, mixed: Tensor, noise: Tensor | None) -> Tensor:
        """The output from the input and what its attention mixed. Shape: (n, L, D), (n, H, L, d) -> (n, L, D)."""
        mixed = self.out(mixed.transpose(1, 2).flatten(2))  # (n, H, L, d) -> (n, L, H, d) -> (n, L, D)
        x = self.norm1(x + self.mixed_dropout(mixed, noise))
        hidden = self.hidden_dropout(F.gelu(self.up(x)), noise)
        return self.norm2(x + self.dropout(self.down(hidden), noise))


class PostNorm(nn.Module):
    """Layers one after another, without a norm at the end.

    Shape:
        x: (N, D) packed tokens, context included; time: (N,) their bins, CONTEXT for context; output: (N, D).
    """

    def __init__(self, *, width: int, layers: int, heads: int, dropout: float, causal: bool):
        super().__init__()
        self.causal = causal
        self.layers = nn.ModuleList(PostNormLayer(width, heads, dropout) for _ in range(layers))

    def forward(self, x: Tensor, time: Tensor, packing: Packing) -> Tensor:
        """The output of every token."""
        return by_length(self._segments, packing, x, time, *packing.noise_if_any)

    def _segments(self, x: Tensor, time: Tensor, noise: Tensor | None = None) -> Tensor:
        mask = readable(time, time, self.causal)
        for layer in self.layers:
            x = layer(x, mask, noise)
        return x  # (n, L, D)

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """The state before the first bin. ValueError if the layers are not causal."""
        if not self.causal:
            raise ValueError("only a causal transformer can run one bin at a time")
        state: State = {}
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, PostNormLayer)
            width, dtype = layer.out.in_features, layer.out.weight
            empty = dtype.new_zeros(streams, layer.heads, (window - 1) * patches, width // layer.heads)
            state |= {f"{number}.{name}": empty for name in ("keys", "values")}
        return state

    def step(self, state: State, bin_: Tensor, x: Tensor, context: Tensor) -> tuple[State, Tensor]:
        """The new state, and the outputs for the P tokens of the next bin of n streams.

        Args:
            bin_: (n,) number of the bin, from 0; all bins from 0 on are read.
        Shape:
            x: (n, P, D); context: (n, C, D) context tokens; output: (n, P, D).
        """
        patches, n_earlier = x.shape[1], state["0.keys"].shape[2]
        ages = torch.arange(n_earlier, 0, -1, device=x.device).add(patches - 1) // patches  # (L,) bins back, from 1
        is_read = (ages <= bin_[:, None])[:, None, None]  # (n, 1, 1, L)
        # The tokens of this bin read those bins, each other and the context, and the context reads itself.
        own = torch.cat([torch.zeros(patches), torch.full((context.shape[1],), float(CONTEXT))]).to(x.device)[None]
        new_mask = readable(own, own, causal=True).expand(len(x), -1, -1, -1)  # (n, 1, P + C, P + C)
        earlier_mask = is_read & (own != CONTEXT)[:, None, :, None]  # (n, 1, P + C, L)
        mask, new = torch.cat([earlier_mask, new_mask], dim=-1), State()
        x = torch.cat([x, context], dim=1)  # (n, P + C, D)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, PostNormLayer)
            q, k, v = layer.heads_of(x)
            for name, values in (("keys", k), ("values", v)):
                new[f"{number}.{name}"] = torch.cat([state[f"{number}.{name}"], values[:, :, :patches]], 2)[
                    :, :, patches:
                ]
            keys, values = (
                torch.cat([state[f"{number}.{name}"], y], 2) for name, y in (("keys", k), ("values", v))
            )  # (n, H, L + P + C, d)
            x = layer.finished(x, F.scaled_dot_product_attention(q, keys, values, attn_mask=mask), None)
        return new, x[:, :patches]
