"""The studies of a search: one for each space, job and data, and what a new one takes over."""

import pytest

from raydistill.sweep.searching.study import ended
from tests.sweep.searching.small_search import SmallSearch, finish

SPACE = "{model.layers: [1, 2], model.dropout: [0.0, 0.1]}"


@pytest.fixture
def small(tmp_path):
    return SmallSearch(tmp_path)


def test_edited_sweep_starts_a_new_study_without_the_trials_of_another_recipe(small):
    first = small.points(SPACE, "trials: 2")
    finish(first)
    small.edit("preset: tiny", "preset: tiny\ntraining: {epochs: 2}")
    second = small.points(SPACE, "trials: 2")
    assert second.study.study_name != first.study.study_name and second.study.trials == []
    assert small.taken == (0, 2) and len(finish(second)) == 2


def test_other_data_start_a_new_study(small):
    first = small.points(SPACE, "trials: 2")
    finish(first)
    small.edit("every: {modality: lfp}", "every: {names: [a_1]}")
    assert small.points(SPACE, "trials: 2").study.study_name == first.study.study_name  # the same sessions
    small.edit("seeds: [0]", "seeds: [1]")
    assert small.points(SPACE, "trials: 2").study.trials == [] and small.taken == (0, 2)


def test_grown_grid_takes_over_its_cells_and_tries_the_new_ones(small):
    finish(small.points("{model.layers: [1, 2]}", "sampler: grid"), score=lambda values: values["model.layers"] / 10)
    grown = small.points("{model.layers: [1, 2, 3]}", "sampler: grid")
    assert small.taken == (2, 2) and finish(grown) == [{"model.layers": 3}]
    scores = {t.params["model.layers"]: t.value for t in ended(grown.study)}
    assert scores == {1: 0.1, 2: 0.2, 3: 0.5}


def test_removed_dimension_takes_over_only_trials_with_the_same_jobs(small):
    finish(small.points(SPACE, "trials: 4"), score=lambda values: values["model.dropout"])
    points = small.points("{model.layers: [1, 2]}", "trials: 4")
    assert small.taken == (2, 4) and finish(points) == []
    assert {t.value for t in ended(points.study)} == {0.0}  # the sweep's dropout, not 0.1


def test_added_dimension_takes_over_trials_with_its_own_value(small):
    finish(small.points("{model.layers: [1, 2]}", "trials: 4"))
    points = small.points(SPACE, "trials: 4")
    assert small.taken == (2, 2)
    assert [values["model.dropout"] for values in finish(points)] == [0.1, 0.1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{training.weight_decay: {low: 0.01, high: 1, log: true}}", "{training.weight_decay: {low: 0.01, high: 1}}"),
        ("{model.layers: [1, 2, 3]}", "{model.layers: {low: 1, high: 3}}"),
        ("{model.layers: [1, 2]}", "{model.layers: [2, 5]}"),
    ],
)
def test_changed_kind_of_a_dimension_takes_over_what_is_still_in_the_space(small, before, after):
    finish(small.points(before, "trials: 3"))
    points = small.points(after, "trials: 3")
    tried = [t.user_attrs["values"] for t in ended(points.study)]
    assert small.taken[0] == len(tried) > 0 and all(values in points.space for values in tried)


def test_more_objectives_take_over_trials_with_both_values(small):
    finish(small.points("{model.layers: [1, 2]}"))
    points = small.points("{model.layers: [1, 2]}", "objectives: [valid_r2, parameters]")
    assert small.taken == (2, 2)
    assert all(t.values == [0.5, t.user_attrs["parameters"]] for t in ended(points.study))


def test_trials_are_taken_over_once(small):
    finish(small.points("{model.layers: [1, 2]}"))
    small.points(SPACE)
    points = small.points(SPACE)
    assert small.taken == (0, 2) and len(ended(points.study)) == 2


def test_more_trials_continue_the_same_study(small):
    first, second = small.points(SPACE, "trials: 2"), small.points(SPACE, "trials: 3")
    assert first.study.study_name == second.study.study_name
