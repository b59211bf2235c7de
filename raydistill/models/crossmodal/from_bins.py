"""Reconstruction from the latents of bins: of masked bins, and by read-outs that all sessions share.

Axes: n segments of one length, T bins, N tokens of a packed batch, D width, S slots of a patch.
"""

import torch
from torch import Tensor, nn

from raydistill.feed.tokens import Batch
from raydistill.models.crossmodal.config import CrossModalConfig
from raydistill.models.crossmodal.readout import PooledReadout
from raydistill.models.layers.attention import Packing, by_length
from raydistill.models.layers.mamba import BidirectionalBlock

MASK_STD = 0.02
"""Standard deviation of the normal distribution from which the vector of masked bins is drawn."""


class BinsPredictor(nn.Module):
    """From latents of every bin, masked ones included, to the LFP or the counts of every token (REALM, stage 1).

    Args:
        patch: S.
        sessions: name -> patches per bin.
    Shape:
        latents (sum of T, D) -> (N, S).
    """

    def __init__(self, config: CrossModalConfig, patch: int, sessions: dict[str, int]):
        super().__init__()
        assert config.bins_predictor is not None
        sizes, width = config.bins_predictor, config.width
        self.mask = nn.Parameter(MASK_STD * torch.randn(width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.block = BidirectionalBlock(width, 1, sizes.states, sizes.head)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.LayerNorm(2 * width), nn.Linear(2 * width, width)
        )
        self.session = SessionEmbedding(width, sessions) if sizes.session else None
        self.readout: nn.Module
        if config.space == "none":
            self.readout = SharedReadout(width, patch)
        else:
            self.readout = PooledReadout(config, patch, sessions)

    def masked(self, bins: Tensor, batch: Batch, is_masked: Tensor) -> Tensor:
        """What is encoded: the vectors of all bins with the learned one for masked bins, and that of the session.

        Shape: (sum of T, D), (sum of T,) bool -> (sum of T, D).
        """
        bins = torch.where(is_masked[:, None], self.mask.to(bins.dtype), bins)
        return bins if self.session is None else bins + self.session(batch)

    def forward(self, latents: Tensor, batch: Batch) -> Tensor:
        """The reconstruction of every token."""
        hidden = by_length(self._segments, Packing(batch.bins, latents.device), latents)
        return self.readout(hidden, batch)

    def _segments(self, x: Tensor) -> Tensor:
        """Shape: (n, T, D) -> (n, T, D)."""
        x = self.norm2(x + self.block(self.norm1(x)))
        return x + self.mlp(x)


class SessionEmbedding(nn.Module):
    """A learned vector per session, the same for all of its bins. Shape: batch -> (sum of T, D)."""

    def __init__(self, width: int, sessions: dict[str, int]):
        super().__init__()
        self.rows = {name: row for row, name in enumerate(sorted(sessions))}
        self.table = nn.Embedding(len(self.rows), width)
        nn.init.normal_(self.table.weight, std=MASK_STD)

    def forward(self, batch: Batch) -> Tensor:
        """The vector of each bin's session."""
        device = self.table.weight.device
        rows = torch.tensor([self.rows[session] for session in batch.sessions], device=device)
        return self.table(rows).repeat_interleave(torch.tensor(batch.bins, device=device), dim=0)

    def transplanted(self, sessions: dict[str, int]) -> "SessionEmbedding":
        """Vectors for `sessions`: those of sessions in this one are copied, others are drawn."""
        new = SessionEmbedding(self.table.embedding_dim, sessions)
        with torch.no_grad():
            for name, row in new.rows.items():
                if name in self.rows:
                    new.table.weight[row] = self.table.weight[self.rows[name]]
        return new


class SharedReadout(nn.Module):
    """One map for every session, and for every patch of a bin. Shape: (sum of T, D) -> (N, S).

    Args:
        hidden: whether there is a hidden layer, as wide as the latents.
    """

    def __init__(self, width: int, patch: int, hidden: bool = False):
        super().__init__()
        self.hidden = nn.Linear(width, width) if hidden else None
        self.linear = nn.Linear(width, patch)

    def forward(self, latents: Tensor, batch: Batch) -> Tensor:
        """The values of every token from the latents of its bin."""
        x = latents if self.hidden is None else nn.functional.gelu(self.hidden(latents))
        x = self.linear(x)
        return x if batch.lengths == batch.bins else x.repeat_interleave(batch.patches[batch.patch == 0], dim=0)
