"""Which trials continue at a rung, also after the search was continued by another process."""

import pytest

from raydistill.sweep.searching.halving import continues
from tests.sweep.searching.small_search import SmallSearch

SPACE = "{training.weight_decay: {low: 0, high: 1}}"
HALVING = "halving: {first: 1, part: 2}"


@pytest.fixture
def small(tmp_path):
    return SmallSearch(tmp_path)


@pytest.mark.parametrize(
    ("score", "others", "part", "expected"),
    [
        (0.1, [], 3, True),  # the first to come this far
        (0.1, [0.2], 2, False),
        (0.2, [0.1], 2, True),
        (0.2, [0.3, 0.1], 2, True),  # the second of three: half of three, rounded up
        (0.1, [0.3, 0.2], 2, False),
        (0.2, [0.3, 0.1], 3, False),
        (0.2, [0.2, 0.2], 3, True),  # equal scores are not better
    ],
)
def test_best_part_of_the_trials_continues(score, others, part, expected):
    assert continues(score, others, part) is expected


def test_poor_trial_is_stopped_and_its_last_score_reaches_optuna(small):
    points = small.points(SPACE, HALVING)
    reference, other = points.next(), points.next()
    assert points.report(reference, 1, 0.4) and not points.report(other, 1, 0.3)
    ended = points.end(other, valid_r2=0.3, epoch=1, complete=False)
    assert ended.state.name == "PRUNED" and ended.intermediate_values == {1: 0.3} and ended.value == 0.3


def test_own_values_of_the_sweep_are_never_stopped(small):
    points = small.points(SPACE, HALVING)
    reference, other = points.next(), points.next()
    assert points.report(other, 1, 0.4) and points.report(reference, 1, 0.1)


def test_continued_search_compares_with_the_rungs_of_earlier_trials(small):
    points = small.points(SPACE, HALVING)
    point = points.next()
    points.report(point, 1, 0.4)
    points.end(point, valid_r2=0.6, epoch=3, complete=True)
    later = small.points(SPACE, HALVING)
    assert not later.report(later.next(), 1, 0.3)  # compared with 0.4
    assert later.report(later.next(), 1, 0.5)


def test_trial_without_a_score_at_a_rung_stops_no_other(small):
    points = small.points(SPACE, HALVING)
    points.end(points.next(), valid_r2=0.9, epoch=3, complete=True)  # a job that was done already
    assert points.report(points.next(), 1, 0.1)


def test_trials_of_two_objectives_are_compared_too(small):
    points = small.points(SPACE, HALVING, "objectives: [valid_r2, parameters]")
    reference, other = points.next(), points.next()
    assert points.report(reference, 1, 0.4) and not points.report(other, 1, 0.3)
