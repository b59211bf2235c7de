"""The points that a search tries: distinct, waited for, pruned, tried again, and counted."""

import pytest
from optuna.trial import TrialState

from raydistill.sweep.searching.study import REPEATS, ended
from tests.sweep.searching.small_search import SmallSearch, finish

LAYERS = "{model.layers: [1, 2, 3]}"


@pytest.fixture
def small(tmp_path):
    return SmallSearch(tmp_path)


def layers(tried):
    return [values["model.layers"] for values in tried]


@pytest.mark.parametrize("sampler", ["random", "tpe", "grid"])
def test_finite_space_is_tried_once_and_then_exhausted(small, sampler):
    points = small.points(LAYERS, f"sampler: {sampler}", "trials: 9")
    tried = finish(points)
    assert layers(tried)[0] == 2 and sorted(layers(tried)) == [1, 2, 3]
    assert points.exhausted and points.finished and not points.full


def test_search_ends_after_its_number_of_different_points(small):
    points = small.points(LAYERS, "sampler: random", "trials: 2")
    assert len(finish(points)) == 2
    assert points.full and points.finished and not points.exhausted


def test_known_point_that_is_suggested_again_gets_its_result(small):
    points = small.points("{model.layers: [1, 2], model.dropout: [0.0, 0.1]}", "sampler: random", "seed: 1")
    finish(points, score=lambda values: values["model.layers"] / 10)
    repeated = [t for t in points.study.trials if REPEATS in t.user_attrs]
    assert repeated and all(t.value == points.study.trials[t.user_attrs[REPEATS]].value for t in repeated)
    assert {t.value for t in repeated} <= {0.1, 0.2}
    assert len(ended(points.study)) == 4


def test_running_point_is_waited_for_when_the_space_holds_no_other(small):
    points = small.points("{model.layers: [1, 2]}", "sampler: random")
    first, second = points.next(), points.next()
    assert points.next() is None and not points.finished
    points.end(first, valid_r2=0.1, epoch=3, complete=True)
    assert points.next() is None and not points.finished
    points.end(second, valid_r2=0.2, epoch=3, complete=True)
    assert points.next() is None and points.finished and points.exhausted


def test_points_with_the_same_jobs_are_one_point(small):
    small.edit("{train: lfp, each: every}", "{train: lfp, each: every, supervision: full}")
    points = small.points("{training.mask_ratio: [0.4, 0.6], model.layers: [1, 2]}", "sampler: random")
    assert sorted(layers(finish(points))) == [1, 2]  # behavior regression masks nothing
    assert points.exhausted


def test_own_value_outside_of_the_space_is_tried_first_and_told_to_the_study(small):
    points = small.points("{model.layers: [3, 4], model.dropout: [0.0, 0.1]}", "sampler: grid", "trials: 3")
    tried = finish(points)
    assert tried[0] == {"model.layers": 2, "model.dropout": 0.0} and len(tried) == points.most == 1 + 3
    first = points.study.trials[0]
    assert first.params == {"model.dropout": 0.0} and first.value == 0.5 and first.state == TrialState.COMPLETE


def test_invalid_values_are_pruned_with_their_reason_and_valid_ones_are_all_tried(small):
    points = small.points("{model.width: {low: 32, high: 64}}", "trials: 99")
    assert sorted(values["model.width"] for values in finish(points)) == [32, 40, 48, 56, 64]
    assert points.exhausted and len(points.invalid) == 33 - 5
    assert "a width must be a multiple of twice its heads" in points.invalid['{"model.width": 50}']
    again = small.points("{model.width: {low: 32, high: 64}}", "trials: 99")
    assert finish(again) == [] and len(again.invalid) == 33 - 5


def test_invalid_values_are_possible_again_after_the_sweep_was_corrected(small):
    space = "{model.width: [60, 64]}"
    points = small.points(space)
    assert finish(points) == [{"model.width": 64}] and list(points.invalid) == ['{"model.width": 60}']
    small.edit("preset: tiny", "preset: tiny\nmodel: {heads: 2}")
    assert finish(small.points(space)) == [{"model.width": 64}, {"model.width": 60}]


def test_search_of_only_invalid_values_in_an_infinite_space_ends(small):
    points = small.points("{model.width: [50, 51], training.weight_decay: {low: 0, high: 1}}")
    assert finish(points) == [{"model.width": 64, "training.weight_decay": 0.1}]
    assert points.gave_up and points.finished and not points.exhausted


def test_rare_valid_values_of_an_infinite_space_are_found(small):
    space = "{model.width: {low: 1, high: 4000}, model.heads: [41], training.weight_decay: {low: 0, high: 1}}"
    assert [values["model.width"] % 82 for values in finish(small.points(space, "trials: 2"))[1:]] == [0, 0]


def test_condition_leaves_a_value_out_of_points_that_do_not_meet_it(small):
    space = "{model.heads: {choices: [2, 4], when: {model.width: 64}}, model.width: [64, 72]}"
    points = small.points(space, "trials: 9")
    tried = finish(points)
    pairs = [(values["model.width"], values.get("model.heads")) for values in tried]
    assert sorted(pairs, key=str) == [(64, 2), (64, 4), (72, None)] and points.exhausted
    assert [job.training_spec.model.width for job in points.searched.jobs({"model.width": 72})] == [72]


def test_interrupted_point_is_tried_again_before_others(small):
    space = "{training.weight_decay: {low: 0, high: 1}}"
    killed = small.points(space, "trials: 3")
    reference = killed.next()
    killed.end(reference, valid_r2=0.3, epoch=3, complete=True)
    cut_off = killed.next()
    tried = finish(small.points(space, "trials: 3"))
    assert tried[0] == cut_off.values and len(tried) == 2


def test_failed_points_count_as_tried_and_are_tried_again_by_the_next_run(small):
    space = "{training.learning_rate: [0.003, 1.0e+30], model.layers: [1, 2]}"
    diverges = {"fails": lambda values: values["training.learning_rate"] > 1}
    points = small.points(space, "sampler: grid", "trials: 50")
    assert len(finish(points, **diverges)) == 4 and points.exhausted
    again = finish(small.points(space, "sampler: grid", "trials: 50"), **diverges)
    assert sorted(layers(again)) == [1, 2] and {v["training.learning_rate"] for v in again} == {1e30}
    assert len(finish(small.points(space, "sampler: grid", "trials: 50"))) == 2
    last = small.points(space, "sampler: grid", "trials: 50")
    trials = len(last.study.trials)
    assert finish(last) == [] and len(last.study.trials) == trials


def test_no_point_starts_after_the_time_limit(small):
    points = small.points(LAYERS, expired=lambda: True)
    assert not points.has_next() and not points.finished


def test_points_continue_after_a_run_with_fewer_trials(small):
    assert len(finish(small.points(LAYERS, "trials: 1"))) == 1
    assert sorted(layers(finish(small.points(LAYERS, "trials: 3")))) == [1, 3]
