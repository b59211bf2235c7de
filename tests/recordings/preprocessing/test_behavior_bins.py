"""Behavior on bins: interpolation, means, and what tracking lost."""

import numpy as np
import pytest

from raydistill.config.manifest import Behavior
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.behavior import prepared
from raydistill.recordings.preprocessing.behavior_bins import behavior_on_bins
from tests.recordings.signals import bins, trace


def on_bins(tr, clock, gap_s=None, **options):
    return behavior_on_bins(prepared(tr, Behavior(**options)), clock, gap_s).values[:, 0]


def test_behavior_on_irregular_stamps_is_interpolated_at_true_times(rng):
    times = np.sort(rng.uniform(0, 20, 1500))
    clock = bins(190, width_s=0.1, start_s=0.5)
    assert np.allclose(on_bins(trace(times, 3 * times + 1), clock), 3 * clock.centres + 1, atol=1e-5)


def test_behavior_nan_samples_count_as_lost():
    times = np.arange(0, 20, 0.02)
    values = np.where((times >= 6) & (times < 7), np.nan, times)
    out = on_bins(trace(times, values), bins(200, width_s=0.1))
    assert np.flatnonzero(np.isnan(out)).tolist() == list(range(60, 70))


def test_behavior_at_bin_centres_passes_unchanged_with_its_long_gaps(rng):
    clock = bins(300, width_s=0.1)
    values = rng.normal(size=300).astype(np.float32)
    values[50:70] = np.nan
    assert np.array_equal(on_bins(trace(clock.centres, values), clock), values, equal_nan=True)


def test_behavior_faster_than_the_bins_is_averaged_instead_of_aliased():
    times = np.arange(0, 30, 0.001)
    hum = np.sin(2 * np.pi * 50 * times)
    assert np.abs(on_bins(trace(times, hum), bins(280, width_s=0.1, start_s=0.5))).max() < 0.01


def test_behavior_lost_throughout_is_an_error():
    with pytest.raises(DataError, match="lost in every bin"):
        on_bins(trace(np.arange(0, 20, 0.02), np.full(1000, np.nan)), bins(100, width_s=0.1))


DROPOUTS = (4.0, 4.3), (10.0, 12.0)


def with_dropouts(as_nan):
    """A line at 50 Hz over 20 s without samples, or without valid ones, in two stretches."""
    times = np.arange(1000) / 50
    lost = np.any([(times > a) & (times < b) for a, b in DROPOUTS], axis=0)
    return trace(times, np.where(lost, np.nan, times)) if as_nan else trace(times[~lost], times[~lost])


@pytest.mark.parametrize("as_nan", [False, True], ids=["missing", "nan"])
@pytest.mark.parametrize(
    ("gap_s", "n_lost", "notes"),
    [
        (None, 115, ["2 dropouts (longest 2.00 s), 115 of 1000 bins (11.5%) left out"]),
        (
            0.5,
            100,
            [
                "1 dropout (2.00 s), 100 of 1000 bins (10.0%) left out",
                "1 dropout (0.30 s), 15 of 1000 bins (1.5%) filled",
            ],
        ),
        (3.0, 0, ["2 dropouts (longest 2.00 s), 115 of 1000 bins (11.5%) filled"]),
    ],
)
def test_dropouts_are_left_out_or_filled_up_to_the_given_length_and_told(gap_s, n_lost, notes, as_nan):
    clock = bins(1000, width_s=0.02)
    made = behavior_on_bins(prepared(with_dropouts(as_nan), Behavior()), clock, gap_s)
    values = made.values[:, 0]
    lost = [(a, b) for a, b in DROPOUTS if gap_s is None or b - a > gap_s]
    inside = np.any([np.zeros(1000, bool)] + [(clock.centres > a) & (clock.centres < b) for a, b in lost], axis=0)
    assert np.array_equal(np.isnan(values), inside) and inside.sum() == n_lost
    assert np.allclose(values[~inside], clock.centres[~inside], atol=1e-5)
    assert [note.removeprefix("behavior: ").split(" of fits")[0].split(" by inter")[0] for note in made.notes] == notes


def test_behavior_slower_than_the_bins_is_interpolated_without_a_note():
    clock = bins(1000, width_s=0.01)
    made = behavior_on_bins(prepared(trace(np.arange(11.0), 3 * np.arange(11.0)), Behavior()), clock, None)
    assert np.allclose(made.values[:, 0], 3 * clock.centres, atol=1e-5) and made.notes == ()


def test_behavior_at_two_alternating_steps_is_no_row_of_dropouts():
    times = np.cumsum(np.tile([1 / 60, 1 / 30], 400))
    clock = bins(1900, width_s=0.01, start_s=0.1)
    made = behavior_on_bins(prepared(trace(times, times), Behavior()), clock, None)
    assert np.allclose(made.values[:, 0], clock.centres, atol=1e-5) and made.notes == ()


@pytest.mark.parametrize("gap_s", [None, 0.5, 3.0])
def test_lost_samples_at_both_ends_are_left_out_and_told(gap_s):
    times = np.arange(1000) / 50
    values = np.where((times < 1) | (times > 18.99), np.nan, times)
    clock = bins(2000, width_s=0.01)
    made = behavior_on_bins(prepared(trace(times, values), Behavior()), clock, gap_s)
    assert np.array_equal(np.isnan(made.values[:, 0]), (clock.centres < 1) | (clock.centres > 18.98))
    assert made.notes[0].startswith("behavior: 2 dropouts (longest 1.02 s), 202 of 2000 bins (10.1%) left out")


def test_line_goes_on_for_one_step_after_the_last_sample_and_no_further():
    times = np.arange(100) / 50  # the last at 1.98 s
    out = on_bins(trace(times, 3 * times), bins(210, width_s=0.01))
    assert np.allclose(out[:200], 3 * bins(210).centres[:200], atol=1e-5) and np.isnan(out[200:]).all()


def test_bin_at_the_edge_of_a_dropout_is_the_mean_of_its_known_part():
    times = np.concatenate([np.arange(0, 1.004, 0.005), np.arange(3, 4, 0.005)])
    values = np.where(times < 2, times, times + 1000)
    out = on_bins(trace(times, values), bins(97, width_s=0.04))
    lost = np.isnan(out)
    assert lost.sum() == 50 and out[~lost][:25].max() < 1 and out[~lost][25:].min() > 1003


def test_pieces_are_apart_and_one_without_samples_is_left_out():
    times = np.arange(1000) / 50
    pieces = np.array([[0.0, 5.0], [5.0, 10.0], [12.0, 20.0]])
    values = np.where(times >= 5, times + 100, times)
    values[(times >= 12)] = np.nan
    clock = bins(2000, width_s=0.01)
    made = behavior_on_bins(prepared(trace(times, values), Behavior(smooth_s=0.1), pieces), clock, None, pieces)
    out = made.values[:, 0]
    assert np.allclose(out[:499], clock.centres[:499], atol=0.02)
    assert np.allclose(out[500:1000], clock.centres[500:1000] + 100, atol=0.02) and np.isnan(out[1000:]).all()
    assert "1 dropout (8.00 s), 800 of 1800 bins" in made.notes[0]


def test_nothing_is_recorded_in_any_piece_is_an_error():
    pieces = np.array([[0.001, 0.005], [30.0, 40.0]])
    tr = trace(np.arange(0, 0.01, 0.001), np.zeros(10))
    with pytest.raises(DataError, match="lost in every bin"):
        behavior_on_bins(prepared(tr, Behavior(), pieces), bins(10), None, pieces)
