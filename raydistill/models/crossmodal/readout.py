"""The read-out of Eq. 1 as printed: all channels of a bin from the latents of this bin.

Axes: T bins, P patches per bin of a session, S slots of a patch, D width, N tokens of a packed batch.
"""

from itertools import accumulate, groupby

import torch
from torch import Tensor, nn

from raydistill.feed.tokens import Batch
from raydistill.models.crossmodal.config import CrossModalConfig


class PooledReadout(nn.Module):
    """A linear map per session, because channels of different sessions are different electrodes.

    Args:
        patch: S, slots of a patch.
        sessions: name -> patches per bin.
    Shape:
        latents of every bin (sum of T, D) -> (N, S), patch after patch of each bin, as the tokens of the batch.
    """

    def __init__(self, config: CrossModalConfig, patch: int, sessions: dict[str, int]):
        super().__init__()
        self.config, self.patch = config, patch
        self.sessions = dict(sorted(sessions.items()))  # rows must not depend on the order of `sessions`
        self.start = dict(zip(self.sessions, accumulate(self.sessions.values(), initial=0), strict=False))
        limit = config.width**-0.5  # as PyTorch draws a linear map
        rows = sum(sessions.values())
        self.weight = nn.Parameter(torch.empty(rows, patch, config.width).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.empty(rows * patch).uniform_(-limit, limit))  # one axis: weight decay spares it

    def forward(self, latents: Tensor, batch: Batch) -> Tensor:
        """The LFP of every patch."""
        outputs, rest = [], latents
        for session, segments in groupby(zip(batch.sessions, batch.bins, strict=True), key=lambda pair: pair[0]):
            count = sum(bins for _, bins in segments)
            own, rest = rest[:count], rest[count:]
            weight, bias = self._map(session)
            outputs.append(nn.functional.linear(own, weight, bias).reshape(-1, self.patch))  # (T, P * S) -> (T * P, S)
        return torch.cat(outputs)

    def _map(self, session: str) -> tuple[Tensor, Tensor]:
        """Weight (P * S, D) and bias (P * S,) of a session."""
        start = self.start[session]
        stop = start + self.sessions[session]
        return self.weight[start:stop].flatten(0, 1), self.bias[start * self.patch : stop * self.patch]

    def transplanted(self, sessions: dict[str, int]) -> "PooledReadout":
        """A read-out for `sessions`: the maps of sessions in this one are copied, those of new sessions are drawn.

        Args:
            sessions: name -> patches per bin.
        """
        new = PooledReadout(self.config, self.patch, sessions)
        with torch.no_grad():
            for name, count in sessions.items():
                if self.sessions.get(name) == count:
                    for ours, theirs in zip(new._map(name), self._map(name), strict=True):  # views
                        ours.copy_(theirs)
        return new
