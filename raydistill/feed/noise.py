"""The random bits of each token, from which dropout draws its masks (docs/methods.md, Training).

Each token of a batch carries 32 bits that are a function of (seed, epoch, segment, position). A dropout layer mixes
them with the number of the layer and with the column. Masks therefore do not depend on how segments are distributed
over workers, micro-batches or devices. Integer arithmetic gives the same bits on every device.
"""

from zlib import crc32

import numpy as np
import torch
from torch import Tensor

GOLDEN = 0x9E3779B9
"""2^32 divided by the golden ratio: successive multiples are spread evenly over 32 bits."""


def token_noise(
    sessions: tuple[str, ...], numbers: tuple[int, ...], lengths: tuple[int, ...], seed: int, epoch: int
) -> Tensor:
    """32 random bits for each token of packed segments.

    Args:
        sessions, numbers: session and number of each segment.
        lengths: number of tokens of each segment.
        seed, epoch: of the training.
    Returns:
        (N,) int32, a function of the seed, the epoch, the segment, and the position of the token in it.
    """
    starts = [
        np.random.SeedSequence([seed, epoch, crc32(session.encode()), number]).generate_state(1)[0]
        for session, number in zip(sessions, numbers, strict=True)
    ]
    start = torch.tensor(np.array(starts, dtype=np.uint32).view(np.int32))
    position = torch.cat([torch.arange(length, dtype=torch.int32) for length in lengths])
    return mixed(start.repeat_interleave(torch.tensor(lengths)) + position * _signed(GOLDEN))


def fork(noise: Tensor, number: int) -> Tensor:
    """Different bits for the same tokens, one set per `number`. Shape: (N,) -> (N,)."""
    return mixed(noise + _signed(number * GOLDEN))


def random_int16(noise: Tensor, columns: int) -> Tensor:
    """Evenly distributed 16-bit numbers, `columns` for each token. Shape: (..., ) int32 -> (..., columns) int16."""
    pairs = -(-columns // 2)
    column = torch.arange(pairs, dtype=torch.int32, device=noise.device) * _signed(GOLDEN)
    # (..., 1) + (pairs,) -> (..., pairs) of 32 bits -> (..., 2 * pairs) of 16 bits
    return mixed(noise[..., None] + column).view(torch.int16)[..., :columns]


def mixed(x: Tensor) -> Tensor:
    """A bijection of 32 bits, in place: flipping one bit of the input flips about half of the bits of the output.

    Constants: "lowbias32" of C. Wellons' hash prospector.
    """
    x ^= (x >> 16) & 0xFFFF
    x *= 0x7FEB352D
    x ^= (x >> 15) & 0x1FFFF
    x *= _signed(0x846CA68B)
    x ^= (x >> 16) & 0xFFFF
    return x


def _signed(bits: int) -> int:
    """The int32 that has these 32 bits."""
    return (bits + 2**31) % 2**32 - 2**31
