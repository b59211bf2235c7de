"""Feeds: every worker its share of each global batch, packed without padding, whatever the memory it is in."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raydistill.config.objectives import Blocks
from raydistill.feed.feed import Example, Feed, InMemory, Streaming
from raydistill.feed.masking import Draw, mask_bins
from raydistill.feed.order import SegmentPlace, Shards
from raydistill.feed.tokens import Inputs
from raydistill.store.catalogue import Part
from raydistill.store.session import Segment

SPIKES = Inputs(modality="spikes", widths=(4,))


def make_segment(number, n_bins=4, units=5):
    spikes = np.full((n_bins, units), number % 200, np.uint8)
    behavior = np.full((n_bins, 2), number, np.float32)
    return Segment("s", number, "train", 0.0, spikes, None, behavior)


def example(segment):
    target = torch.full((segment.n_bins, 6), float(segment.number))
    return Example(SPIKES.tokenize(segment), target)


def make_feed(sizes, batch, rank=0, workers=1, micro_batch=None, source=None, n_bins=lambda number: 4):
    """The segment of row r in part p has number 10 p + r."""
    shards = Shards.deal(sizes, sizes)
    examples = {
        SegmentPlace(p, r): example(make_segment(10 * p + r, n_bins(10 * p + r)))
        for p in shards.parts_of(rank, workers)
        for r in range(sizes[p])
    }
    return Feed(
        source=source or InMemory({"train": examples, "valid": examples}),
        train_shards=shards,
        valid_shards=shards,
        batch=batch,
        seed=0,
        rank=rank,
        workers=workers,
        micro_batch=micro_batch,
        part_sessions=[f"session{p}" for p in range(len(sizes))],
    )


def numbers(share):
    return [n for batch in share if not batch.idle for n in batch.tokens.numbers]


@given(
    st.lists(st.integers(1, 9), min_size=3, max_size=40), st.integers(1, 6), st.integers(0, 3), st.sampled_from([2, 3])
)
def test_feed_shares_of_all_workers_are_the_global_batches(sizes, batch, epoch, workers):
    everything = make_feed(sizes, batch)
    shares = [make_feed(sizes, batch, rank, workers) for rank in range(workers)]
    seen = []
    for whole, *parts in zip(everything.train(epoch), *(s.train(epoch) for s in shares), strict=True):
        assert sorted(n for part in parts for n in numbers(part)) == sorted(numbers(whole))
        seen += numbers(whole)
    assert sorted(seen) == sorted(10 * p + r for p, size in enumerate(sizes) for r in range(size))
    valid = sorted(n for s in shares for n in numbers(s.valid()))
    assert valid == sorted(seen)


@pytest.mark.parametrize(("workers", "micro_batch"), [(2, None), (3, 2)])
def test_masked_bins_are_the_floor_of_each_segment_and_the_same_on_any_number_of_workers(workers, micro_batch):
    sizes, blocks = [5, 3, 4, 6, 2], Blocks(shortest=3, longest=9)

    def n_bins(number):
        return 20 + number % 7

    def masked_bins(rank, workers, micro_batch):
        """Number of a segment -> which of its bins are masked."""
        found = {}
        share = make_feed(sizes, 6, rank, workers, micro_batch, n_bins=n_bins).train(epoch=2)
        for tokens in (batch.tokens for step in share for batch in step if not batch.idle):
            is_masked = torch.zeros(len(tokens.time), dtype=torch.bool)
            is_masked[mask_bins(tokens, 0.6, blocks, Draw(seed=0, epoch=2)).masked] = True
            of_segments = zip(tokens.numbers, tokens.bins, is_masked.split(tokens.lengths), strict=True)
            for number, bins, of_segment in of_segments:
                of_bins = of_segment.view(bins, -1)
                assert torch.equal(of_bins.all(1), of_bins.any(1))
                found[number] = of_bins[:, 0].tolist()
        return found

    alone = masked_bins(0, 1, None)
    assert len(alone) == sum(sizes) and all(sum(of) == int(0.6 * n_bins(n)) for n, of in alone.items())
    shares = [masked_bins(rank, workers, micro_batch) for rank in range(workers)]
    assert sum(map(len, shares)) == len(alone)
    assert {number: of for share in shares for number, of in share.items()} == alone


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 6), st.integers(0, 9))
def test_feed_from_a_step_on_is_the_rest_of_the_epoch(sizes, batch, start):
    feed = make_feed(sizes, batch)
    whole = [numbers(share) for share in feed.train(2)]
    assert len(whole) == feed.steps
    assert [numbers(share) for share in feed.train(2, start)] == whole[start:]


def test_feed_cuts_its_share_into_micro_batches():
    (share,) = make_feed([7], 7, micro_batch=3).train(0)
    assert [len(batch.tokens.numbers) for batch in share] == [3, 3, 1]
    (whole,) = make_feed([7], 7).train(0)
    assert numbers(share) == numbers(whole)


def test_feed_hands_out_the_latents_of_the_teacher_with_their_segments():
    for (batch,) in make_feed([3], 2).train(0):
        assert batch.teacher_latents[:, 0].tolist() == [float(n) for n in batch.tokens.numbers for _ in range(4)]


def test_feed_names_the_sessions_of_a_step():
    feed = make_feed([2, 2, 2], 2)
    for step, share in enumerate(feed.train(1)):
        assert feed.sessions(1, step) == sorted({f"session{n // 10}" for n in numbers(share)})


@given(st.lists(st.integers(1, 9), min_size=2, max_size=50), st.integers(1, 8), st.sampled_from([1, 2]))
def test_streaming_feed_gives_what_one_in_memory_gives_and_reads_each_part_once(sizes, batch, workers):
    parts = [
        Part(path=str(p), split="train", numbers=tuple(range(n)), n_bins=(4,) * n, size=0, sha256="")
        for p, n in enumerate(sizes)
    ]
    reads = defaultdict(int)

    def read(requested):
        for part in requested:
            reads[part.path] += 1
            yield [make_segment(10 * int(part.path) + r) for r in range(len(part.numbers))]

    source = Streaming(read, {"train": parts, "valid": parts}, example)
    streaming, in_memory = make_feed(sizes, batch, 0, workers, source=source), make_feed(sizes, batch, 0, workers)
    for one, other in zip(streaming.train(3), in_memory.train(3), strict=True):
        assert numbers(one) == numbers(other)
        assert all(torch.equal(a.tokens.values, b.tokens.values) for a, b in zip(one, other, strict=True))
    assert set(reads.values()) == {1} and {int(p) for p in reads} == set(in_memory.train_shards.parts_of(0, workers))
