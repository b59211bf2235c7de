"""Segments cut further: nothing is lost, the same in any memory, and scored as whole segments."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raydistill.config.engine import EngineConfig
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.feed.pieces import MOST_PIECES, Pieces
from raydistill.feed.placement import Share, open_feed
from raydistill.feed.reading import read_directly
from raydistill.feed.tokens import pack
from raydistill.models.families import build_model
from raydistill.models.files import save_model
from raydistill.models.inputs import inputs_of
from raydistill.models.latents import encode
from raydistill.models.loaded import load_model
from raydistill.store.session import Session
from raydistill.store.store import Store
from tests.small import make_segments, make_spec

BINS = 20
"""Of a segment; a piece of 0.14 s has at most 7 bins of 20 ms."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store, random = Store(str(tmp_path_factory.mktemp("store"))), np.random.default_rng(0)
    for name in ("a", "b"):
        session = Session.from_arrays(
            name, subject=name, bin_width_ms=20, spikes=random.poisson(0.7, (900, {"a": 8, "b": 20}[name]))
        )
        store.write(session, IngestConfig(bin_width_ms=20, splits=Splits(segment_s=0.4, parent_s=0.8)), "a" * 64)
    store.publish()
    return store


def make_share(store, piece_s=0.14, **other):
    spec = dataclasses.replace(make_spec("spikes", "count"), piece_s=piece_s)
    entries = tuple(store.entry(name) for name in ("a", "b"))
    return Share(entries=entries, inputs=inputs_of(spec, entries), **other)


def feed_of(store, share, memory="host", teacher=None):
    read = read_directly(store, list(share.entries), share.signals)
    feed, _ = open_feed(share, read, batch=10, seed=0, engine=EngineConfig(memory=memory), teacher=teacher)
    return feed


@given(st.integers(1, 700), st.sampled_from([10, 20, 30]), st.floats(0.01, 8))
def test_pieces_have_equal_lengths_and_no_bin_is_left_over(n_bins, bin_width_ms, seconds):
    pieces = Pieces(seconds=seconds, bin_width_ms=bin_width_ms)
    lengths = pieces.lengths(n_bins)
    assert sum(lengths) == n_bins and max(lengths) - min(lengths) <= 1 and min(lengths) > 0
    assert max(lengths) == pieces.longest(n_bins) < max(1000 * seconds / bin_width_ms + 1, 2) + 1e-6
    assert len(lengths) == pieces.count(n_bins)
    if len(lengths) > 1 and max(lengths) > 1:  # one piece less would be too long
        assert n_bins / (len(lengths) - 1) > 1000 * seconds / bin_width_ms


def test_pieces_of_the_paper_are_seconds():
    assert Pieces(seconds=1, bin_width_ms=10).lengths(500) == [100] * 5
    assert Pieces(seconds=1, bin_width_ms=30).lengths(100) == [33, 33, 34]


def test_cut_keeps_every_value_and_its_time_under_numbers_of_their_own():
    (segment,) = make_segments(["b"], [BINS])
    segment = dataclasses.replace(segment, number=4, start_s=7.0, behavior=np.arange(BINS)[:, None], split="valid")
    pieces = Pieces(seconds=0.14, bin_width_ms=20).cut(segment)
    assert [piece.n_bins for piece in pieces] == [6, 7, 7]
    for name in ("spikes", "lfp", "behavior"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        assert np.array_equal(joined, getattr(segment, name))
    assert [piece.start_s for piece in pieces] == pytest.approx([7.0, 7.12, 7.26])
    assert [piece.number for piece in pieces] == [4 * MOST_PIECES, 4 * MOST_PIECES + 1, 4 * MOST_PIECES + 2]
    assert {piece.split for piece in pieces} == {"valid"}


def test_feed_has_every_bin_once_in_any_memory_and_for_any_number_of_workers(store):
    whole, batches = feed_of(store, make_share(store)), {}
    batches["host"] = [batch.tokens for (batch,) in whole.train(0)]
    batches["stream"] = [batch.tokens for (batch,) in feed_of(store, make_share(store), "stream").train(0)]
    for one, other in zip(batches["host"], batches["stream"], strict=True):
        assert torch.equal(one.values, other.values) and one.numbers == other.numbers
    n_segments = sum(e.splits["train"] for e in make_share(store).entries)
    assert [len(batch.bins) for batch in batches["host"][:-1]] == [10] * (whole.steps - 1)
    lengths = [n for batch in batches["host"] for n in batch.bins]
    assert len(lengths) == 3 * n_segments and sum(lengths) == BINS * n_segments
    shares = [feed_of(store, make_share(store, rank=rank, workers=2)) for rank in range(2)]
    for batch, *parts in zip(batches["host"], *(share.train(0) for share in shares), strict=True):
        held = [p.tokens for part in parts for p in part if not p.idle]
        assert sorted(n for p in held for n in zip(p.sessions, p.numbers, strict=True)) == sorted(
            zip(batch.sessions, batch.numbers, strict=True)
        )


def test_teacher_reads_whole_segments_and_its_latents_are_cut_with_them(store):
    asked = []

    def teacher(segments):
        asked.extend(segment.n_bins for segment in segments)
        return [torch.from_numpy(segment.spikes[:, :1].astype(np.float32)) for segment in segments]

    for memory in ("host", "stream"):
        feed = feed_of(store, make_share(store, teacher_width=1), memory, teacher)
        for (batch,) in feed.train(0):
            of_first_unit = batch.tokens.values[batch.tokens.patch == 0, :1].float()
            assert torch.equal(batch.teacher_latents, of_first_unit)
    assert set(asked) == {BINS}


def test_latents_of_a_segment_are_those_of_its_pieces():
    torch.manual_seed(0)
    spec = dataclasses.replace(make_spec("spikes", "count"), piece_s=0.14)
    model, segments = build_model(spec).eval(), make_segments(["b", "a"] * 20, [BINS, 9] * 20)
    pieces = {name: Pieces(seconds=0.14, bin_width_ms=20) for name in ("a", "b")}
    inputs = dataclasses.replace(inputs_of(spec, []), pieces=pieces)
    whole = list(encode(model, segments, inputs))
    assert [len(latents) for latents in whole] == [BINS, 9] * 20
    for segment, latents in zip(segments[:2], whole, strict=False):
        alone = [model.latents(pack([inputs.tokenize(piece)])) for piece in inputs.cut(segment)]
        torch.testing.assert_close(latents, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_arrays_are_read_in_the_pieces_of_the_training(tmp_path):
    torch.manual_seed(0)
    norm = {"spikes": {"mean": [0.0] * 20, "std": [1.0] * 20}}
    spec = dataclasses.replace(
        make_spec("spikes", "count"),
        sessions={"b": 3},
        piece_s=0.14,
        provenance={"segment_bins": {"b": 7}, "normalisation": {"b": norm}},
    )
    save_model(build_model(spec), tmp_path)
    model, spikes = load_model(tmp_path), np.random.default_rng(0).poisson(0.7, (21, 20))
    latents = model.latents(spikes=spikes)
    parts = [model.latents(spikes=spikes[a : a + 7]) for a in (0, 7, 14)]
    np.testing.assert_allclose(latents, np.concatenate(parts), atol=1e-5)
