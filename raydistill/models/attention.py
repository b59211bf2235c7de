"""Attention within each segment of a packed batch, without padding and without a mask.

Segments of one length are one dense call of scaled_dot_product_attention. Ragged batches go through flash-attn's
varlen kernel where it is installed and can serve them (CUDA, half precision), else make one call per distinct length.
"""

import itertools
from collections import defaultdict
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F


class Layout:
    """Where the segments of a packed row lie: `lengths` tokens each, one after another.

    Attributes:
        groups: (length L, row index (n * L,) of the n segments of that length), or (L, None) when all are alike.
    """

    def __init__(self, lengths: tuple[int, ...], device=None):
        self.lengths = lengths
        self._cu_seqlens = None
        if len(set(lengths)) == 1:
            self.groups = [(lengths[0], None)]
            return
        starts = defaultdict(list)
        start = 0
        for length in lengths:
            starts[length].append(start)
            start += length
        self.groups = [
            # (n, 1) + (L,) -> (n, L) -> (n * L,)
            (length, (torch.tensor(s)[:, None] + torch.arange(length)).reshape(-1).to(device))
            for length, s in sorted(starts.items())
            if length > 0
        ]

    def cu_seqlens(self, device) -> Tensor:
        """(B + 1,) int32: where each segment begins, and the end."""
        if self._cu_seqlens is None:
            edges = [0, *itertools.accumulate(self.lengths)]
            self._cu_seqlens = torch.tensor(edges, dtype=torch.int32, device=device)
        return self._cu_seqlens


@cache
def _flash_varlen():
    """flash-attn's kernel for packed segments, or None where it is not installed."""
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return None
    return flash_attn_varlen_func


def attend(q: Tensor, k: Tensor, v: Tensor, layout: Layout) -> Tensor:
    """softmax(q kᵀ / sqrt(d)) v within each segment.

    Shape:
        q, k, v: (N, H, d), the segments of `layout` packed.
        output: (N, H, d).
    """
    if len(layout.groups) == 1 and layout.groups[0][1] is None:
        return _dense(q, k, v, layout.groups[0][0])
    if q.is_cuda and q.dtype in (torch.bfloat16, torch.float16) and (flash := _flash_varlen()):
        edges, longest = layout.cu_seqlens(q.device), max(layout.lengths)
        return flash(q, k, v, edges, edges, longest, longest)
    out = torch.empty_like(q)
    for length, rows in layout.groups:
        out[rows] = _dense(q[rows], k[rows], v[rows], length)
    return out


def _dense(q, k, v, length):
    # (n * L, H, d) -> (n, H, L, d)
    q, k, v = (x.unflatten(0, (-1, length)).transpose(1, 2) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v)
    return out.transpose(1, 2).flatten(0, 1)  # (n, H, L, d) -> (n * L, H, d)


def attend_slowly(q: Tensor, k: Tensor, v: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """The definition, one segment at a time in plain arithmetic: what the tests hold `attend` to."""
    out = []
    for q_s, k_s, v_s in zip(*(x.split(list(lengths)) for x in (q, k, v)), strict=True):
        scores = torch.einsum("qhd,khd->hqk", q_s, k_s) / q.shape[-1] ** 0.5
        out.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v_s))
    return torch.cat(out)
