"""How packed segments are cut into tokens of several bins, and how tokens become bins again.

A segment of T bins has K = ceil(T / w) sub-segments of w bins. If w does not divide T, the last one begins at bin T - w
and shares its first bins with the one before; these bins are read out from the earlier one. Tokens are
sub-segment-major: (k0 p0, k0 p1, ..., k1 p0, ...).

Axes: N rows of a batch (one per bin and channel), P channels of a segment, n tokens, w bins of a token.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from raydistill.errors import DataError
from raydistill.feed.tokens import Batch


@dataclass(frozen=True)
class TokenLayout:
    """The tokens of packed segments."""

    rows: Tensor
    """(n, w) row of the batch that holds each bin of a token."""
    time: Tensor
    """(n,) sub-segment of each token within its segment."""
    channel: Tensor
    """(n,) channel of each token within its session."""
    sub_segments: tuple[int, ...]
    """K of each segment."""
    channels: tuple[int, ...]
    """P of each segment."""
    bin_sub_segment: Tensor
    """(sum of T,) sub-segment of the batch, counted over all segments, that each bin is read out from."""
    bin_step: Tensor
    """(sum of T,) place of each bin in that sub-segment."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """K * P of each segment."""
        return tuple(k * p for k, p in zip(self.sub_segments, self.channels, strict=True))

    def per_sub_segment(self, function: Callable[..., Tensor], *packed: Tensor) -> Tensor:
        """Apply a function to the tokens of each sub-segment.

        Args:
            function: from tensors (K, P, ...) to a tensor (K, ...).
            packed: tensors (n, ...), the arguments of the function.
        Returns:
            (sum of K, ...).
        """
        if len(set(self.channels)) == 1:
            return function(*(x.unflatten(0, (-1, self.channels[0])) for x in packed))
        pieces = zip(*(x.split(list(self.lengths)) for x in packed), strict=True)
        shaped = (
            [x.unflatten(0, (-1, channels)) for x in piece]
            for piece, channels in zip(pieces, self.channels, strict=True)
        )
        return torch.cat([function(*piece) for piece in shaped])


def count_sub_segments(n_bins: int, token_bins: int) -> int:
    """K of a segment."""
    return -(-n_bins // token_bins)


def layout_of(batch: Batch, token_bins: int) -> TokenLayout:
    """The tokens of a batch. Raises DataError if a segment is shorter than a token."""
    for session, n_bins in zip(batch.sessions, batch.bins, strict=True):
        if n_bins < token_bins:
            raise DataError(
                f"a segment of {session} has {n_bins} bins, but a token of the model has {token_bins}; give at least "
                f"{token_bins} bins, or train a model with `token_bins: {max(n_bins, 2)}`"
            )
    channels = tuple(length // n_bins for length, n_bins in zip(batch.lengths, batch.bins, strict=True))
    return _layout(batch.bins, channels, token_bins, str(batch.time.device))


@lru_cache(maxsize=64)  # batches of segments of one length have the same layout
def _layout(bins: tuple[int, ...], channels: tuple[int, ...], token_bins: int, device: str) -> TokenLayout:
    parts: list[tuple[Tensor, ...]] = []
    first_row = first_sub_segment = 0
    for n_bins, n_channels in zip(bins, channels, strict=True):
        rows, time, channel, sub_segment, step = _of_segment(n_bins, n_channels, token_bins)
        parts.append((rows + first_row, time, channel, sub_segment + first_sub_segment, step))
        first_row += n_bins * n_channels
        first_sub_segment += count_sub_segments(n_bins, token_bins)
    rows, time, channel, sub_segment, step = (torch.cat(part).to(device) for part in zip(*parts, strict=True))
    counts = tuple(count_sub_segments(n_bins, token_bins) for n_bins in bins)
    return TokenLayout(rows, time, channel, counts, channels, sub_segment, step)


def _of_segment(n_bins: int, n_channels: int, token_bins: int) -> tuple[Tensor, ...]:
    """`rows`, `time`, `channel`, `bin_sub_segment` and `bin_step` of one segment."""
    count = count_sub_segments(n_bins, token_bins)
    starts = (torch.arange(count) * token_bins).clamp(max=n_bins - token_bins)  # (K,)
    bins = starts[:, None, None] + torch.arange(token_bins)  # (K, 1, w)
    rows = (bins * n_channels + torch.arange(n_channels)[:, None]).flatten(0, 1)  # (K, P, w) -> (K * P, w)
    sub_segment = torch.arange(n_bins) // token_bins
    return (
        rows,
        torch.arange(count).repeat_interleave(n_channels),
        torch.arange(n_channels).repeat(count),
        sub_segment,
        torch.arange(n_bins) - starts[sub_segment],
    )
