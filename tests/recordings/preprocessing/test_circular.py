"""Angles, phases and laps across the end of their period, against directions that are known at every time."""

import re
from dataclasses import replace

import numpy as np
import pytest

from raydistill.config.manifest import Behavior
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.preprocessing.behavior import prepared
from raydistill.recordings.preprocessing.behavior_bins import behavior_on_bins
from raydistill.store.angles import angles
from tests.recordings.signals import bins, trace

TURN = 2 * np.pi


def turning(period, speed, rate_hz=50.0, seconds=120.0, units="radians", lowest=0.0, name="hd"):
    """A direction that turns at `speed` per second, from `lowest` to `lowest` + `period`."""
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    return trace(times, (speed * times - lowest) % period + lowest, names=(name,), units=units)


def direction(made, name="hd"):
    """(T,) of the columns that are stored."""
    return angles(dict(zip(made.names, made.values.T, strict=True)), made.circular)[name]


def off(found, expected, period):
    """The largest distance round the circle."""
    return np.nanmax(np.abs((found - expected + period / 2) % period - period / 2))


@pytest.mark.parametrize("width_s", [0.01, 0.02, 0.1, 0.5])
@pytest.mark.parametrize(
    ("tr", "circular", "period", "speed"),
    [
        (turning(TURN, 1.0), True, TURN, 1.0),
        (turning(360.0, -57.0, units="degrees"), True, 360.0, -57.0),
        (turning(360.0, 57.0, units="deg", lowest=-180.0), True, 360.0, 57.0),
        (turning(290.0, 31.0, units="cm"), 290.0, 290.0, 31.0),
        (turning(1.0, 2.3, rate_hz=500.0, units=""), {"hd": 1.0}, 1.0, 2.3),
        (turning(TURN, 1.0, rate_hz=2.0, seconds=200.0), True, TURN, 1.0),
    ],
    ids=["radians", "degrees-back", "from-minus-180", "laps", "cycles", "slow"],
)
def test_direction_on_bins_is_right_across_the_end_of_the_period(tr, circular, period, speed, width_s):
    clock = bins(int(100 / width_s), width_s=width_s)
    made = behavior_on_bins(prepared(tr, Behavior(circular=circular)), clock, None)
    assert (made.names, made.units, made.circular) == (("hd_cos", "hd_sin"), ("", ""), {"hd": pytest.approx(period)})
    assert np.allclose(np.hypot(*made.values.T), 1.0, atol=1e-6)  # no mean over a bin comes nearer to the centre
    found = direction(made)
    assert off(found, speed * clock.centres, period) < 1e-3 * period / TURN
    assert found.min() >= 0 and found.max() < period
    assert not made.notes


@pytest.mark.parametrize("smooth_s", [None, 0.1])
def test_velocity_of_a_direction_is_constant_across_the_end_of_the_period(smooth_s):
    tr = turning(TURN, 1.0)
    made = prepared(tr, Behavior(circular=True, derive="velocity", smooth_s=smooth_s))
    assert (made.names, made.units, made.periods) == (("velocity_hd",), ("radians/s",), (None,))
    assert np.abs(made.values - 1.0).max() < 1e-6
    on_bins = behavior_on_bins(made, bins(12000), None)
    assert np.abs(on_bins.values - 1.0).max() < 1e-6 and on_bins.circular == {}


def test_direction_and_its_velocity_can_both_be_stored():
    options = Behavior(circular=True, derive="velocity", columns=("velocity_hd", "hd"))
    made = behavior_on_bins(prepared(turning(TURN, 1.0), options), bins(1000), None)
    assert made.names == ("velocity_hd", "hd_cos", "hd_sin") and made.units == ("radians/s", "", "")


def test_smoothing_takes_noise_out_of_a_direction_around_zero(rng):
    times = np.arange(3000) / 50
    noisy = rng.normal(0, 0.3, 3000) % TURN  # half of it just below 2 pi
    tr = trace(times, noisy, names=("hd",), units="rad")
    made = behavior_on_bins(prepared(tr, Behavior(circular=True, smooth_s=0.2)), bins(2900, 0.02), None)
    assert off(direction(made), 0.0, TURN) < 0.3


def test_direction_in_a_dropout_is_left_out_or_filled_by_the_shorter_way():
    times = np.arange(500) / 50
    degrees = np.where(times < 5, 350.0, 10.0)
    degrees[(times > 4.5) & (times < 5.5)] = np.nan
    clock = bins(1000)
    ready = prepared(trace(times, degrees, names=("hd",), units="degrees"), Behavior(circular=True))
    in_gap = (clock.centres > 4.5) & (clock.centres < 5.5)
    left = direction(behavior_on_bins(ready, clock, None))
    assert np.array_equal(np.isnan(left), in_gap)
    filled = direction(behavior_on_bins(ready, clock, 2.0))
    assert off(filled[in_gap], 350 + 20 * (clock.centres[in_gap] - 4.5), 360.0) < 0.01


def test_direction_in_pieces_is_unwrapped_in_each():
    pieces = np.array([[0.0, 50.0], [60.0, 120.0]])
    clock = bins(11900)
    made = behavior_on_bins(prepared(turning(TURN, 1.0), Behavior(circular=True), pieces), clock, None, pieces)
    outside = (clock.centres > 50) & (clock.centres < 60)
    assert np.array_equal(np.isnan(made.values).all(axis=1), outside)
    assert off(direction(made), clock.centres, TURN) < 1e-3


def test_max_speed_counts_the_shorter_way_round():
    tr = turning(360.0, 60.0, units="degrees")
    tr.values[1000] += 90
    made = prepared(tr, Behavior(circular=True, max_speed=200))
    assert np.flatnonzero(np.isnan(made.values[:, 0])).tolist() == [1000]


def test_steps_of_more_than_half_a_period_go_the_shorter_way_and_are_told():
    times = np.arange(500) / 50
    phase = (0.7 * np.arange(500)) % 1.0  # cycles: 0.7 forward is 0.3 back
    fast = trace(times, phase, names=("phase",), units="cycles")
    made = prepared(fast, Behavior(circular=True, derive="velocity"))
    assert np.allclose(made.values, -0.3 * 50) and made.notes == ()
    unclear = trace(times, (0.45 * np.arange(500)) % 1.0, names=("phase",), units="cycles")
    assert (
        '"phase" turns by more than 0.4 of its period between 100%'
        in prepared(unclear, Behavior(circular=1.0)).notes[0]
    )


def test_jumps_of_more_than_a_period_are_doubted():
    made = prepared(turning(360.0, 57.0, units="radians"), Behavior(circular=True))
    assert "jumps by 358.9, more than its period 6.283; is that right?" in made.notes[0]


@pytest.mark.parametrize(
    ("tr", "setting"),
    [
        (turning(TURN, 1.0, name="x"), "`circular: true`"),
        (turning(360.0, 57.0, units="", name="head_direction"), "`circular: {head_direction: 360}`"),
        (turning(TURN, 1.0, units="", name="thetaPhase"), "`circular: {thetaPhase: 6.283185}`"),
        (turning(290.0, 57.0, units="cm", name="position_x"), "`circular: {position_x: PERIOD}`"),
        (turning(360.0, 1.0, units="degrees", name="hd"), None),
        (turning(360.0, 57.0, units="", name="ahead"), "`circular: {ahead: PERIOD}`"),
    ],
    ids=["unit", "name", "camel-case", "laps", "no-jump", "not-a-word"],
)
def test_columns_that_jump_like_angles_are_pointed_out(tr, setting):
    notes = prepared(tr, Behavior()).notes
    assert len(notes) == (setting is not None)
    if setting:
        assert setting in notes[0] and re.search(r"jumps (1\d|23) times", notes[0])


@pytest.mark.parametrize(
    ("circular", "message"),
    [
        (True, r'"position_x" has the unit "cm"; name the circular columns .*`circular: \{position_x: PERIOD\}`'),
        ({"position_z": 3.0}, 'no behavior column "position_z"; did you mean "position_y"'),
    ],
)
def test_circular_that_does_not_suit_the_columns_is_refused(circular, message):
    with pytest.raises(DataError, match=message):
        prepared(trace(np.arange(10.0), np.zeros((10, 2))), Behavior(circular=circular))


def test_circular_by_unit_asks_for_a_period_only_of_columns_that_are_used():
    tr = trace(np.arange(10.0), np.zeros((10, 2)), names=("x", "hd"))
    tr = replace(tr, units=("", "degrees"))
    assert prepared(tr, Behavior(circular=True, columns=("hd",))).periods == (360.0,)
    with pytest.raises(DataError, match=r'"x" has no unit; .*`circular: \{hd: 360\}`'):
        prepared(tr, Behavior(circular=True))


@pytest.mark.parametrize("circular", [0.0, -360.0, np.inf, {"hd": 0.0}])
def test_period_that_is_not_above_0_is_refused(circular):
    with pytest.raises(ConfigError, match="`circular` must be above 0"):
        Behavior(circular=circular)


def test_two_columns_of_one_name_are_refused():
    both = trace(np.arange(10.0), np.zeros((10, 2)), names=("hd", "hd_cos"), units="degrees")
    with pytest.raises(DataError, match='two columns "hd_cos"'):
        behavior_on_bins(prepared(both, Behavior(circular={"hd": 360.0})), bins(5, 1.0), None)


def test_position_that_jumps_back_after_each_lap_is_pointed_out_and_velocity_is_right_with_its_period():
    laps = turning(200.0, 37.0, units="cm", name="track")
    (note,) = prepared(laps, Behavior()).notes
    assert "jumps 22 times across its range of 200," in note and "`circular: {track: PERIOD}`" in note
    made = prepared(laps, Behavior(circular={"track": 200.0}, derive="velocity"))
    assert np.allclose(made.values, 37.0) and made.notes == ()


@pytest.mark.parametrize(
    "values",
    [
        np.where(np.arange(6000) % 100 < 50, 0.0, 1.0),
        100 * np.sin(np.arange(6000) / 300),
        np.random.default_rng(0).normal(size=6000),
        np.zeros(6000),
    ],
    ids=["states", "back and forth", "noise", "still"],
)
def test_position_without_laps_gives_no_note(values):
    assert prepared(trace(np.arange(6000) / 50, values), Behavior()).notes == ()


def test_position_that_begins_again_in_each_trial_gives_no_note():
    runs = trace((10 * np.arange(12)[:, None] + np.arange(350) / 50).ravel(), np.tile(np.linspace(0, 200, 350), 12))
    assert prepared(runs, Behavior()).notes == ()


@pytest.mark.parametrize("behavior", [Behavior(), Behavior(circular={"position_x": 80.0})], ids=["laps", "turns"])
def test_position_that_begins_again_in_each_of_trials_laid_end_to_end_gives_no_note(behavior):
    runs = trace(np.arange(12 * 350) / 50, np.tile(np.linspace(0, 200, 350), 12))
    trials = 7.0 * np.arange(12)[:, None] + [0.0, 7.0]
    assert len(prepared(runs, behavior).notes) == 1
    assert prepared(runs, behavior, trials).notes == ()
