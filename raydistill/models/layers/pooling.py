"""From the tokens of packed segments to their bins."""

import torch
from torch import Tensor

from raydistill.feed.tokens import Batch


def mean_per_bin(tokens: Tensor, batch: Batch) -> Tensor:
    """Mean over the patches of each bin. Shape: (N, D) -> (sum of T, D)."""
    if len(tokens) == sum(batch.bins):
        return tokens
    counts = [n // t for n, t in zip(batch.lengths, batch.bins, strict=True)]
    if len(set(counts)) == 1:
        return tokens.unflatten(0, (-1, counts[0])).mean(1)  # (T * P, D) -> (T, P, D) -> (T, D)
    pieces = zip(tokens.split(list(batch.lengths)), counts, strict=True)
    return torch.cat([piece.unflatten(0, (-1, count)).mean(1) for piece, count in pieces])
