"""Masks of exact size that depend on the segment alone."""

import torch

from raydistill.feed.masking import Draw, mask_tokens
from tests.small import make_batch

DRAW = Draw(seed=0, epoch=3)


def test_mask_tokens_masks_exactly_the_floor_of_each_segment():
    masking = mask_tokens(make_batch(["a", "b", "a"], [7, 5, 11]), 0.6, DRAW)
    assert masking.visible_lengths == (7 - 4, 15 - 9, 11 - 6)
    assert sorted(torch.cat([masking.visible, masking.masked]).tolist()) == list(range(33))


def test_mask_tokens_depends_on_segment_and_epoch_not_on_the_batch():
    alone = mask_tokens(make_batch(["a"], [20]), 0.6, DRAW).masked
    first = mask_tokens(make_batch(["a", "b"], [20, 6]), 0.6, DRAW).masked[:12]
    later = mask_tokens(make_batch(["a"], [20]), 0.6, Draw(0, 4)).masked
    assert torch.equal(alone, first) and not torch.equal(alone, later)
