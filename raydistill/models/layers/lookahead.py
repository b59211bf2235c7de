"""A causal encoder that answers late, and so may read some later bins (docs/methods.md, Model).

The output of bin t is what the encoder gives k bins later. After the end of a segment it reads k bins of one learned
vector. Zeros would not do: a gated network gives nothing for them.

Axes: N packed tokens, D width, P tokens of a bin, T bins of a segment, k bins of delay.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from raydistill.feed.noise import fork
from raydistill.models.layers.attention import Packing

Encoder = Callable[[Tensor, Tensor, Packing], Tensor]
"""(x (N, D), time (N,), packing) -> (N, D)."""


def answered_late(
    encode: Encoder, delay: int, after_end: Tensor, x: Tensor, packing: Packing, bins: Sequence[int]
) -> Tensor:
    """The outputs of a causal encoder, each of them `delay` bins late.

    Args:
        delay: k.
        after_end: (D,) the token that is read after the end of a segment.
        x: tokens in the order of bins, P of each.
        bins: T of each segment.
    Shape:
        (N, D) -> (N, D).
    """
    places, shifts, times, padding, lengths = [], [], [], [], []
    start = extended_start = 0
    for length, n_bins in zip(packing.lengths, bins, strict=True):
        patches = length // n_bins
        n_padding = delay * patches
        places.append(torch.arange(length) + extended_start)
        shifts.append(torch.full((length,), n_padding))
        times.append(_times(n_bins + delay, patches))
        padding.append(torch.arange(n_padding) % length + start)
        lengths.append(length + n_padding)
        start, extended_start = start + length, extended_start + lengths[-1]
    place, shift, time, source = (torch.cat(parts).to(x.device) for parts in (places, shifts, times, padding))
    extended = after_end.to(x.dtype).expand(len(time), -1).index_copy(0, place, x)
    noise = packing.noise
    if noise is not None:  # the added bins need bits of their own, which follow from those of the segment
        is_padding = torch.ones(len(time), dtype=torch.bool, device=x.device).index_fill(0, place, False)
        bits = noise.new_zeros(len(time)).index_copy(0, place, noise)
        noise = bits.masked_scatter(is_padding, fork(noise[source], -2))
    return encode(extended, time, Packing(tuple(lengths), packing.device, noise))[place + shift]


@lru_cache(maxsize=256)
def _times(n_bins: int, patches: int) -> Tensor:
    """(n_bins * P,) the bin of each token."""
    return torch.arange(n_bins).repeat_interleave(patches)
