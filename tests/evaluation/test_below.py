"""A method below a plain decoder of the same signals is named, with the best of these decoders."""

import pytest

from raydistill.evaluation.below import below_baselines
from raydistill.evaluation.scores import Score
from raydistill.evaluation.sees import Sees
from raydistill.papers.targets import WHOLE, Panel


def sees(method, *reads, future=True, clock=False):
    options = {"past": True, "labels": False, "other_sessions": False, "spikes": "never"}
    return Sees(method=method, reads=reads, future=future, clock=clock, **options)


def compared(method_r2, baselines, panels=(WHOLE,), **own):
    """What is found; `baselines`: name -> (R² in both sessions, what it sees)."""
    scores = [Score("M", s, "m", seed, r2, "") for s, r2 in zip("ab", method_r2, strict=True) for seed in (0, 1)]
    of_baselines = [Score(name, s, "m", None, r2, "") for name, (r2, _) in baselines.items() for s in "ab"]
    seen = (sees("M", "lfp", **own), *(s for _, s in baselines.values()))
    return below_baselines(panels, scores, of_baselines, seen)


def test_method_below_several_baselines_is_compared_with_the_best_one():
    found = compared(
        (0.1, 0.3), {"R1": (0.25, sees("R1", "lfp")), "R2": (0.4, sees("R2", "lfp")), "R3": (0.1, sees("R3", "lfp"))}
    )
    assert [b.baseline for b in found] == ["R2"] and found[0].value == pytest.approx(0.2)
    assert found[0].in_words() == (
        "M decodes worse than a plain decoder of the same signals: 0.200 against 0.400 of R2, in 2 of 2 sessions."
    )


@pytest.mark.parametrize(
    ("baseline", "own"),
    [
        (sees("R", "spikes"), {}),  # another signal
        (sees("R", "lfp", clock=True), {}),  # it has the clock
        (sees("R", "lfp"), {"future": False}),  # it sees the future
        (sees("R"), {}),  # a clock alone reads no signal
    ],
)
def test_baseline_that_sees_more_or_something_else_is_no_measure(baseline, own):
    assert not compared((0.1, 0.1), {"R": (0.5, baseline)}, **own)


def test_method_that_is_at_least_as_good_is_not_named():
    assert not compared((0.4, 0.2), {"R": (0.3, sees("R", "lfp"))})


def test_methods_with_different_missing_draws_are_compared_on_common_draws_only():
    scores = (
        Score("M", "a", "m", 0, 0.5, "", draw=2),  # draw 1 is missing
        Score("M", "b", "m", 0, 0.7, "", draw=1),
        Score("M", "b", "m", 0, 0.3, "", draw=2),
    )
    of_baseline = (
        Score("R", "a", "m", None, 0.9, "", draw=1),  # draw 2 is missing, so session a has no draw in common
        Score("R", "b", "m", None, 0.6, "", draw=1),
        Score("R", "b", "m", None, 0.5, "", draw=2),
    )
    seen = (sees("M", "lfp"), sees("R", "lfp"))
    found = below_baselines([WHOLE], scores, of_baseline, seen)
    assert [(b.value, b.baseline_value, b.worse_in, b.sessions) for b in found] == [
        (pytest.approx(0.5), pytest.approx(0.55), 1, 1)
    ]


def test_figures_of_a_paper_are_compared_each_over_its_own_sessions():
    panels = [Panel(figure=f, methods=("M",), sessions=frozenset(s)) for f, s in {"F3": "a", "F11": "b"}.items()]
    ridge = {"R": (0.3, sees("R", "lfp"))}
    (found,) = compared((0.1, 0.9), ridge, panels)  # over both sessions, M is the better one
    assert (found.figure, found.value, found.baseline_value, found.sessions) == ("F3", 0.1, 0.3, 1)
    assert found.in_words() == (
        "F3: M decodes worse than a plain decoder of the same signals: 0.100 against 0.300 of R, in 1 of 1 session."
    )
    assert not compared((0.1, 0.9), ridge, [Panel(figure="F3", methods=("Other",), sessions=frozenset("a"))])
