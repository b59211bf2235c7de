"""The state-space recurrence of REALM's blocks, over whole segments and one bin at a time (docs/methods.md, Model).

    h_t = a_t h_{t-1} + x_t b_t^T,    y_t = h_t c_t

where b and c are rotated by an angle that grows with t. Over a segment, the outputs are computed in chunks: within a
chunk as a masked product of all pairs of bins, between chunks through the state. With one chunk this is the dual form.

Axes: n segments of one length, T bins, H heads, P width of a head, S state dimensions (even), Q bins of a chunk.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

ROTATION_BASE = 1e4


def frequencies(states: int, device: torch.device | None = None) -> Tensor:
    """(S / 2,) float64 angles per bin, by which pairs of state dimensions (i, i + S / 2) are rotated."""
    half = torch.arange(states // 2, dtype=torch.float64, device=device)
    return ROTATION_BASE ** (-2 * half / states)


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    """The pairs (i, i + S / 2) of the last dimension, rotated. Shape: (..., S), float64 (..., S / 2) -> (..., S)."""
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def scan(x: Tensor, b: Tensor, c: Tensor, log_a: Tensor, chunk: int) -> Tensor:
    """The outputs of whole segments that begin with a state of zero.

    Args:
        b, c: not rotated.
        log_a: logarithms of the decays, at most 0.
        chunk: Q. The time is proportional to T Q, and memory too.
    Shape:
        x: (n, T, H, P); b, c: (n, T, S); log_a: (n, T, H); output: (n, T, H, P).
    """
    _, length, heads, width = x.shape
    bins = torch.arange(length, dtype=torch.float64, device=x.device)
    angles = bins[:, None] * frequencies(b.shape[-1], x.device)  # (T, S / 2), in float64: it grows without limit
    b, c = rotated(b, angles), rotated(c, angles)
    q = min(chunk, length)
    missing = -length % q
    x, b, c, log_a = (F.pad(t.flatten(2), (0, 0, 0, missing)).unflatten(1, (-1, q)) for t in (x, b, c, log_a))
    x = x.unflatten(-1, (heads, width))  # (n, chunks, Q, H * P) -> (n, chunks, Q, H, P)
    total = log_a.cumsum(2)  # (n, chunks, Q, H): log decay from the start of the chunk, this bin included
    y = _within_chunks(x, b, c, total)
    if x.shape[1] > 1:
        y = y + _from_earlier_chunks(x, b, c, total)
    return y.flatten(1, 2)[:, :length]  # (n, chunks, Q, H, P) -> (n, T, H, P)


def _within_chunks(x: Tensor, b: Tensor, c: Tensor, total: Tensor) -> Tensor:
    """What each bin reads of the bins of its chunk up to itself. Shape: (n, chunks, Q, H, P)."""
    q = x.shape[2]
    by_head = total.movedim(-1, 2)  # (n, chunks, H, Q)
    exponent = by_head[..., :, None] - by_head[..., None, :]  # (n, chunks, H, Q, Q): decay from bin s to bin t
    later = torch.ones(q, q, dtype=torch.bool, device=x.device).triu(1)
    decay = exponent.masked_fill(later, -torch.inf).exp()  # masked before exp, which could overflow
    scores = c @ b.transpose(-1, -2)  # (n, chunks, Q, Q)
    return torch.einsum("nkhts,nkshp->nkthp", decay * scores[:, :, None], x)


def _from_earlier_chunks(x: Tensor, b: Tensor, c: Tensor, total: Tensor) -> Tensor:
    """What each bin reads of the state at the end of the chunk before. Shape: (n, chunks, Q, H, P)."""
    to_end = (total[:, :, -1:] - total).exp()  # (n, chunks, Q, H)
    added = torch.einsum("nkshp,nksd->nkhpd", x * to_end[..., None], b)  # (n, chunks, H, P, S)
    kept = total[:, :, -1].exp()[..., None, None]  # (n, chunks, H, 1, 1)
    state, states = torch.zeros_like(added[:, 0]), []
    for k in range(added.shape[1]):
        states.append(state)
        state = kept[:, k] * state + added[:, k]
    before = torch.stack(states, dim=1)  # (n, chunks, H, P, S)
    return torch.einsum("nkhpd,nktd->nkthp", before, c) * total.exp()[..., None]


def step(state: Tensor, x: Tensor, b: Tensor, c: Tensor, log_a: Tensor) -> tuple[Tensor, Tensor]:
    """The state after one more bin, and its output.

    The state is turned back by one bin instead of rotating b and c forward, so no angle grows with time.

    Shape:
        state: (n, H, P, S); x: (n, H, P); b, c: (n, S); log_a: (n, H); output: (n, H, P, S) and (n, H, P).
    """
    turned = rotated(state, -frequencies(state.shape[-1], state.device))
    state = log_a.exp()[..., None, None] * turned + x[..., None] * b[:, None, None]
    return state, (state * c[:, None, None]).sum(-1)
