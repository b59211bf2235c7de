"""From patches to tokens: a linear map, the power of bands, and a position (docs/methods.md, BRANT).

Axes: n segments, C channels, K patches of a channel, L bins of a patch, D width, B bands.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from raydistill.models.brant.config import BANDS_HZ, BrantConfig, frequencies_of


def band_powers(patches: Tensor, bands_hz: Sequence[tuple[int, int]], bin_width_ms: float) -> Tensor:
    """log10(1 + sum of the one-sided power density over the frequencies low < f <= high) of each band.

    The density is that of the patch without its mean, per Hz, as that of `scipy.signal.periodogram`.

    Shape:
        patches: (..., L); output: (..., B) float32.
    """
    n_bins, values = patches.shape[-1], patches.float()
    density = torch.fft.rfft(values - values.mean(-1, keepdim=True)).abs().square() * 2 * bin_width_ms / 1000 / n_bins
    if n_bins % 2 == 0:  # half the bin rate has no counterpart of negative frequency
        density = torch.cat([density[..., :-1], density[..., -1:] / 2], dim=-1)
    sums = [density[..., of.start : of.stop].sum(-1) for of in frequencies_of(bands_hz, n_bins, bin_width_ms)]
    return torch.log10(1 + torch.stack(sums, dim=-1))


class BrantTokenizer(nn.Module):
    """Tokens of patches. Shape: patches (n, C, K, L) -> (n, C, K, D)."""

    def __init__(self, config: BrantConfig):
        super().__init__()
        self.config = config
        self.value = nn.Linear(config.patch_bins, config.width)
        self.band = nn.Parameter(torch.randn(config.bands, config.width))
        self.position = nn.Parameter(torch.randn(config.patches, config.width))
        if config.masked_by == "learned":
            self.masked_values = nn.Parameter(torch.randn(config.patch_bins))
            self.masked_powers = nn.Parameter(torch.randn(config.width))

    def forward(self, patches: Tensor, is_masked: Tensor | None = None) -> Tensor:
        """The tokens; nothing in those of masked patches depends on their values.

        Args:
            is_masked: (n, C, K) bool; None: nothing is masked.
        """
        power = band_powers(patches, BANDS_HZ[: self.config.bands], self.config.bin_width_ms).softmax(-1)
        powers = power @ self.band  # (n, C, K, D)
        if is_masked is not None:
            masked_values, masked_powers = patches.new_zeros(()), powers.new_zeros(())
            if self.config.masked_by == "learned":
                masked_values, masked_powers = self.masked_values, self.masked_powers.to(powers.dtype)
            patches = torch.where(is_masked[..., None], masked_values, patches)
            powers = torch.where(is_masked[..., None], masked_powers, powers)
        return self.value(patches) + powers + self.position[: patches.shape[2]]
