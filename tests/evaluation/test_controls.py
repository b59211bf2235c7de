"""Controls: a gain is owed to the spikes only if no control reaches the method."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from raydistill.config.controls import CONTROLS, MASKED, NONE, RANDOM, SHUFFLED, control_method
from raydistill.evaluation.controls import control_tests, origin_of_gain
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score
from raydistill.evaluation.sentences import origins
from raydistill.evaluation.terminal import render
from raydistill.papers.targets import Panel

METHOD = "Distilled LFP"


def scores(method, r2, sessions=5, seeds=2):
    """A little different in each session and with each seed."""
    return [
        Score(method, f"s{i}", "m", seed, r2 + 0.01 * i + 0.001 * seed * (i + 1), f"{method}{i}{seed}")
        for i in range(sessions)
        for seed in range(seeds)
    ]


def control_tests_with(sessions=5, seeds=2, **r2_of_controls):
    of_controls = [
        s for c, r2 in r2_of_controls.items() for s in scores(control_method(METHOD, c), r2, sessions, seeds)
    ]
    return control_tests([METHOD], list(CONTROLS), scores(METHOD, 0.4, sessions, seeds), of_controls)


def test_method_is_compared_with_each_control_that_has_scores():
    tests = control_tests_with(**{SHUFFLED: 0.1, NONE: 0.3})
    assert [t.control for t in tests] == [SHUFFLED, NONE]
    assert tests[0].gain.mean_difference == pytest.approx(0.3) and tests[0].value == pytest.approx(0.1215, abs=1e-3)
    assert tests[0].gain.wins == 10 and tests[0].gain.session_level.n == 5


def test_gain_over_all_controls_is_owed_to_the_spikes():
    text = origin_of_gain(METHOD, control_tests_with(**{SHUFFLED: 0.1, NONE: 0.3}))
    assert (
        "is owed to the spikes: it is better than each of 2 controls without them" in text
        and "“no teacher” is nearest" in text
    )


def test_gain_over_a_single_control_names_it():
    text = origin_of_gain(METHOD, control_tests_with(**{SHUFFLED: 0.1}))
    assert "owed to the spikes: it is better than the control “spikes of other trials” (difference +0.300" in text


def test_gain_over_controls_without_a_target_alone_does_not_speak_for_the_spikes():
    text = origin_of_gain(METHOD, control_tests_with(**{NONE: 0.3, MASKED: 0.1}))
    assert text.startswith("Distilled LFP is better than without a teacher (difference +0.100")
    assert "owed" not in text and text.endswith("is not tested: add shuffled_teacher to `controls`.")


@pytest.mark.parametrize("r2", [0.4, 0.45])
def test_control_that_reaches_the_method_denies_that_the_gain_is_owed_to_the_spikes(r2):
    text = origin_of_gain(METHOD, control_tests_with(**{SHUFFLED: r2, NONE: 0.1}))
    assert "is not owed to the spikes: the control “spikes of other trials” reaches it" in text


def test_too_few_pairs_for_any_significance_cannot_tell():
    text = origin_of_gain(METHOD, control_tests_with(sessions=2, seeds=1, **{SHUFFLED: 0.1}))
    assert "cannot be told from 2 session-seed pairs" in text


def test_better_control_is_named_also_with_few_pairs():
    text = origin_of_gain(METHOD, control_tests_with(sessions=2, seeds=1, **{SHUFFLED: 0.6}))
    assert "is not owed to the spikes" in text


def test_method_is_compared_on_the_sessions_of_the_control_only():
    of_control = scores(control_method(METHOD, SHUFFLED), 0.1, sessions=3)
    (test,) = control_tests([METHOD], [SHUFFLED], scores(METHOD, 0.4, sessions=5), of_control)
    assert test.gain.test.n == 6 and not test.gain.missing


def test_untrained_teacher_says_nothing_about_the_spikes_but_about_the_training_of_the_teacher():
    text = origin_of_gain(METHOD, control_tests_with(**{SHUFFLED: 0.1, NONE: 0.3, RANDOM: 0.4}))
    assert text.startswith("The gain of Distilled LFP is owed to the spikes: it is better than each of 2 controls")
    assert "It is not shown to need a trained teacher: a teacher with random weights reaches it" in text
    text = origin_of_gain(METHOD, control_tests_with(**{SHUFFLED: 0.3, RANDOM: 0.2}))
    assert text.endswith("so the teacher's training matters.")


def test_control_tests_of_a_figure_are_over_its_sessions_and_their_origin_names_it():
    figure = Panel(figure="F3", sessions=frozenset({"s0", "s1"}))
    of_controls = scores(control_method(METHOD, NONE), 0.1, 5)
    tests = [
        t
        for panel in (figure, replace(figure, figure="F11", sessions=None), replace(figure, methods=()))
        for t in control_tests([METHOD], [NONE], scores(METHOD, 0.4, 5), of_controls, panel)
    ]
    assert [(t.gain.figure, t.gain.session_level.n) for t in tests] == [("F3", 2), ("F11", 5)]
    results = Results(protocol="paper", scores=(), controls=tuple(tests))
    assert [sentence.partition(": ")[0] for sentence in origins(results)] == ["F3", "F11"]
    out = io.StringIO()
    render(results, Console(file=out, width=120))
    assert f"F3: {METHOD}  " in out.getvalue() and f"F11: {METHOD}  " in out.getvalue()
