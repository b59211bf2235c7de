"""The order of segments depends on seed and epoch alone, and every worker count sees the same batches."""

from hypothesis import given
from hypothesis import strategies as st

from raydistill.store.order import Row, deal, epoch_order, global_batches

SIZES = st.lists(st.integers(1, 9), min_size=1, max_size=8)


@given(SIZES, st.integers(0, 3), st.integers(0, 3))
def test_epoch_order_holds_every_row_once_and_repeats(sizes, seed, epoch):
    order = epoch_order(sizes, seed, epoch)
    assert sorted(order) == [Row(p, r) for p, size in enumerate(sizes) for r in range(size)]
    assert order == epoch_order(sizes, seed, epoch)


def test_epoch_order_differs_between_epochs_and_seeds():
    orders = {tuple(epoch_order([20, 20], seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@given(SIZES, st.integers(1, 4), st.integers(1, 5))
def test_deal_gives_each_part_to_one_worker(sizes, workers, batch):
    dealt = deal(sizes, workers)
    assert sorted(p for parts in dealt for p in parts) == list(range(len(sizes)))
    loads = [sum(sizes[p] for p in parts) for parts in dealt]
    assert max(loads) - min(loads) <= max(sizes)
    for rows in global_batches(epoch_order(sizes, 0, 0), batch):
        shares = [[row for row in rows if row.part in parts] for parts in dealt]
        assert sorted(row for share in shares for row in share) == sorted(rows)


def test_epoch_order_spreads_each_part_over_the_epoch():
    batches = global_batches(epoch_order([64, 64, 64, 64], 0, 0), 32)
    assert all(sum(row.part == p for row in rows) == 8 for rows in batches[1:-1] for p in range(4)) or all(
        7 <= sum(row.part == p for row in rows) <= 9 for rows in batches for p in range(4)
    )
