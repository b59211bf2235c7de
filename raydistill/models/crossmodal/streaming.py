"""Running a causal model one bin at a time: a state replaces the earlier bins of the segment.

Axes: P patches per bin, S slots of a patch, D width.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from raydistill.errors import DataError
from raydistill.feed.tokens import Batch
from raydistill.models.crossmodal.tokenizer import CausalConvPatch, Tokenizer
from raydistill.models.model import check_one_bin


@dataclass(frozen=True)
class StreamState:
    """Everything from earlier bins on which the next bin depends."""

    time: int
    """Number of bins since the segment began."""
    values: Tensor | None
    """(earlier bins * P, S) input of earlier bins that a convolutional value embedding reads; None if it reads none."""
    backbone: Any
    """State of the backbone: keys and values, hidden states, or past inputs."""
    layout: tuple[Any, ...] | None = None
    """Session and number of units or channels of the earlier bins; None before the first bin."""


def step(
    tokenizer: Tokenizer, encoder: Any, reads_bins: bool, state: StreamState, batch: Batch
) -> tuple[StreamState, Tensor]:
    """The state after the next bin, and the latents of this bin.

    Args:
        reads_bins: whether the encoder reads the mean over the patches of a bin instead of the tokens.
        batch: one bin of one session.
    Returns:
        The new state, and (1, D) latents.
    Raises:
        ValueError: the batch holds more than one bin.
        DataError: the bin is of another session than the earlier ones, or has other units or channels.
    """
    check_one_bin(batch)
    layout = batch.sessions[0], batch.slots.sum(0).tolist()  # per signal
    if state.layout not in (None, layout):
        (session, columns), (earlier, before) = layout, state.layout or layout
        raise DataError(
            f"a bin of {session} with {columns} columns follows bins of {earlier} with {before}; a state belongs to "
            "one session with the same units and channels"
        )
    tokens = tokenizer(*_with_past(state.values, batch))  # (P, D)
    if reads_bins:
        backbone, latents = encoder.step(state.backbone, tokens.mean(0, keepdim=True), state.time)
    else:
        backbone, tokens = encoder.step(state.backbone, tokens, state.time)
        latents = tokens.mean(0, keepdim=True)
    return StreamState(state.time + 1, _past_values(tokenizer, state.values, batch), backbone, layout), latents


def _with_past(values: Tensor | None, batch: Batch) -> tuple[Batch, Tensor]:
    """A batch of the earlier bins in `values` and the new bin, and the (P,) rows of the new bin's tokens in it."""
    n_patches = len(batch.time)
    n_bins = 1 if values is None else 1 + len(values) // n_patches
    extended = replace(
        batch,
        values=batch.values if values is None else torch.cat([values, batch.values]),
        time=torch.arange(n_bins, device=batch.time.device).repeat_interleave(n_patches),
        patch=batch.patch.repeat(n_bins),
        slots=batch.slots.repeat(n_bins, 1),
        patches=batch.patches.repeat(n_bins),
        bins=(n_bins,),
        lengths=(n_bins * n_patches,),
    )
    return extended, torch.arange((n_bins - 1) * n_patches, n_bins * n_patches, device=batch.time.device)


def _past_values(tokenizer: Tokenizer, values: Tensor | None, batch: Batch) -> Tensor | None:
    """`StreamState.values` for the next bin."""
    embedding, n_patches = tokenizer.value, len(batch.time)
    if not isinstance(embedding, CausalConvPatch) or not (n_bins := embedding.bins_before(n_patches)):
        return None
    past = batch.values if values is None else torch.cat([values, batch.values])
    return past[-n_bins * n_patches :]
