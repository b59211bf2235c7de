"""What reads the outputs of the encoder: bins for behavior, and the published head for classes of whole segments.

Axes: n tokens, K sub-segments, P channels, w bins of a token, D width, B segments.
"""

import torch
from torch import Tensor, nn

from raydistill.models.barista.config import ClassesHead
from raydistill.models.barista.layout import TokenLayout


def mean_over_channels(tokens: Tensor, layout: TokenLayout) -> Tensor:
    """Shape: (n, D) -> (sum of K, D)."""
    return layout.per_sub_segment(lambda x: x.mean(1), tokens)


class BinReadout(nn.Module):
    """A linear map of its own for each bin of a token, after a weighted mean over the channels.

    The weight of a channel is softmax(u · x) of its outputs x, so no weight belongs to a session. At first all channels
    weigh the same, and all bins of a token have the mean itself.

    Shape: (n, D) -> (sum of T, D).
    """

    def __init__(self, width: int, token_bins: int):
        super().__init__()
        self.weight = nn.Linear(width, 1, bias=False)
        self.bins = nn.Linear(width, token_bins * width, bias=False)
        with torch.no_grad():
            self.weight.weight.zero_()
            self.bins.weight.copy_(torch.eye(width).repeat(token_bins, 1))

    def forward(self, tokens: Tensor, layout: TokenLayout) -> Tensor:
        """The latents of every bin."""
        mean = layout.per_sub_segment(lambda x, score: (x * score.softmax(1)).sum(1), tokens, self.weight(tokens))
        of_bins = self.bins(mean).unflatten(1, (-1, tokens.shape[1]))  # (sum of K, w * D) -> (sum of K, w, D)
        return of_bins[layout.bin_sub_segment, layout.bin_step]


class Classes(nn.Module):
    """A weighted sum of all tokens of a segment, then a linear map to logits. Shape: (n, D) -> (B, classes)."""

    def __init__(self, config: ClassesHead, width: int):
        super().__init__()
        self.tokens = nn.Linear(config.tokens, 1, bias=False)
        self.classes = nn.Linear(width, config.classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits of each segment; all segments have as many tokens as the head has weights."""
        of_segments = tokens.unflatten(0, (-1, self.tokens.in_features))  # (B * L, D) -> (B, L, D)
        return self.classes(self.tokens(of_segments.transpose(1, 2)).squeeze(2))
