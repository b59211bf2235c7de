"""The settings that are tried: within their ranges, evenly spread, and the same however many there are."""

import numpy as np

from raydistill.sweep.config.space import Choices, Range, ordered
from raydistill.sweep.tuning.points import points, value_at

SPACE = ordered(
    {
        "training.learning_rate": Range(low=1e-4, high=1e-2, log=True),
        "training.epochs": Range(low=10, high=20),
        "model.width": Choices(choices=(32, 64)),
        "model.heads": Choices(choices=(4, 8), when={"model.width": (64,)}),
    }
)


def test_points_of_a_larger_number_begin_with_those_of_a_smaller_one():
    assert points(SPACE, 40, seed=3)[:7] == points(SPACE, 7, seed=3)
    assert points(SPACE, 7, seed=3) != points(SPACE, 7, seed=4)


def test_points_are_in_the_space_and_spread_over_all_of_it():
    found = points(SPACE, 64, seed=0)
    assert all(point in SPACE for point in found)
    rates = np.log10([point["training.learning_rate"] for point in found])
    assert np.histogram(rates, bins=4, range=(-4, -2))[0].tolist() == [16, 16, 16, 16]
    assert {point["training.epochs"] for point in found} == set(range(10, 21))
    widths = [point["model.width"] for point in found]
    assert widths.count(32) == widths.count(64) == 32


def test_conditional_value_is_only_in_points_that_meet_its_condition():
    found = points(SPACE, 64, seed=0)
    assert {point.get("model.heads") for point in found if point["model.width"] == 64} == {4, 8}
    assert {point.get("model.heads") for point in found if point["model.width"] == 32} == {None}


def test_value_at_a_place_is_that_share_of_the_way():
    assert value_at(Range(low=1e-4, high=1e-2, log=True), 0.5) == 0.001
    assert value_at(Range(low=0.0, high=3.0), 1 / 3) == 1.0
    assert [value_at(Range(low=0.0, high=0.4, step=0.2), place) for place in (0.0, 0.34, 0.99)] == [0.0, 0.2, 0.4]
    assert [value_at(Range(low=1, high=2), place) for place in (0.49, 0.5)] == [1, 2]
    assert [value_at(Choices(choices=("a", "b", "c")), place) for place in (0.0, 0.5, 0.99)] == ["a", "b", "c"]
