"""Augmentation of LFP in training: the input differs from what a model reconstructs (docs/methods.md, Objectives).

Axes: T bins, P patches per bin, S slots of a patch, N tokens of a batch.
"""

from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from raydistill.config.objectives import Augmentation
from raydistill.feed.masking import Draw
from raydistill.feed.tokens import Batch

STREAM = 1
"""Distinguishes these random numbers from those of the masks of the same segment."""


def augmented(batch: Batch, how: Augmentation, draw: Draw) -> Tensor:
    """The values of a batch of LFP with channels set to zero, then with other gains, then with noise.

    What happens to a segment is a function of `draw` and the segment alone. Padded slots stay zero.

    Shape:
        output: (N, S) float32.
    """
    pieces, start = [], 0
    for session, number, n_bins, length in zip(batch.sessions, batch.numbers, batch.bins, batch.lengths, strict=True):
        key = [draw.seed, draw.epoch, crc32(draw.split.encode()), crc32(session.encode()), number, STREAM]
        random, channels = np.random.default_rng(key), (length // n_bins, batch.values.shape[1])
        kept = random.random(channels) >= how.channel_dropout  # (P, S)
        gain = random.uniform(1 - how.gain_jitter, 1 + how.gain_jitter, channels) * kept
        noise = how.noise * random.standard_normal((n_bins, *channels), dtype=np.float32)
        values = batch.values[start : start + length].unflatten(0, (n_bins, -1))  # (T * P, S) -> (T, P, S)
        changed = values * _like(gain, values) + _like(noise, values)
        pieces.append(changed.flatten(0, 1))
        start += length
    return torch.cat(pieces) * batch.valid


def _like(values: np.ndarray, other: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(other)
