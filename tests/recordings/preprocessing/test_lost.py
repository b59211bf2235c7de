"""Numbers by which a tracker marks lost samples."""

import dataclasses

import numpy as np
import pytest

from raydistill.config.manifest import Behavior
from raydistill.recordings.preprocessing.behavior import prepared
from tests.recordings.signals import trace

TIMES = np.arange(0, 20, 0.02)
PLACE = 40 + 10 * np.sin(TIMES)
IS_LOST = (np.arange(1000) % 100) < 4


@pytest.mark.parametrize("number", [-1, 0])
def test_number_to_which_a_position_jumps_is_told_with_the_way_out(number):
    tr = trace(TIMES, np.where(IS_LOST, number, PLACE))
    out = prepared(tr, Behavior())
    assert out.notes == (
        f"behavior: position_x jumps to exactly {number} and back, in 40 of 1000 samples; if the tracker marks lost "
        f"samples so, set `lost_value: {number}`",
    )
    assert np.array_equal(out.values, tr.values)


def test_named_number_is_lost_and_no_derivative_crosses_it():
    out = prepared(trace(TIMES, np.where(IS_LOST, -1, PLACE)), Behavior(lost_value=-1, derive="velocity"))
    assert out.notes == ("behavior: samples left out as lost, equal to `lost_value`: 40 of 1000",)
    valid = out.values[np.isfinite(out.values)]
    assert len(valid) >= 940 and np.abs(valid).max() <= 10.1


def test_named_number_is_lost_before_samples_with_one_time_are_averaged():
    times = np.repeat(TIMES, 2)
    values = np.repeat(PLACE, 2)
    values[1::200] = -1
    out = prepared(trace(times, values), Behavior(lost_value=-1))
    assert np.allclose(out.values[:, 0], PLACE)


@pytest.mark.parametrize(
    "values",
    [
        np.where(PLACE > 45, 45, PLACE),  # rests at an end
        np.where(IS_LOST, 0.0, 1.0),  # a state
        np.mod(5 * TIMES, 30),  # laps that begin at 0
        np.maximum(np.random.default_rng(0).normal(size=1000), 0),  # a wheel that often stands still
    ],
)
def test_columns_that_reach_a_number_often_are_not_suspected(values):
    tr = dataclasses.replace(trace(TIMES, values), names=("wheel",))
    assert not [note for note in prepared(tr, Behavior()).notes if "lost_value" in note]
