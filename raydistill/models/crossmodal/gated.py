"""REALM's value embedding of LFP: features of each channel, a gate over channels, and a linear map (docs/methods.md,
Tokens).

Axes: N tokens of a packed batch, n segments or streams, P patches per bin, T bins, S channels of a patch (its slots), F
features of a channel, D width, W bins over which a stream averages.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.feed.tokens import Batch
from raydistill.models.crossmodal.parameters import FEATURE_KERNEL, FEATURES, GATE_KERNEL
from raydistill.models.layers.attention import Packing, by_length
from raydistill.models.layers.state import State

PAST, ENERGIES = "gated.past", "gated.energies"
"""Names in a state: earlier values, (n, P, FEATURE_KERNEL - 1, S), and energies of the last bins, (n, P, W, S)."""


class GatedPatch(nn.Module):
    """Each channel of a patch gets F features, which are multiplied by a gate and mapped to a token.

    The features of a bin are a convolution over the bin and its neighbours, or if `causal` the two bins before it. The
    gate of a channel depends on its energy, the mean of its features, and on those of the channels around it: over the
    whole segment, or if `causal` over all bins so far. All patches have the same weights.

    Shape:
        (N, S) float32 -> (N, D).
    """

    def __init__(self, patch: int, width: int, causal: bool):
        super().__init__()
        self.causal = causal
        self.features = nn.Conv1d(1, FEATURES, FEATURE_KERNEL)
        self.gate = nn.Conv1d(1, 1, GATE_KERNEL, padding=GATE_KERNEL // 2, bias=False)
        self.linear = nn.Linear(FEATURES * patch, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, batch: Batch, rows: Tensor | None, hidden: Tensor | None = None) -> Tensor:
        """The value embeddings of the tokens at `rows`; all bins are read in any case. Shape: (n, D).

        Args:
            hidden: (N,) bool, tokens whose energy no gate may read; None: the gates read all.
        """
        values = batch.values.to(self.linear.weight.dtype)
        read = (values,) if hidden is None else (values, (~hidden).to(values.dtype))
        if batch.lengths == batch.bins:  # one patch per bin
            tokens = by_length(self._segments, Packing(batch.lengths, values.device), *read)
        else:
            place, lengths = _patch_by_patch(batch)
            ordered = (torch.empty_like(x).index_copy(0, place, x) for x in read)
            tokens = by_length(self._segments, Packing(lengths, values.device), *ordered)[place]
        return tokens if rows is None else tokens[rows]

    def _segments(self, values: Tensor, visible: Tensor | None = None) -> Tensor:
        """The tokens of patches in segments of one length. Shape: (n, T, S), (n, T) of 0 and 1 -> (n, T, D)."""
        before = FEATURE_KERNEL - 1 if self.causal else FEATURE_KERNEL // 2
        padded = F.pad(values, (0, 0, before, FEATURE_KERNEL - 1 - before))
        features = self._features(padded.unfold(1, FEATURE_KERNEL, 1))  # (n, T, S, kernel) -> (n, T, S, F)
        energy, weight = self._energy(features), values.new_ones(values.shape[:2]) if visible is None else visible
        total, n_bins = energy * weight[..., None], weight[..., None]
        if self.causal:
            total, n_bins = total.cumsum(1), n_bins.cumsum(1)  # (n, T, S), (n, T, 1)
        else:
            total, n_bins = total.sum(1, keepdim=True), n_bins.sum(1, keepdim=True)  # (n, 1, S), (n, 1, 1)
        return self._tokens(features, total / n_bins.clamp(min=1))

    def _features(self, windows: Tensor) -> Tensor:
        """Shape: (..., S, kernel) -> (..., S, F)."""
        return F.gelu(F.linear(windows, self.features.weight[:, 0], self.features.bias))  # weight: (F, 1, kernel)

    def _energy(self, features: Tensor) -> Tensor:
        """Energies, whose sums would lose too much in half precision. Shape: (..., S, F) -> (..., S)."""
        return features.to(self.linear.weight.dtype).mean(-1)

    def _tokens(self, features: Tensor, mean: Tensor) -> Tensor:
        """Shape: features (..., S, F), mean energy (..., S) -> (..., D)."""
        gate = self.gate(mean.flatten(0, -2)[:, None])[:, 0].view(mean.shape).sigmoid()  # along the channels
        return self.norm(self.linear((features * gate[..., None]).flatten(-2)))

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """The state before the first bin, which is zero.

        Args:
            window: W; from bin W on, the energy is the mean over the last W bins instead of all so far.
        """
        zeros, channels = self.linear.weight.new_zeros, self.linear.in_features // FEATURES
        past = zeros(streams, patches, FEATURE_KERNEL - 1, channels)
        return {PAST: past, ENERGIES: zeros(streams, patches, window, channels)}

    def step(self, state: State, values: Tensor) -> tuple[State, Tensor]:
        """The state after one bin of n streams, and its value embeddings. Shape: (n, P, S) -> (n, P, D)."""
        recent = torch.cat([state[PAST], values[:, :, None]], dim=2)  # (n, P, kernel, S)
        features = self._features(recent.transpose(-1, -2))  # (n, P, S, F)
        energies = torch.cat([state[ENERGIES][:, :, 1:], self._energy(features)[:, :, None]], dim=2)  # (n, P, W, S)
        n_bins = (state["time"] + 1).clamp(max=energies.shape[2]).to(energies.dtype)
        mean = energies.sum(2) / n_bins[:, None, None]  # (n, P, S)
        return {PAST: recent[:, :, 1:], ENERGIES: energies}, self._tokens(features, mean)

    @torch.no_grad()
    def delay_features(self) -> None:
        """Move the kernel of the features by one bin into the past, as in docs/methods.md, Objectives.

        A kernel that was trained on the bins before and after then reads the same bins with the same weights in a
        causal model, except the bin after, which it cannot read.
        """
        self.features.weight.copy_(F.pad(self.features.weight[:, :, :-1], (1, 0)))


def _patch_by_patch(batch: Batch) -> tuple[Tensor, tuple[int, ...]]:
    """(N,) place of each token if each patch of a segment were a segment, and the bins of these segments."""
    device, starts, lengths = batch.time.device, [], []
    start = 0
    for n_bins, length in zip(batch.bins, batch.lengths, strict=True):
        starts.append(start)
        lengths += [n_bins] * (length // n_bins)
        start += length
    repeats = torch.tensor(batch.lengths, device=device)
    start_of_token = torch.tensor(starts, device=device).repeat_interleave(repeats)
    bins_of_token = torch.tensor(batch.bins, device=device).repeat_interleave(repeats)
    return start_of_token + batch.patch * bins_of_token + batch.time, tuple(lengths)
