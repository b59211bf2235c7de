"""From the cosine and sine that the store holds to angles."""

import numpy as np
import pytest

from raydistill.store.angles import angle_unit, angles, stored_columns


@pytest.mark.parametrize("period", [2 * np.pi, 360.0, 290.0, 1.0])
def test_angle_comes_back_from_its_cosine_and_sine(period):
    truth = np.linspace(0, period, 1000, endpoint=False)
    columns = {"hd_cos": np.cos(2 * np.pi * truth / period), "hd_sin": np.sin(2 * np.pi * truth / period), "x": truth}
    (found,) = angles(columns, {"hd": period}).values()
    assert np.allclose(found, truth, atol=1e-6 * period)


def test_angle_is_below_its_period_and_nan_where_it_is_lost():
    columns = {"hd_cos": np.array([1.0, 1.0, np.nan]), "hd_sin": np.array([-1e-30, 0.0, np.nan])}
    assert np.array_equal(angles(columns, {"hd": 2 * np.pi})["hd"], [0.0, 0.0, np.nan], equal_nan=True)


def test_angle_needs_both_of_its_columns():
    assert angles({"hd_cos": np.ones(3)}, {"hd": 360.0}) == {}


def test_name_of_an_angle_stands_for_its_columns():
    assert stored_columns(("x", "hd"), {"hd": 360.0}) == ("x", "hd_cos", "hd_sin")


def test_unit_of_a_full_turn():
    assert [angle_unit(p) for p in (2 * np.pi, 6.2832, 360, 290)] == ["radians", "radians", "degrees", ""]
