"""Behavior before it is resampled: jumps, smoothing, derivatives and the choice of columns."""

import dataclasses

import numpy as np
import pytest

from raydistill.config.manifest import Behavior
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.behavior import prepared
from raydistill.recordings.preprocessing.behavior_bins import behavior_on_bins
from tests.recordings.signals import bins, trace


def on_bins(tr, clock, gap_s=None, **options):
    return behavior_on_bins(prepared(tr, Behavior(**options)), clock, gap_s).values[:, 0]


def test_behavior_frames_almost_on_top_of_each_other_do_not_make_velocity_explode():
    times = np.sort(np.append(np.arange(0, 10, 0.0167), 5.0101))
    steps = np.round(10 * times)  # pixels
    steps[np.searchsorted(times, 5.0101)] += 1
    assert np.abs(on_bins(trace(times, steps), bins(480, width_s=0.02, start_s=0.2), derive="velocity")).max() < 70


def test_velocity_is_the_derivative_at_native_times():
    times = np.sort(np.random.default_rng(1).uniform(0, 30, 3000))
    clock = bins(1400, width_s=0.02, start_s=1.0)
    velocity = on_bins(trace(times, np.sin(times)), clock, 0.5, derive="velocity")
    assert np.abs(velocity - np.cos(clock.centres)).max() < 0.01


def test_velocity_columns_are_named_and_chosen():
    tr = trace(np.arange(0, 5, 0.02), np.zeros((250, 2)))
    derived = prepared(tr, Behavior(derive="velocity"))
    assert (derived.names, derived.units) == (("velocity_x", "velocity_y"), ("cm/s", "cm/s"))
    both = prepared(tr, Behavior(derive="velocity", columns=("velocity_y", "position_x")))
    assert (both.names, both.units) == (("velocity_y", "position_x"), ("cm/s", "cm"))
    with pytest.raises(DataError, match='no behavior column "velocity_z"; did you mean'):
        prepared(tr, Behavior(derive="velocity", columns=("velocity_z",)))


def test_speed_is_the_length_of_the_velocity_of_all_columns():
    times = np.arange(0, 20, 0.02)
    tr = trace(times, np.column_stack([3 * times, 5 - 4 * times]))
    speed = prepared(tr, Behavior(derive="speed"))
    assert (speed.names, speed.units) == (("speed",), ("cm/s",))
    assert np.allclose(speed.values, 5)
    both = prepared(tr, Behavior(derive="speed", columns=("position_y", "speed")))
    assert both.names == ("position_y", "speed") and np.allclose(both.values[0], [5, 5])


def test_speed_of_an_angle_does_not_jump_at_the_full_turn():
    times = np.arange(0, 20, 0.02)
    tr = dataclasses.replace(trace(times, np.mod(100 * times, 360)), units=("deg",))
    assert np.allclose(prepared(tr, Behavior(derive="speed", circular=360, columns=("speed",))).values, 100)


def test_speed_of_columns_in_different_units_is_refused():
    tr = dataclasses.replace(trace(np.arange(0, 5, 0.02), np.zeros((250, 2))), units=("cm", ""))
    with pytest.raises(DataError, match="columns of one unit, but position_x, position_y are in cm, no unit; use"):
        prepared(tr, Behavior(derive="speed"))


def test_tracking_jumps_are_lost_and_bridged():
    times = np.arange(0, 20, 0.02)
    values = np.where((times > 8) & (times < 8.2), times + 300, times)
    out = on_bins(trace(times, values), bins(200, width_s=0.1), 0.5, max_speed=100)
    assert np.abs(out - bins(200, width_s=0.1).centres).max() < 0.05


def test_smoothing_takes_noise_out_of_a_derived_velocity(rng):
    times = np.arange(0, 30, 0.02)
    noisy = trace(times, np.sin(times) + rng.normal(0, 0.02, len(times)))
    clock = bins(1300, width_s=0.02, start_s=2.0)
    error = lambda **o: np.std(on_bins(noisy, clock, derive="velocity", **o) - np.cos(clock.centres))  # noqa: E731
    assert error(smooth_s=0.2) < 0.1 * error()


def test_samples_faster_than_max_speed_are_counted():
    times = np.arange(0, 20, 0.02)
    values = np.where((times > 8) & (times < 8.2), times + 300, times)
    assert "faster than `max_speed`: 9 of 1000" in prepared(trace(times, values), Behavior(max_speed=100)).notes[0]


def in_trials(n=12, step_s=0.02):
    """12 trials of 7 s with 3 s between them, in each of which position is sin t, 50 m from the one before."""
    times = np.concatenate([np.arange(k * 10, k * 10 + 7, step_s) for k in range(n)])
    return trace(times, np.column_stack([np.sin(times), np.cos(times)]) + 50 * (times // 10)[:, None])


@pytest.mark.parametrize("smooth_s", [None, 0.05, 0.2])
def test_smoothing_and_velocity_do_not_cross_gaps(smooth_s):
    made = prepared(in_trials(), Behavior(derive="velocity", smooth_s=smooth_s))
    truth = np.column_stack([np.cos(made.times), -np.sin(made.times)])
    assert np.abs(made.values).max() < 1.001
    assert np.abs(made.values - truth).max() < (smooth_s or 0.02)
    inner = (made.times % 10 > 1) & (made.times % 10 < 6)
    assert np.abs(made.values - truth)[inner].max() < 0.03


def test_smoothing_and_velocity_do_not_cross_long_runs_of_nan():
    times = np.arange(1000) / 50
    values = np.where((times > 8) & (times < 9), np.nan, np.where(times < 8.5, times, times + 500))
    values[:50] = values[-50:] = np.nan
    made = prepared(trace(times, values), Behavior(derive="velocity", smooth_s=0.1))
    valid = np.isfinite(values)
    assert np.allclose(made.values[valid], 1.0, atol=1e-6) and np.isnan(made.values[~valid]).all()


def test_velocity_of_a_lone_sample_between_gaps_is_lost():
    times = np.concatenate([np.arange(0, 5, 0.02), [6.0], np.arange(7, 12, 0.02)])
    made = prepared(trace(times, times), Behavior(derive="velocity"))
    assert np.flatnonzero(np.isnan(made.values[:, 0])).tolist() == [250]


def test_velocity_ends_with_each_trial_of_few_samples():
    trial = np.repeat(np.arange(50), 8)
    times = 1.4 * trial + np.tile(np.arange(8) / 20, 50)
    made = prepared(trace(times, 3 * times + 50 * trial), Behavior(derive="velocity"))
    assert made.values == pytest.approx(3)


def test_column_that_rises_as_time_does_is_told_unless_it_is_left_out():
    times = np.arange(0, 20, 0.02)
    for column in (7 + times, 1e3 * times, np.arange(1000)):
        tr = trace(times, np.column_stack([column, np.sin(times)]))
        assert prepared(tr, Behavior()).notes == (
            "behavior: position_x rises as the time of its samples does, or by 1 from each to the next, and is "
            "decoded; if it is time, or the number of the sample, list the other columns in `columns`",
        )
        assert prepared(tr, Behavior(columns=("position_y",))).notes == ()
    assert prepared(trace(times, 20 * times), Behavior()).notes == (), "a constant speed"
