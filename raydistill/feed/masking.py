"""Masking: which tokens of a segment are the input of a model that reconstructs the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from raydistill.config.objectives import Blocks
from raydistill.feed.tokens import Batch

MOST_BLOCKS = 200
"""Blocks that are drawn for a segment, at most; they may overlap."""
ROUNDING = 1e-9
"""Of a number of patches: 0.3 times 10 is more than 3."""


class Draw(NamedTuple):
    """The random choices of a forward pass depend on these values and on the segment."""

    seed: int
    epoch: int
    split: str = "train"
    step: int = 0
    """Of the epoch; only masks that a batch shares depend on it."""


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

    def choose(random: np.random.Generator, n_bins: int, length: int) -> np.ndarray:
        is_masked = np.zeros(length, dtype=bool)
        is_masked[random.permutation(length)[: int(ratio * length)]] = True
        return is_masked

    return _masking(batch, draw, choose)


def mask_same_tokens(batch: Batch, ratio: float, draw: Draw) -> Masking:
    """Mask floor(ratio * length) tokens of each segment, of segments of equal length the same ones.

    The order in which places are masked is one for the whole batch, a function of `draw` alone; shorter segments skip
    those that they do not have. It is therefore the same in every micro-batch and on every worker.
    """
    key = [draw.seed, draw.epoch, crc32(draw.split.encode()), draw.step]
    ranks = np.random.default_rng(key).random(max(batch.lengths))

    def choose(random: np.random.Generator, n_bins: int, length: int) -> np.ndarray:
        is_masked = np.zeros(length, dtype=bool)
        is_masked[np.argsort(ranks[:length], kind="stable")[: int(ratio * length)]] = True
        return is_masked

    return _masking(batch, draw, choose)


def mask_patches(batch: Batch, ratio: float, draw: Draw, patch_bins: int) -> Masking:
    """Mask patches of so many successive bins of a single patch of units or channels, floor(ratio * patches) of each
    segment, the last ones shorter if bins do not divide it. The choice is a function of `draw` and the segment alone.
    """

    def choose(random: np.random.Generator, n_bins: int, length: int) -> np.ndarray:
        of_patches = np.zeros((-(-n_bins // patch_bins), length // n_bins), dtype=bool)
        of_patches.flat[random.permutation(of_patches.size)[: int(ratio * of_patches.size)]] = True
        return of_patches.repeat(patch_bins, axis=0)[:n_bins].ravel()

    return _masking(batch, draw, choose)


def mask_bins(batch: Batch, ratio: float, blocks: Blocks, draw: Draw) -> Masking:
    """Mask all tokens of blocks of bins, floor(ratio * T) bins of each segment or a few less (docs/methods.md,
    Objectives). The choice is a function of `draw` and the segment alone, as in `mask_tokens`.
    """

    def choose(random: np.random.Generator, n_bins: int, length: int) -> np.ndarray:
        return np.repeat(draw_blocks(n_bins, int(ratio * n_bins), blocks, random), length // n_bins)

    return _masking(batch, draw, choose)


def mask_groups(batch: Batch, groups: Mapping[str, np.ndarray], ratio: float, draw: Draw, token_bins: int) -> Tensor:
    """Which tokens of `token_bins` bins of one patch are masked: those of whole groups of patches, over all time
    (`draw_groups`). The choice is a function of `draw` and the segment alone, as in `mask_tokens`.

    Args:
        groups: session -> (P,) the group of each patch.
    Returns:
        (n,) bool, the tokens of each segment one stretch of bins after another.
    """
    masks, segments = [], zip(batch.sessions, batch.numbers, batch.bins, strict=True)
    for session, number, n_bins in segments:
        of_patches = draw_groups(groups[session], ratio, np.random.default_rng(_key(draw, session, number)))
        masks.append(np.tile(of_patches, -(-n_bins // token_bins)))
    return torch.from_numpy(np.concatenate(masks)).to(batch.time.device)


def draw_groups(groups: np.ndarray, ratio: float, random: np.random.Generator) -> np.ndarray:
    """(P,) bool: whole groups in random order, until at least `ratio` of the patches are masked. At least one group
    stays visible."""
    is_masked = np.zeros(len(groups), dtype=bool)
    for group in random.permutation(np.unique(groups))[:-1]:
        if is_masked.sum() >= ratio * len(groups) - ROUNDING:
            break
        is_masked |= groups == group
    return is_masked


def draw_bins(batch: Batch, share: float, draw: Draw) -> Tensor:
    """Indices of all tokens of floor(share * T) bins of each segment, at least one, as in `mask_tokens`."""

    def choose(random: np.random.Generator, n_bins: int, length: int) -> np.ndarray:
        is_chosen = np.zeros(n_bins, dtype=bool)
        is_chosen[random.permutation(n_bins)[: max(1, int(share * n_bins))]] = True
        return np.repeat(is_chosen, length // n_bins)

    return _masking(batch, draw, choose).masked


def draw_blocks(n_bins: int, wanted: int, blocks: Blocks, random: np.random.Generator) -> np.ndarray:
    """(n_bins,) bool: the union of blocks, with at most `wanted` bins.

    A block is never longer than what is missing, so that the last blocks may be shorter than the shortest.
    """
    is_masked = np.zeros(n_bins, dtype=bool)
    for _ in range(MOST_BLOCKS):
        missing = wanted - int(is_masked.sum())
        if missing <= 0:
            break
        length = min(int(random.integers(blocks.shortest, blocks.longest + 1)), missing)
        start = int(random.integers(0, n_bins - length + 1))
        is_masked[start : start + length] = True
    return is_masked


def _key(draw: Draw, session: str, number: int) -> list[int]:
    """What the random choices for a segment depend on."""
    return [draw.seed, draw.epoch, crc32(draw.split.encode()), crc32(session.encode()), number]


def _masking(batch: Batch, draw: Draw, choose: Callable[[np.random.Generator, int, int], np.ndarray]) -> Masking:
    """The masking whose tokens `choose` selects in each segment: (random, bins, tokens) -> (tokens,) bool."""
    visible, masked, start = [], [], 0
    for session, number, n_bins, length in zip(batch.sessions, batch.numbers, batch.bins, batch.lengths, strict=True):
        is_masked = choose(np.random.default_rng(_key(draw, session, number)), n_bins, length)
        masked.append(np.flatnonzero(is_masked) + start)
        visible.append(np.flatnonzero(~is_masked) + start)
        start += length
    device = batch.time.device
    return Masking(
        visible=torch.from_numpy(np.concatenate(visible)).to(device),
        masked=torch.from_numpy(np.concatenate(masked)).to(device),
        visible_lengths=tuple(len(indices) for indices in visible),
    )
