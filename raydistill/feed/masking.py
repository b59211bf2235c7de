"""Masking: which tokens of a segment are the input of a model that reconstructs the others."""

from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from raydistill.feed.tokens import Batch


class Draw(NamedTuple):
    """The random choices of a forward pass depend on these values and on the segment."""

    seed: int
    epoch: int
    split: str = "train"


@dataclass(frozen=True, kw_only=True)
class Masking:
    """N tokens of a batch, divided into visible ones and M masked ones."""

    visible: Tensor
    """(N - M,) indices of the visible tokens, which the encoder reads, in order."""
    masked: Tensor
    """(M,) indices of the masked tokens, in order."""
    visible_lengths: tuple[int, ...]
    """Number of visible tokens of each segment."""


def mask_tokens(batch: Batch, ratio: float, draw: Draw) -> Masking:
    """Mask exactly floor(ratio * length) tokens of each segment (docs/methods.md, Objectives).

    Which tokens are masked is a function of `draw` and the segment alone, not of the other segments of the batch.
    """
    visible, masked, start = [], [], 0
    for session, number, length in zip(batch.sessions, batch.numbers, batch.lengths, strict=True):
        key = [draw.seed, draw.epoch, crc32(draw.split.encode()), crc32(session.encode()), number]
        order = np.random.default_rng(key).permutation(length)
        n_masked = int(ratio * length)
        masked.append(np.sort(order[:n_masked]) + start)
        visible.append(np.sort(order[n_masked:]) + start)
        start += length
    device = batch.time.device
    return Masking(
        visible=torch.from_numpy(np.concatenate(visible)).to(device),
        masked=torch.from_numpy(np.concatenate(masked)).to(device),
        visible_lengths=tuple(len(indices) for indices in visible),
    )
