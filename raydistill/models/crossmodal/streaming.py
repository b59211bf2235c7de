"""A causal model bin by bin, with a state instead of the segment so far.

Axes: P patches per bin, S patch size, D width.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from raydistill.feed.tokens import Batch
from raydistill.models.crossmodal.tokenizer import CausalConvPatch, Tokenizer


@dataclass(frozen=True)
class StreamState:
    """All that the next bin depends on."""

    time: int
    """Bins since the segment began."""
    values: Tensor | None
    """(earlier bins * P, S) input that a convolutional value embedding still reads."""
    backbone: Any
    """State of the backbone: keys and values, hidden states, or past inputs."""


def step(
    tokenizer: Tokenizer, encoder: Any, reads_bins: bool, state: StreamState, batch: Batch
) -> tuple[StreamState, Tensor]:
    """The latents of the next bin, and the state after it. Shape: (1, D).

    Args:
        reads_bins: the encoder reads the mean over the patches of a bin instead of its tokens.
        batch: one bin of one session.
    Raises:
        ValueError: the batch holds more than one bin.
    """
    if batch.bins != (1,):
        raise ValueError(f"`step` takes one bin of one session, but got segments of {batch.bins} bins")
    tokens = tokenizer(*_with_past(state.values, batch))  # (P, D)
    if reads_bins:
        backbone, latents = encoder.step(state.backbone, tokens.mean(0, keepdim=True), state.time)
    else:
        backbone, tokens = encoder.step(state.backbone, tokens, state.time)
        latents = tokens.mean(0, keepdim=True)
    return StreamState(state.time + 1, _past_values(tokenizer, state.values, batch), backbone), latents


def _with_past(values: Tensor | None, batch: Batch) -> tuple[Batch, Tensor]:
    """The bin after the earlier bins that are kept, and the rows of its own tokens."""
    n_patches = len(batch.time)
    n_bins = 1 if values is None else 1 + len(values) // n_patches
    whole = replace(
        batch,
        values=batch.values if values is None else torch.cat([values, batch.values]),
        time=torch.arange(n_bins, device=batch.time.device).repeat_interleave(n_patches),
        patch=batch.patch.repeat(n_bins),
        slots=batch.slots.repeat(n_bins, 1),
        patches=batch.patches.repeat(n_bins),
        bins=(n_bins,),
        lengths=(n_bins * n_patches,),
    )
    return whole, torch.arange((n_bins - 1) * n_patches, n_bins * n_patches, device=batch.time.device)


def _past_values(tokenizer: Tokenizer, values: Tensor | None, batch: Batch) -> Tensor | None:
    """The input that the next bin still reads."""
    embedding, n_patches = tokenizer.value, len(batch.time)
    if not isinstance(embedding, CausalConvPatch) or not (n_bins := embedding.bins_before(n_patches)):
        return None
    past = batch.values if values is None else torch.cat([values, batch.values])
    return past[-n_bins * n_patches :]
