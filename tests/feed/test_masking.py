"""Masks of exact size that depend on the segment alone."""

import numpy as np
import pytest
import torch

from raydistill.config.objectives import Blocks
from raydistill.feed.masking import (
    Draw,
    draw_bins,
    draw_blocks,
    draw_groups,
    mask_bins,
    mask_groups,
    mask_patches,
    mask_same_tokens,
    mask_tokens,
)
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


def test_mask_same_tokens_masks_one_set_of_places_in_a_batch_and_another_in_the_next():
    masking = mask_same_tokens(make_batch(["a", "b", "a"], [20, 5, 20]), 0.6, DRAW)
    assert masking.visible_lengths == (8, 6, 8)
    first, short, last = masking.masked.split([12, 9, 12])
    assert torch.equal(first, last - 35)
    in_order = [place for place in (short - 20).tolist() if place in first.tolist()]
    assert len(in_order) >= 12 - 5, "a shorter segment has the same order of places, of those that it has"
    alone = mask_same_tokens(make_batch(["a"], [20]), 0.6, DRAW).masked
    assert torch.equal(alone, first), "as on another worker, or in another micro-batch"
    assert not torch.equal(mask_same_tokens(make_batch(["a"], [20]), 0.6, DRAW._replace(step=1)).masked, first)
    assert not torch.equal(mask_tokens(make_batch(["a", "a"], [20, 20]), 0.6, DRAW).masked[12:] - 20, first)


def test_mask_patches_masks_exactly_the_floor_of_the_patches_of_each_segment_as_a_whole():
    masking = mask_patches(make_batch(["b", "a"], [10, 8]), 0.4, DRAW, 4)
    is_masked = torch.zeros(38, dtype=torch.bool).index_fill(0, masking.masked, True)
    of_b = is_masked[:30].view(10, 3)  # bins, patches per bin: 9 patches of 4, 4 and 2 bins
    for bins in (of_b[:4], of_b[4:8], of_b[8:]):
        assert torch.equal(bins.all(0), bins.any(0))
    assert int(of_b[[0, 4, 8]].sum()) == 3  # floor(0.4 * 9)
    assert not is_masked[30:].any()  # floor(0.4 * 2)
    alone = mask_patches(make_batch(["b"], [10]), 0.4, DRAW, 4).masked
    assert torch.equal(alone, masking.masked)
    assert not torch.equal(alone, mask_patches(make_batch(["b"], [10]), 0.4, Draw(0, 4), 4).masked)


@pytest.mark.parametrize("n_bins", [500, 100, 40, 7, 1])
def test_blocks_cover_the_floor_of_a_segment_and_never_more(n_bins):
    blocks, wanted = Blocks(shortest=10, longest=50), int(0.6 * n_bins)
    sums = [draw_blocks(n_bins, wanted, blocks, np.random.default_rng(seed)).sum() for seed in range(50)]
    assert max(sums) <= wanted and min(sums) >= wanted - 1  # 200 draws nearly always suffice
    assert np.mean(sums) > wanted - 0.1


def test_blocks_are_long_unless_little_is_missing():
    is_masked = draw_blocks(500, 300, Blocks(shortest=10, longest=50), np.random.default_rng(0))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_masked.astype(int), [0]])))
    lengths = edges[1::2] - edges[::2]
    assert lengths.sum() == 300 and np.median(lengths) >= 10


def test_mask_bins_masks_all_tokens_of_a_bin_whatever_the_batch():
    blocks = Blocks(shortest=2, longest=4)
    batch = make_batch(["b", "a"], [20, 9])
    masking = mask_bins(batch, 0.5, blocks, DRAW)
    is_masked = torch.zeros(len(batch.time), dtype=torch.bool).index_fill(0, masking.masked, True)
    by_bin = is_masked[:60].view(20, 3)
    assert torch.equal(by_bin.all(1), by_bin.any(1)) and by_bin[:, 0].sum() == 10
    assert masking.visible_lengths == (30, 5)
    assert torch.equal(mask_bins(make_batch(["b"], [20]), 0.5, blocks, DRAW).masked, masking.masked[:30])


def test_draw_bins_takes_exactly_the_share_of_each_segment_and_at_least_one():
    chosen = draw_bins(make_batch(["a", "b", "a"], [10, 10, 2]), 0.3, DRAW)
    assert [((chosen >= a) & (chosen < b)).sum().item() for a, b in ((0, 10), (10, 40), (40, 42))] == [3, 9, 1]


@pytest.mark.parametrize("sizes", [(1,) * 10, (3, 3, 4), (5, 5), (1, 2, 3, 4, 5)])
def test_groups_are_masked_as_a_whole_until_the_share_is_reached_by_the_last_one(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    for seed in range(50):
        is_masked = draw_groups(groups, 0.3, np.random.default_rng(seed))
        of_groups = [is_masked[groups == group] for group in range(len(sizes))]
        assert all(values.all() or not values.any() for values in of_groups)
        masked = [size for size, values in zip(sizes, of_groups, strict=True) if values.any()]
        assert sum(masked) >= 0.3 * len(groups) - 1e-9
        assert sum(masked) - max(masked) < 0.3 * len(groups), "without one of them, the share was not reached"
    drawn = {tuple(draw_groups(groups, 0.3, np.random.default_rng(seed))) for seed in range(50)}
    assert len(drawn) > 1


def test_one_group_stays_visible_even_if_the_share_is_not_reached():
    masked = {
        draw_groups(np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 1]), 0.3, np.random.default_rng(s)).sum() for s in range(9)
    }
    assert masked == {1, 9}


def test_mask_of_groups_spans_all_time_and_depends_on_the_segment_alone():
    groups = {"a": np.array([0]), "b": np.array([0, 0, 1])}
    batch = make_batch(["b", "b", "b", "b"], [6, 7, 6, 6])
    of_segments = mask_groups(batch, groups, 0.3, DRAW, 3).split([6, 9, 6, 6])  # 2 or 3 stretches of 3 patches
    masks = [values.view(-1, 3) for values in of_segments]
    assert all(torch.equal(mask, mask[:1].expand_as(mask)) for mask in masks)
    assert {tuple(mask[0].tolist()) for mask in masks} == {(True, True, False), (False, False, True)}
    alone = mask_groups(make_batch(["b"], [6]), groups, 0.3, DRAW, 3)
    assert torch.equal(alone, of_segments[0])
