"""What is said of the trials of a method: how many, which settings were chosen, and their spread."""

import dataclasses

import pytest

from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score
from raydistill.evaluation.tuning import TriedSettings, TunedMethod, TuningResults
from raydistill.evaluation.tuning_table import COLUMNS, tuning_rows


def make_tuned(scores, method="A", **other):
    """A method whose trial n has the n-th validation score; None: it has none."""
    trials = tuple(
        TriedSettings(
            number=number,
            values={"training.learning_rate": 0.001 * (number + 1), "model.layers": 2},
            valid_r2=score,
            state="done" if score is not None else "failed",
            reason="" if score is not None else "the loss is not finite",
        )
        for number, score in enumerate(scores)
    )
    return TunedMethod(method=method, trials=trials, sessions=2, job_seed=0, **({"settled": True} | other))


def make_tuning(*methods, **other):
    return TuningResults(trials=4, seed=0, space={"model.layers": "2"}, methods=methods, followers={}, **other)


@pytest.mark.parametrize(
    ("scores", "best"), [([0.1, 0.3, 0.2], 1), ([0.3, 0.3, 0.1], 0), ([None, 0.1, 0.2], 2), ([0.2, 0.25, 0.25], 1)]
)
def test_best_trial_has_the_highest_score_and_of_equal_ones_is_the_first(scores, best):
    tuned = make_tuned(scores)
    assert tuned.best.number == best
    assert tuned.changes == ({} if best == 0 else tuned.trials[best].values)


def test_method_whose_trials_have_not_ended_has_no_best_one():
    assert make_tuned([0.1, 0.2], settled=False).best is None
    assert make_tuned([None, None]).best is None and make_tuned([None, None]).changes == {}


def test_choice_is_said_with_the_spread_and_the_score_of_the_own_settings():
    assert make_tuned([0.1, 0.4, 0.2, None]).in_words() == (
        "A: trial 1: learning_rate 0.002, layers 2 (validation R² 0.400, own settings 0.100; 4 trials, 1 failed: "
        "lowest 0.100, median 0.200)"
    )
    assert make_tuned([0.4, 0.1]).in_words().startswith("A: own settings (validation R² 0.400; 2 trials: lowest 0.100")
    assert (
        make_tuned([None, None]).in_words()
        == "A: no trial has a score (2 trials, 2 failed), so it has the settings of the sweep"
    )


def test_budget_and_what_is_not_equal_are_said():
    said = make_tuning(make_tuned([0.1, 0.2], left_out=("model.lfp_patch",)), make_tuned([0.1] * 4, "B")).sentences()
    assert said[0].startswith("Before the comparison, each of 2 methods gets 4 trials of settings (seed 0)")
    assert said[1:] == [
        "A: model.lfp_patch not varied, because its jobs do not use it.",
        "A: only 2 trials, because this space has no more settings for it.",
    ]
    published = make_tuning(make_tuned([0.1] * 4), on_scored_fold=True).sentences()
    assert "scores with chosen settings are optimistic" in published[1]
    drawn = make_tuning(*(make_tuned([0.1] * 4, draw=draw) for draw in range(1, 6))).sentences()
    assert drawn[0].startswith("Before the comparison, the method gets 4 trials of settings in each of 5 draws")
    assert len(drawn) == 1


def test_method_that_waits_and_its_controls_are_hidden_but_not_its_own_settings():
    tuning = make_tuning(make_tuned([0.1] * 4, "A"), make_tuned([0.1] * 4, "AB"), unsettled=("A",))
    waiting = ["A", "A, no teacher", "A (settings of AB)", "AB (settings of A)"]
    shown = ["A (own settings)", "AB", "AB, no teacher", "AB (own settings)", "Ridge on LFP"]
    assert [name for name in (*waiting, *shown) if tuning.hides(name)] == waiting


def test_trials_that_a_method_needs_are_its_own_and_those_of_its_teachers():
    methods = make_tuned([0.1], "T"), make_tuned([0.1], "D", teachers=("T",)), make_tuned([0.1], "S")
    tuning = dataclasses.replace(make_tuning(*methods), followers={"E": "D"})
    assert [tuned.method for tuned in tuning.needed_by(["S (settings of D)"])] == ["T", "D", "S"]
    assert [tuned.method for tuned in tuning.needed_by(["T, no teacher"])] == ["T"]
    assert tuning.needed_by(["S (own settings)"]) == []
    needed = {names: [tuned.method for tuned in tuning.needed_by(names)] for names in (("S",), ("D",), ("E",), ())}
    assert needed == {("S",): ["S"], ("D",): ["T", "D"], ("E",): ["T", "D"], (): ["T", "D", "S"]}


def test_table_has_the_scores_with_chosen_settings_beside_those_without():
    def score(method, session, seed, r2):
        return Score(method=method, session=session, subject="s", seed=seed, value=r2, job="")

    chosen = [score("A", "s1", 0, 0.5), score("A", "s1", 1, 0.7), score("A", "s2", 0, 0.2), score("A", "s3", 0, 0.1)]
    own = [score("A (own settings)", session, 0, r2) for session, r2 in (("s1", 0.3), ("s2", 0.1), ("s3", 0.0))]
    tuning = make_tuning(make_tuned([0.1, 0.4, None]))
    results = Results(protocol="corrected", scores=tuple(chosen), control_scores=tuple(own), tuning=tuning)
    (row,) = tuning_rows(results)
    assert (row.title, row.trials, row.settings) == ("A", "3 (1 failed)", "learning_rate 0.002, layers 2")
    shown = dict(zip(COLUMNS[2:], row.numbers, strict=True))
    assert shown == pytest.approx(
        {
            "valid R²: lowest": 0.1,
            "median": 0.25,
            "highest": 0.4,
            "own": 0.1,
            "R² with own settings": 0.4 / 3,
            "R²": 0.3,
            "median R² with own settings": 0.1,
            "median R²": 0.2,
        }
    )
    assert results.to_json()["tuning"]["methods"][0]["chosen_trial"] == 1


def test_table_has_a_row_per_draw_with_the_scores_of_that_draw():
    scores = [
        Score(method=name, session="s1", subject="s", seed=0, value=r2, job="", draw=draw)
        for name, of_draw in (("A", (0.5, 0.3)), ("A (own settings)", (0.2, 0.25)))
        for draw, r2 in enumerate(of_draw, 1)
    ]
    tuning = make_tuning(make_tuned([0.1, 0.4], draw=1), make_tuned([0.3, 0.2], draw=2))
    rows = tuning_rows(Results(protocol="corrected", scores=tuple(scores), tuning=tuning))
    assert [(row.title, row.settings) for row in rows] == [
        ("A, draw 1", "learning_rate 0.002, layers 2"),
        ("A, draw 2", "own settings"),
    ]
    assert [row.numbers[4:6] for row in rows] == [(0.2, 0.5), (0.25, 0.3)]
