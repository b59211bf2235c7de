"""Columns that rise as time does, and columns of behavior that do not."""

import numpy as np
import pytest

from raydistill.recordings.time_columns import is_time

TIMES = np.arange(1000) / 50


@pytest.mark.parametrize(
    "column",
    [
        TIMES,
        (1.7e9 + TIMES).astype(np.float64),
        (400 + TIMES).astype(np.float32),
        np.arange(1000),
        TIMES + 0.004 * np.random.default_rng(0).uniform(-1, 1, 1000),  # of a camera
        np.tile(TIMES[:100], 10),  # of trials
        np.where(np.arange(1000) % 90 == 7, np.nan, TIMES),
    ],
    ids=["seconds", "since 1970", "float32", "frames", "jitter", "trials", "lost"],
)
def test_time_stamps_and_numbers_of_samples_are_time(column):
    assert is_time(column)


@pytest.mark.parametrize(
    "column",
    [
        np.sin(TIMES),
        np.cumsum(np.abs(np.random.default_rng(0).normal(size=1000))),  # the way that an animal has run
        np.floor(TIMES),  # a number of a trial
        np.full(1000, 3.0),
        -TIMES,
        TIMES[:10],
        np.full(1000, np.nan),
    ],
    ids=["position", "distance", "trial", "constant", "falling", "few", "lost"],
)
def test_other_columns_are_not(column):
    assert not is_time(column)
