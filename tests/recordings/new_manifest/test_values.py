"""What values say: facts, angles, and units of time."""

import numpy as np
import pytest

from raydistill.recordings.new_manifest.names import column_names, own_words, time_unit_of
from raydistill.recordings.new_manifest.values import facts, is_counts, period_of, time_unit_guess


def seen(values):
    return facts(np.asarray(values, dtype=np.float64), True)


def test_facts_of_numbers_with_nan():
    found = seen([0, 1, np.nan, 1, 3])
    assert (found.low, found.high, found.first, found.last) == (0, 3, 0, 3)
    assert found.is_integer and found.is_ascending and not found.is_uniform
    assert (found.n_distinct, found.n_changes, found.nan_share) == (3, 2, pytest.approx(0.2))
    assert found.range == "whole numbers from 0 to 3 and NaN"


def test_facts_of_nothing_finite():
    assert seen([np.nan, np.inf]).range == "not one finite number" and not seen([]).is_integer


@pytest.mark.parametrize(
    ("values", "expected"), [([0, 1, 2], True), ([0, 0.5], False), ([-1, 0], False), ([0, 5000], False)]
)
def test_counts_are_small_whole_numbers_from_zero(values, expected):
    assert is_counts(seen(values)) == expected


TURNS = np.arange(0, 60, 0.05)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (TURNS % (2 * np.pi), 2 * np.pi),
        ((TURNS + np.pi) % (2 * np.pi) - np.pi, 2 * np.pi),
        (np.degrees(TURNS) % 360, 360),
        (np.degrees(TURNS) % 360 - 180, 360),
        (180 + 180 * np.sin(TURNS), None),
        (TURNS % 100, None),
        (np.repeat([0.0, 360.0], 500), None),
        (np.random.default_rng(0).uniform(0, 360, 1000), None),
    ],
)
def test_period_is_that_of_columns_that_jump_between_the_ends_of_its_range(column, expected):
    assert period_of(column) == expected


@pytest.mark.parametrize(
    ("values", "is_spikes", "expected"),
    [
        ([0.1, 119.9], True, "s"),
        ([22.8, 119947.5], True, "ms"),
        ([2.5, 1.2e8], True, "us"),
        ([20, 119947], True, "ms"),
        ([684, 3598406], True, "samples"),
        ([1000, 99000], False, "ms"),
        ([0, 115], False, "s"),
    ],
)
def test_unit_of_time_by_magnitude(values, is_spikes, expected):
    unit, why = time_unit_guess(seen(values), is_spikes)
    assert unit == expected and f"the last time is {max(values):.6g}" in why


@pytest.mark.parametrize(
    ("values", "expected"),
    [([50000.2, 50060.1], "s"), ([1.6e9 + 0.5, 1.6e9 + 600], "s"), ([1.6e12, 1.6e12 + 6e5], "ms")],
)
def test_unit_of_times_that_begin_late_by_how_long_they_last(values, expected):
    unit, why = time_unit_guess(seen(values), False)
    assert unit == expected and f"they last {values[1] - values[0]:.6g}" in why


def test_words_of_names():
    assert own_words("data/spikeTimes_ms") == {"spike", "times", "ms", "spiketimesms"}
    assert own_words("UnitTimes/*/12") == {"unit", "times", "unittimes"}
    assert time_unit_of("spikes/times_ms") == "ms" and time_unit_of("t", "seconds") == "s"
    assert time_unit_of("s") is None
    assert column_names("data/pos", 2) == ["position_x", "position_y"] and column_names("emg", 4)[3] == "emg_3"
