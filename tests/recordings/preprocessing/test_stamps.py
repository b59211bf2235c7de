"""Time stamps of behavior that run back, repeat or are missing."""

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.preprocessing.stamps import ascending, usual_step
from tests.recordings.signals import trace

TIMES = np.arange(500) / 50


def test_stamps_of_neighbours_that_are_swapped_are_sorted_and_told():
    order = np.arange(500)
    order[[100, 101, 300, 301]] = [101, 100, 301, 300]
    made, notes = ascending(trace(TIMES[order], 2 * TIMES[order]))
    assert np.array_equal(made.times, TIMES) and np.array_equal(made.values[:, 0], 2 * TIMES)
    assert notes == ("behavior: time stamps that run back by a few samples, sorted: 2 of 500",)


def test_stamps_that_repeat_are_averaged_and_told():
    at = np.searchsorted(TIMES, 5.0)
    again = trace(np.insert(TIMES, at, 5.0), np.insert(2 * TIMES, at, 30.0))
    made, notes = ascending(again)
    assert len(made.times) == 500 and np.all(np.diff(made.times) > 0)
    assert made.values[250, 0] == pytest.approx((10.0 + 30.0) / 2)
    assert notes == ("behavior: samples averaged with another of the same time stamp: 1 of 501",)


@pytest.mark.parametrize("n", [2, 3, 50])
def test_stamps_too_coarse_for_their_samples_are_refused(n):
    coarse = trace(np.repeat(TIMES[::n], n)[: len(TIMES)], TIMES)
    if n == 2:  # as when every sample was stored twice
        assert len(ascending(coarse)[0].times) == 250
        return
    with pytest.raises(DataError, match=r"of 500 samples have the time stamp of another, such as 0 s.*`rate_hz` and"):
        ascending(coarse)


def test_samples_without_a_time_are_left_out_and_told():
    times = TIMES.copy()
    times[[3, 4, 499]] = np.nan
    made, notes = ascending(trace(times, TIMES))
    assert len(made.times) == 497 and np.array_equal(made.values[:, 0], made.times)
    assert notes == ("behavior: samples without a time stamp, left out: 3 of 500",)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (np.tile(TIMES, 3), r"sample 500 at 0\.000 s follows 9\.980 s \(2 such places\): the clock was set back"),
        (np.concatenate([[np.nan], TIMES, TIMES + 5]), r"sample 501 at 5\.000 s follows 9\.980 s: the clock was set"),
        (np.where(np.arange(500) == 70, 0.0, TIMES), r"sample 70 at 0\.000 s follows 1\.380 s"),
        (TIMES[::-1], r"sample 4 at 9\.900 s follows 9\.980 s"),
        (np.zeros(500), "behavior has 1 different time stamps; two are needed"),
        (np.full(500, np.nan), "behavior has 0 different time stamps; two are needed"),
    ],
)
def test_clock_that_was_set_back_is_an_error_naming_the_stamp(times, message):
    with pytest.raises(DataError, match=message):
        ascending(trace(times, np.arange(len(times))))


def test_clock_that_was_set_back_is_used_where_one_time_means_one_moment():
    times = np.concatenate([TIMES, TIMES + 5])  # 5 to 10 s are two moments
    made, notes = ascending(trace(times, np.arange(1000)), windows=[(0.0, 4.9), (10.0, 14.0)])
    assert made.values[:, 0].tolist() == [*range(246), *range(750, 951)]
    assert notes == ("behavior: its clock was set back, so only the samples within `interval` are used",)
    with pytest.raises(DataError, match="the clock was set back"):
        ascending(trace(times, np.arange(1000)), windows=[(0.0, 6.0)])


def test_usual_step_is_that_of_the_clock_whatever_was_lost(rng):
    kept = np.sort(rng.choice(10_000, 9_300, replace=False)) / 50
    assert usual_step(kept) == pytest.approx(0.02)


def test_usual_step_is_that_within_trials_of_few_samples():
    trials = 2.4 * np.arange(50)[:, None] + np.arange(8) / 20
    assert usual_step(trials.ravel()) == pytest.approx(0.05)


def test_usual_step_of_samples_that_come_in_pairs_is_that_from_pair_to_pair():
    pairs = 0.04 * np.arange(500)[:, None] + np.array([0, 0.002])
    assert usual_step(pairs.ravel()) == pytest.approx(0.038)
