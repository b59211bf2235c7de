"""The table of predicted signals: means over sessions, the seeds of each averaged first, under names for readers."""

import numpy as np
import pytest

from raydistill.evaluation.neural_table import COLUMNS, neural_means, neural_rows, with_titles
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score
from raydistill.papers.targets import Panel


def score(method, session, seed, neural):
    return Score(method, session, "A", seed, 0.5, "key", neural=neural)


def test_rows_average_seeds_first_and_leave_out_tasks_and_methods_without_scores():
    scores = (
        score("m", "a", 0, {"one_step": {"bits_per_spike": 0.1}, "forward": {"lfp_r2": 0.3}}),
        score("m", "a", 1, {"one_step": {"bits_per_spike": 0.3}, "forward": {"lfp_r2": 0.5}}),
        score("m", "b", 0, {"one_step": {"bits_per_spike": 0.6}}),
        score("other", "a", 0, {}),
    )
    one_step, forward = neural_rows(Results(protocol="corrected", scores=scores))
    assert (one_step.method, one_step.task, forward.task) == ("m", "next bin", "last 200 ms")
    assert COLUMNS == ("bits per spike", "prediction power", "R² of LFP")
    np.testing.assert_allclose(one_step.values, [0.4, np.nan, np.nan])
    np.testing.assert_allclose(forward.values, [np.nan, np.nan, 0.4])


def test_means_of_a_sweep_with_several_figures_are_named_after_them():
    scores = tuple(
        score("m", session, None, {"co_smoothing": {"lfp_r2": r2}}) for session, r2 in (("a", 0.2), ("b", 0.6))
    )
    panels = tuple(Panel(figure=f, methods=("m",), sessions=frozenset(s)) for f, s in {"F3": "a", "F11": "b"}.items())
    means = neural_means(Results(protocol="corrected", scores=scores, panels=panels))
    assert {name: values["held-out channels: R² of LFP"] for name, values in means.items()} == {
        "F3: m": 0.2,
        "F11: m": 0.6,
    }


def test_titles_are_given_to_known_scores_alone():
    neural = {"forward": {"prediction_power": 0.25, "later": 1.0}, "another": {"lfp_r2": 0.1}}
    assert with_titles(neural) == {"last 200 ms: prediction power": pytest.approx(0.25)}
