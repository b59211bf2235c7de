"""Attention within each segment of a packed batch, without padding and without a mask.

If all segments have the same length, they need one dense call of scaled_dot_product_attention. Batches of different
lengths use a varlen kernel if there is a suitable one (CUDA, half precision), otherwise one dense call per length.

Axes: N packed tokens, H heads, d width of a head, L tokens of a segment, n segments of one length, B segments.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable
from functools import cache, cached_property, partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Packing:
    """Segments packed one after another in a row of N tokens.

    Args:
        lengths: number of tokens of each segment.
        noise: (N,) int32 random bits from which dropout draws (feed/noise.py); None outside of training.
    """

    def __init__(self, lengths: tuple[int, ...], device=None, noise: Tensor | None = None):
        self.lengths, self.device, self.noise = lengths, device, noise
        self.edges = (0, *itertools.accumulate(lengths))

    @property
    def equal(self) -> bool:
        """Whether all segments have the same length."""
        return len(set(self.lengths)) == 1

    @property
    def noise_if_any(self) -> tuple[Tensor, ...]:
        """The noise as a tuple of arguments, which is empty if there is no noise."""
        return () if self.noise is None else (self.noise,)

    @cached_property
    def cu_seqlens(self) -> Tensor:
        """(B + 1,) int32: the start of each segment, and the end of the last."""
        return torch.tensor(self.edges, dtype=torch.int32, device=self.device)

    @cached_property
    def grouping(self) -> tuple[Tensor, Tensor, dict[int, int]]:
        """The tokens sorted by the length of their segment.

        Returns:
            (N,) indices that sort the tokens, (N,) indices that undo the sorting, and length -> number of tokens in
            segments of this length, in sorted order.
        """
        starts: defaultdict[int, list[int]] = defaultdict(list)
        for start, length in zip(self.edges[:-1], self.lengths, strict=True):
            starts[length].append(start)
        groups = [(length, torch.tensor(starts[length])) for length in sorted(starts) if length]
        # (n, 1) + (L,) -> (n, L) -> (n * L,)
        order = torch.cat([(begins[:, None] + torch.arange(length)).flatten() for length, begins in groups])
        order = order.to(self.device)
        return order, order.argsort(), {length: length * len(begins) for length, begins in groups}


class AttentionKernel(NamedTuple):
    """The kernel that `attend` uses, and the reason."""

    name: str
    reason: str


@cache
def flash_varlen() -> Callable[..., Tensor] | None:
    """flash-attn's kernel for packed segments; None if it is not installed."""
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return None
    return flash_attn_varlen_func


def choose_kernel(device: torch.device, dtype: torch.dtype, equal: bool, head_width: int) -> AttentionKernel:
    """The fastest exact kernel for queries of this kind.

    Args:
        equal: whether all segments have the same length.
    """
    if equal:
        return AttentionKernel("dense", "one call of scaled_dot_product_attention is enough")
    if reason := _why_no_varlen(device, dtype, head_width):
        return AttentionKernel("dense per length", reason)
    if flash_varlen():
        return AttentionKernel("flash-attn", "its varlen kernel is installed")
    return AttentionKernel("torch varlen", "flash-attn is not installed")


def _why_no_varlen(device, dtype, head_width):
    if device.type != "cuda":
        return "varlen kernels need a CUDA device"
    if dtype not in (torch.bfloat16, torch.float16):
        return f"varlen kernels need bfloat16 or float16, not {str(dtype).removeprefix('torch.')}"
    if head_width % 8 or head_width > 256:
        return f"varlen kernels need heads of a multiple of 8 up to 256, not {head_width}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "varlen kernels need compute capability 8.0 (Ampere) or newer"
    if not flash_varlen() and not torch.backends.cuda.is_flash_attention_available():
        return "flash-attn is not installed and this torch was built without a varlen kernel"
    return None


def attend(q: Tensor, k: Tensor, v: Tensor, packing: Packing, causal: bool = False) -> Tensor:
    """softmax(q kᵀ / sqrt(d)) v within each segment.

    Args:
        causal: whether a token attends only to itself and to earlier tokens of its segment. Tokens are time-major:
            these are all tokens of earlier bins, and the tokens of the same bin up to its own patch.

    Shape:
        q, k, v: (N, H, d), the segments of `packing` packed.
        output: (N, H, d).
    """
    kernel = choose_kernel(q.device, q.dtype, packing.equal, q.shape[-1]).name
    if kernel in ("dense", "dense per length"):
        return by_length(partial(_dense, causal=causal), packing, q, k, v)
    segments = (packing.cu_seqlens, packing.cu_seqlens, max(packing.lengths), max(packing.lengths))
    if kernel == "flash-attn":
        flash = flash_varlen()
        assert flash is not None  # `choose_kernel` has checked this
        return flash(q, k, v, *segments, causal=causal, deterministic=torch.are_deterministic_algorithms_enabled())
    from torch.nn.attention.varlen import varlen_attn  # takes seconds to import

    # A window is (tokens back, tokens ahead); -1 is unlimited.
    mixed = varlen_attn(q, k, v, *segments, window_size=(-1, 0) if causal else (-1, -1))
    assert isinstance(mixed, Tensor)  # a tuple only if statistics are requested
    return mixed


def _dense(q, k, v, causal):
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # (n, L, H, d) -> (n, H, L, d)
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2)


def by_length(function: Callable[..., Tensor], packing: Packing, *packed: Tensor) -> Tensor:
    """Apply a function to the segments of each length.

    Args:
        function: from tensors (n, L, ...) to a tensor (n, L, ...).
        packed: tensors (N, ...), the arguments of the function.
    Returns:
        (N, ...).
    """
    if packing.equal:
        return function(*(x.unflatten(0, (-1, packing.lengths[0])) for x in packed)).flatten(0, 1)
    # After one sorting, the groups are slices. Gathering each group separately costs a backward pass over all N tokens
    # per group: 3.5 times the time for 64 segments of 20 to 80 tokens.
    order, back, sizes = packing.grouping
    pieces = zip(*(x.index_select(0, order).split(list(sizes.values())) for x in packed), strict=True)
    groups = ([x.unflatten(0, (-1, length)) for x in piece] for length, piece in zip(sizes, pieces, strict=True))
    return torch.cat([function(*group).flatten(0, 1) for group in groups]).index_select(0, back)


def attend_slowly(q: Tensor, k: Tensor, v: Tensor, lengths: tuple[int, ...], causal: bool = False) -> Tensor:
    """The definition of attention, one segment at a time: the reference with which tests compare `attend`."""
    out = []
    for q_s, k_s, v_s in zip(*(x.split(list(lengths)) for x in (q, k, v)), strict=True):
        scores = torch.einsum("qhd,khd->hqk", q_s, k_s) / q.shape[-1] ** 0.5
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -torch.inf)
        out.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v_s))
    return torch.cat(out)
