"""The space of a search: its points, their number, and the conditions under which a dimension exists."""

import itertools

import pytest

from raydistill.errors import ConfigError
from raydistill.sweep.config.space import Choices, Range, ordered


def test_stepped_range_lists_rounded_values_up_to_the_last_that_fits():
    steps = Range(low=0.1, high=0.65, step=0.1)
    assert list(steps.values()) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6] and steps.highest == 0.6
    assert 0.1 + 0.2 in steps and 0.3 in steps and 0.35 not in steps and 0.65 not in steps
    assert steps.nearest(0.1 + 0.2) == 0.3


def test_range_of_whole_numbers_contains_only_whole_ones_in_steps():
    odd = Range(low=1, high=6, step=2)
    assert list(odd.values()) == [1, 3, 5] and 3 in odd and 4 not in odd and 1.5 not in odd and True not in odd
    assert all(isinstance(value, int) for value in odd.values())


def test_range_without_step_is_infinite_and_has_both_ends():
    real = Range(low=0.0, high=1.0)
    assert not real.finite and 0.0 in real and 1.0 in real and 0.123 in real and 1.1 not in real


@pytest.mark.parametrize("step", [0, -1, 5])
def test_step_outside_of_the_range_is_refused(step):
    with pytest.raises(ConfigError, match="`step` must be above 0"):
        Range(low=0, high=1, step=step)


def test_points_have_a_dimension_only_where_its_condition_is_met():
    space = ordered(
        {
            "heads": Choices(choices=(2, 4), when={"width": (64,), "kind": ("a",)}),
            "width": Choices(choices=(32, 64)),
            "kind": Choices(choices=("a", "b")),
        }
    )
    points = list(space.points())
    assert len(points) == 3 + 2 == space.count(99)
    assert {"width": 64, "kind": "a", "heads": 2} in points and {"width": 32, "kind": "a"} in points
    assert {"width": 64, "kind": "a"} not in space and {"width": 32, "kind": "a", "heads": 2} not in space


def test_condition_on_a_dimension_that_does_not_exist_is_not_met():
    a, b = Choices(choices=(1, 2)), Choices(choices=(1, 2), when={"a": (1,)})
    space = ordered({"a": a, "b": b, "c": Choices(choices=(5, 6), when={"b": (2,)})})
    assert list(space.points()) == [{"a": 1, "b": 1}, {"a": 1, "b": 2, "c": 5}, {"a": 1, "b": 2, "c": 6}, {"a": 2}]


def test_large_space_is_counted_only_up_to_the_limit():
    space = ordered({name: Range(low=0, high=999) for name in "abc"})
    assert space.count(100) == 100 and len(list(itertools.islice(space.points(), 5))) == 5


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"b": (1,)}, "name each other: a -> b -> a"),
        ({"d": (1,)}, '`when` names "d", which is not in the space'),
        ({"a": (1,)}, '`when` names "a", which is not in the space'),
        ({"c": (9,)}, "`when` names 9, which is not a value of c in the space"),
    ],
)
def test_condition_that_can_never_be_met_is_refused(when, message):
    dimensions = {
        "a": Choices(choices=(1, 2), when=when),
        "b": Choices(choices=(1, 2), when={"a": (1,)}),
        "c": Choices(choices=(1, 2)),
    }
    with pytest.raises(ConfigError, match=message):
        ordered(dimensions)
