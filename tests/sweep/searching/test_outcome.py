"""What a search concludes from its trials: the Pareto front and the importances of the values that still exist."""

import pytest

from raydistill.sweep.searching.outcome import front, importances
from raydistill.sweep.searching.study import complete
from tests.sweep.searching.small_search import SmallSearch, finish


@pytest.fixture
def small(tmp_path):
    return SmallSearch(tmp_path)


def test_pareto_front_has_the_points_that_no_smaller_model_reaches(small):
    space = "{model.layers: [1, 2, 3], model.dropout: [0.0, 0.1]}"
    points = small.points(space, "objectives: [valid_r2, parameters]", "trials: 9", "sampler: grid")
    scores = {(1, 0.0): 0.1, (1, 0.1): 0.2, (2, 0.0): 0.2, (2, 0.1): 0.15, (3, 0.0): 0.4, (3, 0.1): 0.3}
    finish(points, score=lambda values: scores[values["model.layers"], values["model.dropout"]])
    found = front(complete(points.study))
    assert [(p.values["model.layers"], p.valid_r2) for p in found] == [(1, 0.2), (3, 0.4)]
    assert found[0].parameters < found[1].parameters


def test_importances_are_those_of_values_that_exist_in_every_point(small):
    space = "{model.layers: [1, 2], model.heads: {choices: [2, 4], when: {model.layers: 2}}, model.dropout: [0.0, 0.1]}"
    points = small.points(space, "trials: 9", "sampler: grid")
    finish(points, score=lambda values: values["model.layers"] + values["model.dropout"] / 9)
    shares = importances(points)
    assert shares.keys() == {"model.layers", "model.dropout"}
    assert sum(shares.values()) == pytest.approx(1)


def test_importances_after_a_dimension_was_removed_are_those_of_the_others(small):
    space = "{model.layers: [1, 2, 3, 4], model.dropout: [0.0, 0.1]}"
    finish(small.points(space, "trials: 9", "sampler: grid"), score=lambda values: values["model.layers"])
    points = small.points("{model.layers: [1, 2, 3, 4]}", "trials: 9", "sampler: grid")
    assert small.taken == (4, 8) and importances(points) == {"model.layers": 1.0}


def test_equal_scores_have_no_importances(small):
    points = small.points("{model.layers: [1, 2, 3, 4]}", "sampler: grid")
    finish(points)
    assert importances(points) == {}
