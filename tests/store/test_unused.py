"""What is counted as unused is what is in no segment, and why."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import DataError
from raydistill.store.marker import entry_from_json, entry_to_json
from raydistill.store.session import Session
from raydistill.store.show import to_json
from raydistill.store.splits import cut, draw_folds, without_outliers
from raydistill.store.store import Store
from raydistill.store.unused import count_recorded, count_unused, unused_notes, unused_share


def session(n_bins, width=100.0, **other):
    spikes = np.ones((n_bins, 1), dtype=np.uint8)
    return Session.from_arrays("s", subject="a", bin_width_ms=width, spikes=spikes, **other)


def stored(tmp_path, made, **splits):
    config = IngestConfig(bin_width_ms=made.bin_width_ms, splits=Splits(**splits))
    return Store(str(tmp_path)).write(made, config, "f" * 64)


@given(
    width=st.integers(20, 100) | st.floats(20, 100),
    intervals=st.lists(st.tuples(st.integers(1, 800), st.integers(0, 30)), min_size=1, max_size=6),
    labelled=st.sampled_from(["nothing", "piece", "trial", "both"]),
    segment_s=st.floats(0.1, 3),
    ratio=st.sampled_from([1, 2, 3]) | st.floats(1, 3),
    by=st.sampled_from(["time", "blocks", "trials"]),
    guard_s=st.sampled_from([0, 0.5, 4]),
    outliers=st.sampled_from(["keep", "drop"]),
)
def test_unused_bins_by_reason_are_those_in_no_segment(
    width, intervals, labelled, segment_s, ratio, by, guard_s, outliers
):
    label = np.concatenate([np.repeat([i, -1], p) for i, p in enumerate(intervals)]).astype(np.int32)
    piece = label if labelled in ("piece", "both") else None
    trial = label if labelled in ("trial", "both") else None
    behavior = np.random.default_rng(len(label)).standard_t(2, (len(label), 1))
    made = session(len(label), width, piece=piece, trial=trial, behavior=behavior, behavior_names=("x",))
    splits = Splits(by=by, segment_s=segment_s, parent_s=segment_s * ratio, guard_s=guard_s, outliers=outliers)
    config = IngestConfig(bin_width_ms=width, splits=splits)
    try:
        spans = draw_folds(made, config)
        kept = without_outliers(spans, made.behavior, config)
        cuts = cut(kept, made, config)
    except DataError:
        assume(False)  # too short for three folds
    recorded = np.ones(len(label), dtype=bool) if piece is None else piece >= 0
    in_segments = np.zeros(len(label), dtype=int)
    for c in cuts:
        in_segments[c.start : c.stop] += 1
    assert in_segments.max() == 1 and not in_segments[~recorded].any()
    unused = count_unused(made, config, spans, kept, cuts)
    assert count_recorded(made, config) == recorded.sum()
    assert sum(unused.values()) == (recorded & (in_segments == 0)).sum()
    assert all(n > 0 for n in unused.values())
    assert unused.get("outliers", 0) == sum(s.stop - s.start for s in spans if s not in kept)
    if by == "trials":
        assert unused.get("outside_trials", 0) == (recorded & (label < 0)).sum() and "rests" not in unused


def test_unused_bins_are_counted_by_reason_and_described(tmp_path):
    """1042 bins of 100 ms: ten parents of 10 s, each with 2 s that are too short for a segment of 4 s, and 4.2 s."""
    entry = stored(tmp_path, session(1042), segment_s=4)
    assert (entry.recorded_bins, entry.n_bins, entry.unused) == (1042, 800, {"tails": 42, "rests": 200})
    (note,) = unused_notes(entry)
    assert note == (
        "242 of 1042 bins (23.2%) are in no segment: "
        "42 at ends of the recording or of pieces that are too short for a parent (`splits.parent_s`), "
        "200 in rests of parents that are too short for a segment (`splits.segment_s`)"
    )
    assert unused_share(entry) == "242 (23.2%)"
    shown = to_json(entry)
    assert (shown["recorded_bins"], shown["unused_bins"], shown["unused_percent"]) == (1042, 242, 23.225)
    assert shown["unused"] == {"tails": 42, "rests": 200}


def test_unused_bins_outside_trials_and_in_the_guard_have_their_own_reasons(tmp_path):
    trial = np.tile(np.repeat([0, -1], [45, 5]), 20).astype(np.int32)
    trial[trial >= 0] += np.repeat(np.arange(20), 45)
    assert stored(tmp_path, session(1000, trial=trial), by="trials").unused == {"outside_trials": 100}
    entry = stored(tmp_path, session(3000), by="blocks", guard_s=1)
    assert entry.unused == {"guard": 3000 - entry.n_bins} and entry.n_bins % 50 == 0


def test_gaps_between_pieces_were_not_recorded_and_are_not_unused(tmp_path):
    piece = np.repeat([0, -1, 1, -1, 2], [400, 77, 340, 23, 400]).astype(np.int32)
    entry = stored(tmp_path, session(1240, piece=piece))
    assert (entry.recorded_bins, entry.n_bins, entry.unused) == (1140, 1100, {"tails": 40})
    assert unused_notes(entry)[1] == "100 of 1240 bins (8.1%) are in gaps between pieces and were left out"


def test_nothing_unused_is_shown_as_zero_and_a_small_share_not_as_zero_percent(tmp_path):
    entry = stored(tmp_path, session(1000))
    assert unused_share(entry) == "0" and unused_notes(entry) == ()
    assert unused_share(stored(tmp_path, session(100_007))) == "7 (under 0.1%)"


def test_session_that_was_stored_before_the_count_is_read_and_shown_as_unknown(tmp_path):
    entry = stored(tmp_path, session(1042))
    text = entry_to_json(entry).replace('"recorded_bins": 1042, ', "").replace(', "unused": {"tails": 42}', "")
    old = entry_from_json(text)
    assert old == dataclasses.replace(entry, recorded_bins=0, unused={})
    assert unused_share(old) == "-" and to_json(old)["unused_bins"] is None


@pytest.mark.parametrize("width", [30.0, 12.0, 33.0, 3.0])
def test_recording_of_whole_parents_is_used_to_the_last_bin(tmp_path, width):
    """20 min in whole bins; at 33 ms, 21 ms at its end are no whole bin."""
    entry = stored(tmp_path, session(int(1_200_000 / width), width))
    assert (entry.unused, entry.n_bins, entry.n_segments) == ({}, int(1_200_000 / width), 240)
