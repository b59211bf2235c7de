"""Running a causal model one bin at a time: a state replaces the earlier bins of the segment.

Axes: n streams of one session, P patches per bin, S slots of a patch, D width, b earlier bins that the tokenizer reads.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from raydistill.feed.tokens import Batch
from raydistill.models.crossmodal.gated import GatedPatch
from raydistill.models.crossmodal.tokenizer import CausalConvPatch, Tokenizer
from raydistill.models.layers.state import State
from raydistill.models.model import check_one_bin

VALUES = "values"
"""Name of the (n, b * P, S) input of earlier bins in a state, if a convolutional value embedding reads it."""


def initial_state(tokenizer: Tokenizer, encoder: Any, streams: int, patches: int, window: int) -> State:
    """The state before the first bin, see `Model.initial_state`."""
    state = encoder.initial_state(streams, patches, window)
    embedding, weight = tokenizer.value, next(tokenizer.parameters())
    if isinstance(embedding, GatedPatch):
        state |= embedding.initial_state(streams, patches, window)
    if isinstance(embedding, CausalConvPatch) and (n_bins := embedding.bins_before(patches)):
        state[VALUES] = weight.new_zeros(streams, n_bins * patches, embedding.conv.in_channels)
    return state | {"time": torch.zeros(streams, dtype=torch.int64, device=weight.device)}


def step(tokenizer: Tokenizer, encoder: Any, reads_bins: bool, state: State, batch: Batch) -> tuple[State, Tensor]:
    """The state after the next bin, and the (n, D) latents of this bin, see `Model.step`.

    Args:
        reads_bins: whether the encoder reads the mean over the patches of a bin instead of the tokens.
    """
    check_one_bin(batch)
    streams = len(batch.bins)
    values = batch.values.unflatten(0, (streams, -1))  # (n * P, S) -> (n, P, S)
    patches = values.shape[1]
    new: State = {}
    if isinstance(tokenizer.value, GatedPatch):
        new, embedded = tokenizer.value.step(state, values)  # (n, P, D)
        tokens = tokenizer.located(embedded.flatten(0, 1), batch)
    else:
        if VALUES in state:
            values = torch.cat([state[VALUES], values], dim=1)  # (n, (b + 1) * P, S)
            new[VALUES] = values[:, patches:]
        tokens = tokenizer(*_with_past(batch, values, patches))
    tokens = tokens.unflatten(0, (streams, patches))  # (n * P, D) -> (n, P, D)
    backbone, tokens = encoder.step(state, tokens.mean(1, keepdim=True) if reads_bins else tokens)
    return new | backbone | {"time": state["time"] + 1}, tokens.mean(1)


def step_after_end(
    encoder: Any, after_end: Tensor, reads_bins: bool, state: State, batch: Batch
) -> tuple[State, Tensor]:
    """As `step` for one of the bins that follow a segment (layers/lookahead.py); `batch` has any bin."""
    check_one_bin(batch)
    streams = len(batch.bins)
    patches = 1 if reads_bins else len(batch.values) // streams
    backbone, tokens = encoder.step(state, after_end.expand(streams, patches, -1))
    return state | backbone | {"time": state["time"] + 1}, tokens.mean(1)


def _with_past(batch: Batch, values: Tensor, patches: int) -> tuple[Batch, Tensor]:
    """A batch of the earlier bins and the new one of each stream, and the (n * P,) rows of the new bin's tokens in it.

    Shape: values (n, (b + 1) * P, S). Bins before the first are zeros, as the padding of a segment.
    """
    streams, n_tokens, device = *values.shape[:2], values.device
    n_bins = n_tokens // patches
    spread = lambda x: x.unflatten(0, (streams, patches)).repeat(1, n_bins, *[1] * (x.ndim - 1)).flatten(0, 1)  # noqa: E731
    extended = replace(
        batch,
        values=values.flatten(0, 1),
        time=torch.arange(n_bins, device=device).repeat_interleave(patches).repeat(streams),
        patch=spread(batch.patch),
        slots=spread(batch.slots),
        patches=spread(batch.patches),
        bins=(n_bins,) * streams,
        lengths=(n_tokens,) * streams,
    )
    rows = torch.arange(streams * n_tokens, device=device).unflatten(0, (streams, n_tokens))
    return extended, rows[:, n_tokens - patches :].flatten()
