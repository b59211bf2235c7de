"""The order of segments depends on seed and epoch alone, and every worker count sees the same batches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydistill.feed.order import SHARDS, SegmentPlace, Shards, in_batches

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=80)


def dealt(sizes):
    return Shards.deal(sizes, sizes)


@given(SIZES, st.integers(0, 3), st.integers(0, 3))
def test_epoch_order_holds_every_row_once_and_repeats(sizes, seed, epoch):
    order = dealt(sizes).epoch(seed, epoch)
    assert sorted(order) == [SegmentPlace(p, r) for p, size in enumerate(sizes) for r in range(size)]
    assert order == dealt(sizes).epoch(seed, epoch)


def test_epoch_order_differs_between_epochs_and_seeds():
    orders = {tuple(dealt([20, 20]).epoch(seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@given(SIZES, st.integers(1, 4))
def test_deal_gives_each_part_to_one_worker_and_balances_shards(sizes, workers):
    shards = dealt(sizes)
    held = [shards.parts_of(rank, workers) for rank in range(workers)]
    assert sorted(p for parts in held for p in parts) == list(range(len(sizes)))
    loads = [sum(sizes[p] for p in parts) for parts in shards.shards]
    assert len(loads) == min(SHARDS, len(sizes)) and max(loads) - min(loads) <= max(sizes)


@pytest.mark.parametrize("workers", [1, 2, 4, 8])
@pytest.mark.parametrize("parts", [16, 64])
def test_workers_have_equal_shares_of_every_batch_of_equal_parts(parts, workers):
    shards = dealt([10] * parts)
    held = [set(shards.parts_of(rank, workers)) for rank in range(workers)]
    for rows in in_batches(shards.epoch(0, 3), 8):
        assert [sum(row.part in parts for row in rows) for parts in held] == [8 // workers] * workers


def test_epoch_order_spreads_each_part_over_the_epoch():
    for rows in in_batches(dealt([64, 64, 64, 64]).epoch(0, 0), 32):
        assert [sum(row.part == p for row in rows) for p in range(4)] == [8] * 4


def test_epoch_order_goes_through_a_shard_one_part_at_a_time():
    shards = dealt([5] * (3 * SHARDS))
    for epoch in range(3):
        order = shards.epoch(0, epoch)
        for parts in shards.shards:
            seen = [row.part for row in order if row.part in parts]
            assert len(parts) == 3 and len({tuple(seen[i : i + 5]) for i in (0, 5, 10)}) == 3
            assert all(len(set(seen[i : i + 5])) == 1 for i in (0, 5, 10))
