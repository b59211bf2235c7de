"""BRANT: tokens of patches, layers over the patches of each channel, then over the channels of each patch.

Axes: n segments with T bins and C channels each, K patches of a channel, L bins of a patch, D width, N tokens of a
packed batch (single values here), M masked ones.
"""

import torch
from torch import Tensor, nn

from raydistill.errors import DataError
from raydistill.feed.masking import Masking
from raydistill.feed.tokens import Batch
from raydistill.models.brant.config import BrantConfig
from raydistill.models.brant.grid import Grid, between_patches, grids, in_order
from raydistill.models.brant.layers import Encoder
from raydistill.models.brant.tokens import BrantTokenizer
from raydistill.models.layers.dropout import number_dropout_layers
from raydistill.models.model import Model
from raydistill.models.spec import ModelSpec


class Upsampling(nn.Module):
    """What the place of a bin in its patch changes: x * (1 + gain) + shift, both of this place, 0 before training.

    Shape:
        (n, T, D) -> (n, T, D).
    """

    def __init__(self, patch_bins: int, width: int):
        super().__init__()
        self.gain, self.shift = (nn.Parameter(torch.zeros(patch_bins, width)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """The vectors of bins, of which the first is the first of a patch."""
        place = torch.arange(x.shape[1], device=x.device) % len(self.gain)
        return torch.addcmul(x + self.shift[place].to(x.dtype), x, self.gain[place].to(x.dtype))


class BrantModel(Model):
    """The latents of a patch are the mean over channels of the outputs, those of a bin lie between two patches.

    A model that predicts behavior has an up-sampling head, too.
    """

    read_outs = ("behavior", "upsampling")

    def __init__(self, spec: ModelSpec):
        super().__init__(spec)
        config: BrantConfig = spec.config
        self.config = config
        self.tokenizer = BrantTokenizer(config)
        self.over_patches, self.over_channels = (
            Encoder(width=config.width, hidden=config.hidden, heads=config.heads, layers=n, dropout=config.dropout)
            for n in (config.layers, config.channel_layers)
        )
        if config.is_masked:
            self.reconstruction = nn.Linear(config.width, config.patch_bins)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if spec.behavior:
            self.upsampling = Upsampling(config.patch_bins, config.width)
            self.behavior = nn.Linear(config.width, len(spec.behavior))
        number_dropout_layers(self)

    def latents(self, batch: Batch) -> Tensor:
        """Latents of every bin, nothing masked. Shape: (sum of T, D)."""
        self._check(batch)
        results = []
        for grid in grids(batch, self.config.patch_bins):
            of_patches = self._encode(grid).mean(1)  # (n, C, K, D) -> (n, K, D)
            of_bins = between_patches(of_patches, grid.n_bins, grid.patch_bins)
            results.append((grid, self.upsampling(of_bins) if self.spec.behavior else of_bins))
        return in_order(results)

    def reconstruct(self, batch: Batch, masking: Masking) -> Tensor:
        """The masked bins of each channel. A patch with a masked bin is masked as a whole. Shape: (M, 1)."""
        self._check(batch)
        is_masked = torch.zeros(len(batch.values), device=batch.values.device)
        is_masked = is_masked.index_fill(0, masking.masked, 1.0)
        results = []
        for grid in grids(batch, self.config.patch_bins):
            outputs = self._encode(grid, grid.patches(is_masked).amax(-1) > 0)
            results.append((grid, grid.bins(self.reconstruction(outputs))))
        return in_order(results)[masking.masked, None]

    def _encode(self, grid: Grid, is_masked: Tensor | None = None) -> Tensor:
        """The outputs of both encoders. Shape: is_masked (n, C, K) -> (n, C, K, D)."""
        batch = grid.batch
        x = self.tokenizer(grid.patches(batch.values[:, 0]), is_masked)  # (n, C, K, D)
        noise = None if batch.noise is None else grid.first_of_patch(batch.noise)  # (n, C, K)
        n_segments, n_channels, n_patches = x.shape[:3]
        x = self.over_patches(x.flatten(0, 1), None if noise is None else noise.flatten(0, 1))  # (n * C, K, D)
        x = x.unflatten(0, (n_segments, n_channels)).transpose(1, 2).flatten(0, 1)  # (n * K, C, D)
        x = self.over_channels(x, None if noise is None else noise.transpose(1, 2).flatten(0, 1))
        return x.unflatten(0, (n_segments, n_patches)).transpose(1, 2)

    def use_embeddings_of(self, session: str, known_session: str) -> None:
        """Nothing to do: no weight belongs to a session."""

    def _check(self, batch: Batch) -> None:
        """Raise DataError if a segment is longer than the learned positions."""
        for session, n_bins in zip(batch.sessions, batch.bins, strict=True):
            if n_bins > self.config.times:
                raise DataError(
                    f"a segment of {session} has {n_bins} bins, but the model has learned positions for "
                    f"{self.config.times}; read it in shorter pieces, or train the model with more `patches`"
                )
