"""What the teacher of a control reads: never the spikes of the same moment, always of the same fold."""

import numpy as np
import pytest

from raydistill.config.controls import CONTROLS, MASKED, NONE, OTHER, RANDOM, SHIFTED, SHUFFLED
from raydistill.feed.disturbed import disturbance, of_other_segments, of_other_session, shifted
from raydistill.store.session import Segment

LENGTHS = (5, 7, 5, 9, 6)


def make_segments(lengths=LENGTHS, first=0, split="train", session="a"):
    """Segments whose spikes are the numbers of their bins in the whole row."""
    start, segments = 0, []
    for number, length in enumerate(lengths, first):
        spikes = np.arange(start, start + length, dtype=np.uint8)[:, None]
        segments.append(Segment(session, number, split, 0.0, spikes, np.zeros((length, 2), np.float32), None))
        start += length
    return segments


def row(segments):
    return np.concatenate([s.spikes[:, 0] for s in segments]).tolist()


@pytest.mark.parametrize("n", [2, 3, 4, 11, 64])
def test_shuffled_segments_have_each_the_spikes_of_another_one(n):
    segments = make_segments([4] * n)
    shuffled = of_other_segments(segments)
    donors = [s.spikes[0, 0] // 4 for s in shuffled]
    assert sorted(donors) == list(range(n)) and all(donor != i for i, donor in enumerate(donors))
    assert [s.number for s in shuffled] == list(range(n))
    assert all(s.lfp is t.lfp for s, t in zip(segments, shuffled, strict=True))


def test_shuffled_segments_of_different_lengths_are_cut_or_repeated():
    shuffled = of_other_segments(make_segments((3, 5)))
    assert [s.spikes[:, 0].tolist() for s in shuffled] == [[3, 4, 5], [0, 1, 2, 0, 1]]


def test_shuffling_is_a_function_of_the_segments_alone():
    same = [row(of_other_segments(make_segments([4] * 9))) for _ in range(2)]
    other = row(of_other_segments(make_segments([4] * 9, split="valid")))
    assert same[0] == same[1] != other


def test_single_segment_is_shifted_by_half_of_itself():
    (alone,) = of_other_segments(make_segments((6,)))
    assert alone.spikes[:, 0].tolist() == [3, 4, 5, 0, 1, 2]


def test_shifted_spikes_are_one_row_in_time_order_whatever_the_order_of_the_segments():
    segments = make_segments()
    moved = shifted(segments[::-1], 10)
    assert [s.number for s in moved] == [4, 3, 2, 1, 0]
    assert row(moved[::-1]) == np.roll(np.arange(32), 10).tolist()
    assert [s.n_bins for s in moved[::-1]] == list(LENGTHS)


def test_shift_is_at_most_half_of_the_row():
    assert row(shifted(make_segments(), 10_000)) == np.roll(np.arange(32), 16).tolist()


def test_teacher_of_another_session_reads_spikes_of_that_session_and_fold():
    other = make_segments((4, 4), session="b")[0]
    entry = type("Entry", (), {"session": "b"})
    spikes = np.arange(100, 108, dtype=np.uint8)[:, None]
    read = of_other_session(make_segments((3, 3, 12)), entry, spikes)
    assert [s.session for s in read] == ["b"] * 3 and [s.n_bins for s in read] == [3, 3, 12]
    assert read[1].spikes[:, 0].tolist() == [103, 104, 105]
    assert set(row(read)) <= set(range(100, 108)) and other.session == "b"


def test_disturbance_exists_for_the_controls_that_change_the_spikes():
    changing = {name for name in CONTROLS if disturbance(name, 20, lambda fold: pytest.fail("not read yet"))}
    assert changing == {SHUFFLED, SHIFTED, OTHER} and set(CONTROLS) - changing == {RANDOM, NONE, MASKED}
    assert disturbance(None, 20, lambda fold: pytest.fail("not read")) is None
    assert row(disturbance(SHIFTED, 2000, lambda fold: None)(make_segments())) == np.roll(np.arange(32), 5).tolist()
