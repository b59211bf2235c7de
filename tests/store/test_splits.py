"""Folds and segments: exact fold sizes, no span in two folds, one split for every segment length, no bin lost."""

from itertools import pairwise
from math import ceil, floor

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import DataError
from raydistill.store.session import Session
from raydistill.store.splits import (
    SplitSpan,
    cut,
    draw_folds,
    fold_sizes,
    split_to_json,
    without_outliers,
)


def session(n_bins, *, bin_width_ms=100.0, trial=None, piece=None, behavior=None):
    names = (
        {} if behavior is None else {"behavior": behavior, "behavior_names": ("vx", "vy"), "behavior_units": ("", "")}
    )
    spikes = np.ones((n_bins, 1))
    return Session.from_arrays(
        "s", subject="a", bin_width_ms=bin_width_ms, spikes=spikes, trial=trial, piece=piece, **names
    )


def segments(made, **splits):
    config = IngestConfig(splits=Splits(**splits))
    return cut(draw_folds(made, config), made, config)


@given(n_parents=st.integers(10, 60), seed=st.integers(0, 5), ratio=st.sampled_from([1, 2, 5]))
def test_cut_by_time_keeps_every_parent_in_one_fold(n_parents, seed, ratio):
    cuts = segments(session(n_parents * 100 + 7), parent_s=10, segment_s=10 / ratio, seed=seed)
    folds = {}
    for c in cuts:
        folds.setdefault(c.start // 100, set()).add(c.split)
        assert c.start // 100 == (c.stop - 1) // 100
    assert len(folds) == n_parents and all(len(f) == 1 for f in folds.values())
    n_valid, n_test = fold_sizes(n_parents, IngestConfig())
    assert sum(f == {"valid"} for f in folds.values()) == n_valid == n_parents // 10
    assert sum(f == {"test"} for f in folds.values()) == n_test


@given(
    pieces=st.lists(st.tuples(st.integers(1, 300), st.integers(0, 20)), min_size=1, max_size=8),
    segment_s=st.sampled_from([1, 2.5, 5, 10]),
    by=st.sampled_from(["time", "blocks", "trials"]),
    seed=st.integers(0, 3),
)
def test_segments_of_any_length_share_one_split_without_overlap(pieces, segment_s, by, seed):
    """For any gaps, trials and lengths: one set of spans and one hash; segments are inside spans and do not overlap."""
    label = np.concatenate([np.repeat([i, -1], p) for i, p in enumerate(pieces)]).astype(np.int32)
    made = session(len(label), piece=label, trial=label)
    config = IngestConfig(splits=Splits(by=by, segment_s=segment_s, seed=seed))
    other = IngestConfig(splits=Splits(by=by, segment_s=5, seed=seed))
    try:
        spans = draw_folds(made, config)
        cuts = cut(spans, made, config)
    except DataError:
        assume(False)  # too short for three folds
    assert split_to_json(spans, 100.0) == split_to_json(draw_folds(made, other), 100.0)
    covered = np.zeros(len(label), dtype=int)
    for c in cuts:
        covered[c.start : c.stop] += 1
        assert sum(s.start <= c.start and c.stop <= s.stop and s.split == c.split for s in spans) == 1
    assert covered.max() == 1 and not covered[label < 0].any()
    assert [c.start for c in cuts] == sorted(c.start for c in cuts)


WIDTHS_MS = st.integers(1, 100) | st.sampled_from([3.333, 33.333, 1000 / 30, 1000 / 60, 10.48576]) | st.floats(1, 100)


@given(
    width=WIDTHS_MS,
    segment_ms=st.integers(50, 10_000),
    ratio=st.integers(1, 12),
    n_parents=st.integers(10, 14),
    more=st.floats(0, 0.99),
    by=st.sampled_from(["time", "blocks"]),
)
def test_segments_of_whole_parents_leave_only_a_tail_shorter_than_a_parent(
    width, segment_ms, ratio, n_parents, more, by
):
    """Any bin width and length of segment: as many parents as the seconds hold, each of as many segments.

    A last parent that lacks less than a bin is one more.
    """
    assume(segment_ms >= width)
    n_bins = floor((n_parents + more) * ratio * segment_ms / width + 1e-6)
    made = session(n_bins, bin_width_ms=width)
    config = IngestConfig(
        bin_width_ms=width, splits=Splits(by=by, segment_s=segment_ms / 1000, parent_s=ratio * segment_ms / 1000)
    )
    spans = draw_folds(made, config)
    cuts = cut(spans, made, config)
    lacking = (n_parents + 1) * ratio * segment_ms / width - n_bins
    assert len(spans) == n_parents or (len(spans) == n_parents + 1 and lacking < 1 + 1e-6)
    assert len(cuts) == len(spans) * ratio
    assert [cuts[0].start, *(c.stop for c in cuts)] == [*(c.start for c in cuts), cuts[-1].stop]
    assert cuts[0].start == 0 and 0 <= n_bins - cuts[-1].stop < ceil(ratio * segment_ms / width)
    bins = segment_ms / width
    assert {c.stop - c.start for c in cuts} <= {floor(bins + 1e-6), ceil(bins - 1e-6)}
    for i, span in enumerate(spans):
        inside = cuts[i * ratio : (i + 1) * ratio]
        assert (inside[0].start, inside[-1].stop, {c.split for c in inside}) == (span.start, span.stop, {span.split})


@given(width=WIDTHS_MS, segment_ms=st.integers(200, 5000), others=st.lists(st.integers(200, 5000), max_size=3))
def test_split_is_the_same_for_every_length_of_segment_at_any_bin_width(width, segment_ms, others):
    made = session(round(80_000 / width), bin_width_ms=width)
    hashes = set()
    for length in (segment_ms, *others):
        config = IngestConfig(bin_width_ms=width, splits=Splits(segment_s=length / 1000, parent_s=5))
        hashes.add(split_to_json(draw_folds(made, config), width)["hash"])
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("width", "parents", "segments_of"),
    [
        (30, [0, 333, 666, 1000], {166, 167}),
        (12, [0, 833, 1666, 2500], {416, 417}),
        (3, [0, 3333, 6666, 10000], {1666, 1667}),
        (16, [0, 625, 1250, 1875], {312, 313}),
        (1000 / 30, [0, 300, 600, 900], {150}),
        (20, [0, 500, 1000, 1500], {250}),
    ],
)
def test_parents_and_segments_have_the_borders_of_their_seconds(width, parents, segments_of):
    made = session(round(600_000 / width), bin_width_ms=width)
    config = IngestConfig(bin_width_ms=width)
    spans = draw_folds(made, config)
    assert [s.start for s in spans[:4]] == parents and len(spans) == 60 and spans[-1].stop == made.n_bins
    assert {c.stop - c.start for c in cut(spans, made, config)} == segments_of


def test_parent_of_no_whole_number_of_segments_is_cut_into_those_that_it_holds():
    """10 s at 30 ms is 333 or 334 bins, 4 s is 133 1/3: two segments, and a rest of 66 or 67 bins."""
    cuts = segments(session(20_000, bin_width_ms=30.0), segment_s=4)
    assert [(c.start, c.stop) for c in cuts[:4]] == [(0, 133), (133, 267), (333, 466), (466, 600)]
    assert len(cuts) == 120


def test_trial_of_ten_seconds_has_two_segments_also_if_bins_do_not_divide_them():
    """At 7 ms, 5 s is 714.3 bins; rounded down, it would leave a segment of one bin."""
    trial = np.repeat([0, 1, 2], [1429, 700, 700]).astype(np.int32)
    cuts = segments(session(len(trial), bin_width_ms=7.0, trial=trial), by="trials")
    assert [c.stop - c.start for c in cuts] == [715, 714, 700, 700]


def test_guard_shorter_than_a_bin_is_one_bin():
    made = session(600, bin_width_ms=500.0)
    without = segments(made, by="blocks", segment_s=5, parent_s=10)
    guarded = segments(made, by="blocks", segment_s=5, parent_s=10, guard_s=0.2)
    borders = sum(a.split != b.split for a, b in pairwise(without))
    assert len(without) - len(guarded) == 2 * borders > 0


def test_split_hash_follows_the_folds():
    made = session(3000)
    hashes = {split_to_json(draw_folds(made, IngestConfig(splits=Splits(seed=s))), 100.0)["hash"] for s in (0, 0, 1)}
    assert len(hashes) == 2


def test_cut_released_protocol_keeps_its_off_by_one_sizes():
    assert fold_sizes(25, IngestConfig(protocol="released")) == (2, 3)
    assert fold_sizes(9, IngestConfig(protocol="released")) == (0, 1)
    assert fold_sizes(25, IngestConfig()) == (2, 2)
    assert fold_sizes(5, IngestConfig()) == (1, 1)


def test_cut_by_trials_makes_each_trial_one_segment():
    trial = np.repeat([3, -1, 4, 5, 6], [20, 5, 17, 25, 3]).astype(np.int32)
    cuts = segments(session(len(trial), trial=trial), by="trials")
    assert [(c.start, c.stop, c.trial) for c in cuts] == [(0, 20, 3), (25, 42, 4), (42, 67, 5), (67, 70, 6)]
    assert {c.split for c in cuts} == {"train", "valid", "test"}


def test_cut_by_blocks_leaves_a_guard_between_folds():
    cuts = segments(session(10_000, bin_width_ms=10.0), by="blocks", segment_s=1, parent_s=1, guard_s=2)
    for a in cuts:
        for b in cuts:
            if a.split != b.split:
                assert max(a.start, b.start) - min(a.stop, b.stop) >= 200
    assert {c.split for c in cuts} == {"train", "valid", "test"}


def test_cut_guard_that_leaves_a_fold_empty_is_refused():
    with pytest.raises(DataError, match=r"no segment of 5 s is left in .*guard_s"):
        segments(session(3000), by="blocks", guard_s=60)


def test_cut_pieces_too_short_for_a_segment_are_named_with_their_length():
    piece = np.where(np.arange(3000) % 50 < 45, np.arange(3000) // 50, -1).astype(np.int32)
    with pytest.raises(DataError, match=r"no segment of 5 s is left in .*: gaps .* leave 60 pieces of 4\.5 to 4\.5 s"):
        segments(session(3000, bin_width_ms=100.0, piece=piece), parent_s=5, segment_s=5)


@pytest.mark.parametrize("by", ["time", "blocks", "trials"])
def test_cut_short_session_is_refused(by):
    with pytest.raises(DataError, match=r"short|too few"):
        segments(session(200, trial=np.zeros(200, np.int32)), by=by)


def test_cut_by_trials_of_a_recording_without_trials_is_refused():
    with pytest.raises(DataError, match="the recording has none"):
        segments(session(2000), by="trials")


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 20)), min_size=6, max_size=12))
def test_cut_by_time_never_crosses_a_gap(pieces):
    """Pieces of 40 bins or more, so that there are enough parents; labels count up, gaps are -1."""
    label = np.concatenate([np.repeat([i, -1], [40 + length, gap]) for i, (length, gap) in enumerate(pieces)]).astype(
        np.int32
    )
    cuts = segments(session(len(label), piece=label), parent_s=4, segment_s=2)
    assert all(len(set(label[c.start : c.stop])) == 1 and label[c.start] >= 0 for c in cuts)
    assert len(cuts) == sum((40 + length) // 20 for length, _ in pieces)


@pytest.mark.parametrize(
    ("length", "chunks"), [(50, [50]), (49, [49]), (100, [50, 50]), (120, [50, 50, 20]), (51, [50, 1])]
)
def test_cut_of_a_long_trial_keeps_all_of_it_also_when_it_is_a_whole_multiple(length, chunks):
    trial = np.repeat([0, 1, 2], [length, 30, 30]).astype(np.int32)
    cuts = [c for c in segments(session(len(trial), trial=trial), by="trials") if c.trial == 0]
    assert [c.stop - c.start for c in cuts] == chunks and cuts[-1].stop == length
    assert len({c.split for c in cuts}) == 1


@pytest.fixture
def restless():
    """30 parents of 10 s; in the fourth and the last train parent, and in one of test, the hand moves wildly."""
    behavior = np.random.default_rng(0).normal(size=(3000, 2))
    spans = draw_folds(session(3000), IngestConfig())
    train = [s for s in spans if s.split == "train"]
    test = next(s for s in spans if s.split == "test")
    wild = [train[3], train[-1], test]
    for span in wild:
        behavior[span.start : span.stop, 1] *= 5
    behavior[:50, 0] = np.nan
    return session(3000, behavior=behavior), spans, wild


def test_outliers_dropped_are_those_above_the_fence_of_train_in_every_fold(restless):
    made, spans, wild = restless
    kept = without_outliers(spans, made.behavior, IngestConfig(splits=Splits(outliers="drop")))
    assert set(spans) - set(kept) == set(wild)
    assert without_outliers(spans, made.behavior, IngestConfig()) == spans


def test_outliers_fence_is_fitted_on_train_alone():
    """A third of the spans is wild, all in test: a fence over all folds lets them pass, one over train does not."""
    behavior = np.random.default_rng(0).normal(size=(3000, 2))
    folds = ["test" if i % 3 == 0 else "valid" if i == 1 else "train" for i in range(30)]
    spans = [SplitSpan(i * 100, i * 100 + 100, fold) for i, fold in enumerate(folds)]
    for s in spans[3::3]:
        behavior[s.start : s.stop] *= 5
    kept = without_outliers(spans, behavior, IngestConfig(splits=Splits(outliers="drop")))
    assert [s for s in kept if s.split == "test"] == spans[:1]


def released_folds(velocity, n_bins):
    """The windows and folds of the released code for one session: window -> fold, without its outliers."""
    zscored = (velocity - velocity.mean(0)) / velocity.std(0, ddof=1)
    windows = zscored[: len(zscored) // n_bins * n_bins].reshape(-1, n_bins, velocity.shape[1])
    sd = np.array([window.std(ddof=1) for window in windows])
    fence = np.percentile(sd, 75) + 1.5 * (np.percentile(sd, 75) - np.percentile(sd, 25))
    rows = pd.DataFrame({"window": np.flatnonzero(sd <= fence), "split": "train"})
    rows = rows.sample(frac=1, random_state=42).reset_index(drop=True)
    size = int(0.1 * len(rows))
    rows.loc[:size, "split"] = "valid"
    rows.loc[size : 2 * size, "split"] = "test"
    return dict(zip(rows["window"].tolist(), rows["split"].tolist(), strict=True))


@pytest.mark.parametrize("n", [4, 9, 10, 23, 61])
def test_released_folds_are_those_of_the_released_code(n):
    """Outliers leave before the draw, by one SD over both axes; below ten windows there is no validation fold."""
    random = np.random.default_rng(n)
    velocity = random.normal(size=(n * 100 + 40, 2)) * [3, 200]
    for wild in (1, n // 2):
        velocity[wild * 100 : (wild + 1) * 100, 0] *= 4
    made = Session.from_arrays(
        "s",
        subject="a",
        bin_width_ms=100.0,
        spikes=np.ones((len(velocity), 1)),
        behavior=np.hstack([random.normal(size=(len(velocity), 1)) * 1e6, velocity]),
        behavior_names=("position_x", "velocity_x", "velocity_y"),
        behavior_units=("", "", ""),
    )
    config = IngestConfig(bin_width_ms=100.0, protocol="released", splits=Splits(outliers="drop"))
    spans = draw_folds(made, config)
    kept = without_outliers(spans, made.behavior, config)
    expected = released_folds(velocity, 100)
    assert {s.start // 100: s.split for s in kept} == expected and len(spans) == n
    assert n < 10 or len(expected) < n
    cuts = cut(kept, made, config)
    assert {c.start // 100: c.split for c in cuts} == expected and len(cuts) == 2 * len(expected)
    sizes = [sum(split == fold for split in expected.values()) for fold in ("valid", "test")]
    assert tuple(sizes) == fold_sizes(len(expected), config)


def test_outliers_that_are_all_of_a_fold_are_an_error(restless):
    made, spans, _ = restless
    behavior = made.behavior.copy()
    for s in spans:
        if s.split == "valid":
            behavior[s.start : s.stop] *= 9
    with pytest.raises(DataError, match=r"leaves no data in valid; set `splits.outliers: keep`"):
        without_outliers(spans, behavior, IngestConfig(splits=Splits(outliers="drop")))
