"""From packed segments to patches of their channels, and back to bins.

Axes: n segments with T bins and C channels each, L bins of a patch, K = ceil(T / L) patches, N tokens of the batch,
which for this family are single values: a bin of a channel.
"""

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from raydistill.feed.tokens import Batch


class Grid:
    """Segments of a batch that have the same bins and channels.

    Args:
        places: of these segments in the batch.
        n_bins: T.
        n_channels: C.
        patch_bins: L.
    """

    def __init__(self, batch: Batch, places: list[int], n_bins: int, n_channels: int, patch_bins: int):
        self.batch, self.places = batch, places
        self.n_bins, self.n_channels, self.patch_bins = n_bins, n_channels, patch_bins

    def take(self, packed: Tensor) -> Tensor:
        """The values of these segments. Shape: (N,) -> (n, T, C)."""
        segments = packed.split(list(self.batch.lengths))
        return torch.stack([segments[place] for place in self.places]).unflatten(1, (self.n_bins, self.n_channels))

    def patches(self, packed: Tensor) -> Tensor:
        """The patches of each channel, the last one completed by zeros. Shape: (N,) -> (n, C, K, L)."""
        values = self.take(packed).transpose(1, 2)  # (n, C, T)
        return F.pad(values, (0, -self.n_bins % self.patch_bins)).unflatten(2, (-1, self.patch_bins))

    def first_of_patch(self, packed: Tensor) -> Tensor:
        """The values of the first bin of each patch. Shape: (N,) -> (n, C, K)."""
        return self.take(packed)[:, :: self.patch_bins].transpose(1, 2)

    def bins(self, patches: Tensor) -> Tensor:
        """The bins of each channel, without those that completed the last patch. Shape: (n, C, K, L) -> (n, T * C)."""
        return patches.flatten(2)[..., : self.n_bins].transpose(1, 2).flatten(1)


def grids(batch: Batch, patch_bins: int) -> Iterator[Grid]:
    """The segments of a batch, those with the same bins and channels together."""
    places: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for place, (n_bins, length) in enumerate(zip(batch.bins, batch.lengths, strict=True)):
        places[n_bins, length // n_bins].append(place)
    for (n_bins, n_channels), of_shape in places.items():
        yield Grid(batch, of_shape, n_bins, n_channels, patch_bins)


def in_order(results: list[tuple[Grid, Tensor]]) -> Tensor:
    """The results of all grids, (n, rows, ...) each, packed in the order of the batch. Shape: (sum of rows, ...)."""
    segments: dict[int, Tensor] = {}
    for grid, values in results:
        segments |= dict(zip(grid.places, values, strict=True))
    return torch.cat([segments[place] for place in sorted(segments)])


def between_patches(patches: Tensor, n_bins: int, patch_bins: int) -> Tensor:
    """Vectors of bins, linear between the centres of patches, and constant before the first and after the last.

    Shape:
        patches: (n, K, D); output: (n, T, D).
    """
    bin_ = torch.arange(n_bins, device=patches.device)
    place = ((bin_ + 0.5) / patch_bins - 0.5).clamp(0, patches.shape[1] - 1)  # (T,) in patches
    before = place.long().clamp(max=max(patches.shape[1] - 2, 0))
    after = (before + 1).clamp(max=patches.shape[1] - 1)
    share = (place - before)[:, None].to(patches.dtype)
    return torch.lerp(patches[:, before], patches[:, after], share)
