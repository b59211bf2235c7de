"""Cutting and drawing: exact fold sizes, no unit on two sides, one split for every segment length."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydistill.config.recordings import Splits
from raydistill.errors import DataError
from raydistill.store.splits import cut, fold_sizes


@given(n_parents=st.integers(10, 60), seed=st.integers(0, 5), ratio=st.sampled_from([1, 2, 5]))
def test_cut_by_time_keeps_every_parent_in_one_fold(n_parents, seed, ratio):
    splits = Splits(parent_s=10, segment_s=10 / ratio, seed=seed)
    cuts = cut("s", n_parents * 100 + 7, 100.0, splits, None, None)
    folds = {}
    for c in cuts:
        folds.setdefault(c.start // 100, set()).add(c.split)
        assert c.start // 100 == (c.stop - 1) // 100
    assert len(folds) == n_parents and all(len(f) == 1 for f in folds.values())
    n_valid, n_test = fold_sizes(n_parents, splits)
    assert sum(f == {"valid"} for f in folds.values()) == n_valid == n_parents // 10
    assert sum(f == {"test"} for f in folds.values()) == n_test


def test_cut_other_segment_length_keeps_the_split():
    fold_of = lambda s: {c.start // 100: c.split for c in cut("s", 3000, 100.0, s, None, None)}  # noqa: E731
    assert fold_of(Splits(parent_s=10, segment_s=5)) == fold_of(Splits(parent_s=10, segment_s=2.5))


def test_cut_released_protocol_keeps_its_off_by_one_sizes():
    assert fold_sizes(25, Splits(protocol="released")) == (2, 3)
    assert fold_sizes(9, Splits(protocol="released")) == (0, 1)
    assert fold_sizes(25, Splits()) == (2, 2)
    assert fold_sizes(5, Splits()) == (1, 1)


def test_cut_by_trials_makes_each_trial_one_segment():
    trial = np.repeat([3, -1, 4, 5, 6], [20, 5, 17, 25, 3]).astype(np.int32)
    cuts = cut("s", len(trial), 100.0, Splits(by="trials"), trial, None)
    assert [(c.start, c.stop, c.trial) for c in cuts] == [(0, 20, 3), (25, 42, 4), (42, 67, 5), (67, 70, 6)]
    assert {c.split for c in cuts} == {"train", "valid", "test"}


def test_cut_by_blocks_leaves_a_guard_between_folds():
    splits = Splits(by="blocks", segment_s=1, parent_s=1, guard_s=2)
    cuts = cut("s", 10_000, 10.0, splits, None, None)
    for a in cuts:
        for b in cuts:
            if a.split != b.split:
                assert max(a.start, b.start) - min(a.stop, b.stop) >= 200
    assert {c.split for c in cuts} == {"train", "valid", "test"}


@pytest.mark.parametrize("splits", [Splits(), Splits(by="blocks"), Splits(by="trials")])
def test_cut_short_session_is_refused(splits):
    trial = np.zeros(200, np.int32)
    with pytest.raises(DataError, match=r"short|too few"):
        cut("short", 200, 100.0, splits, trial, None)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 20)), min_size=6, max_size=12))
def test_cut_by_time_never_crosses_a_gap(pieces):
    """Pieces of 40 bins or more, so that there are enough parents; labels count up, gaps are -1."""
    label = np.concatenate([np.repeat([i, -1], [40 + length, gap]) for i, (length, gap) in enumerate(pieces)]).astype(
        np.int32
    )
    cuts = cut("s", len(label), 100.0, Splits(parent_s=4, segment_s=2), None, label)
    assert all(len(set(label[c.start : c.stop])) == 1 and label[c.start] >= 0 for c in cuts)
    assert len(cuts) == sum((40 + length) // 20 for length, _ in pieces)


@pytest.mark.parametrize(
    ("length", "chunks"), [(50, [50]), (49, [49]), (100, [50, 50]), (120, [50, 50, 20]), (51, [50, 1])]
)
def test_cut_of_a_long_trial_keeps_all_of_it_also_when_it_is_a_whole_multiple(length, chunks):
    trial = np.repeat([0, 1, 2], [length, 30, 30]).astype(np.int32)
    cuts = [c for c in cut("s", len(trial), 100.0, Splits(by="trials"), trial, None) if c.trial == 0]
    assert [c.stop - c.start for c in cuts] == chunks and cuts[-1].stop == length
    assert len({c.split for c in cuts}) == 1
