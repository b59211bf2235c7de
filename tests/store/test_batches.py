"""Feeds: every worker its share of each global batch, packed without padding."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from raydistill.store.batches import Feed
from raydistill.store.order import Row
from raydistill.store.session import Segment
from raydistill.store.tokens import Inputs

SPIKES = Inputs(modality="spikes", widths=(4,))


def make_segment(number, n_bins=4, units=5):
    spikes = np.full((n_bins, units), number % 200, np.uint8)
    behavior = np.full((n_bins, 2), number, np.float32)
    return Segment("s", number, "train", 0.0, spikes, None, behavior)


def make_feed(sizes, parts, batch):
    """A worker that holds `parts`; the segment of row r in part p has number 10 p + r."""
    held = {Row(p, r): SPIKES.tokenize(make_segment(10 * p + r)) for p in parts for r in range(sizes[p])}
    return Feed({"train": sizes, "valid": sizes}, {"train": held, "valid": held}, batch, seed=0)


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=5), st.integers(1, 6), st.integers(0, 3), st.sampled_from([2, 3])
)
def test_feed_shares_of_all_workers_are_the_global_batches(sizes, batch, epoch, workers):
    workers = min(workers, len(sizes))
    everything = make_feed(sizes, range(len(sizes)), batch)
    shares = [make_feed(sizes, range(rank, len(sizes), workers), batch) for rank in range(workers)]
    for whole, *parts in zip(everything.train(epoch), *(s.train(epoch) for s in shares), strict=True):
        numbers = [n for part in parts if not part.idle for n in part.numbers]
        assert sorted(numbers) == sorted(whole.numbers)
    seen = [n for b in everything.train(epoch) for n in b.numbers]
    assert sorted(seen) == sorted(10 * p + r for p, size in enumerate(sizes) for r in range(size))


def test_feed_hands_out_the_latents_of_the_teacher_with_their_segments():
    feed = make_feed([3], [0], 2)
    feed.targets = {("s", n): torch.full((4, 6), float(n)) for n in range(3)}
    for batch in feed.train(0):
        assert batch.target[:, 0].tolist() == [float(n) for n in batch.numbers for _ in range(4)]
