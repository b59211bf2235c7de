import io
import json
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from raydistill.evaluation.below import BelowBaseline
from raydistill.evaluation.comparisons import compare, compare_all
from raydistill.evaluation.decoders.clock_skill import ClockSkill
from raydistill.evaluation.results import Results, method_table
from raydistill.evaluation.scores import Failure, Score
from raydistill.evaluation.sees import Sees
from raydistill.evaluation.sentences import headline, limits, verdict
from raydistill.evaluation.terminal import render
from raydistill.papers.targets import Panel

SUBJECTS = {"I_1": "I", "I_2": "I", "I_3": "I", "C_1": "C"}


def _results(lift=0.2):
    rng = np.random.default_rng(0)
    scores = tuple(
        Score(method, session, subject, seed, base + 0.1 * i + 0.01 * rng.uniform(), f"{method}-{session}-{seed}")
        for method, base in (("Distilled [LFP]", 0.2 + lift), ("MS-LFP", 0.2))
        for i, (session, subject) in enumerate(SUBJECTS.items())
        for seed in range(3)
    )
    baselines = tuple(Score("Ridge on LFP", s, subject, None, 0.1, "ridge") for s, subject in SUBJECTS.items())
    return Results(
        protocol="corrected",
        scores=scores,
        baselines=baselines,
        comparisons=compare_all([Panel(pairs=(("Distilled [LFP]", "MS-LFP"),))], scores),
        failed=(Failure("0123456789abcdef", "I_9", "loss is not finite [epoch 3]"),),
    )


def test_to_json_has_the_promised_shape():
    made = json.loads(json.dumps(_results().to_json(), allow_nan=False))
    assert set(made) == {
        "protocol",
        "measure",
        "scores",
        "baselines",
        "means",
        "sees",
        "below_baselines",
        "flags",
        "settings",
        "tests",
        "controls",
        "tuning",
        "equal_settings",
        "control_scores",
        "failed",
        "missing",
        "paper",
        "alignments",
        "notes",
    }
    keys = {"method", "session", "subject", "seed", "draw", "r2", "job", "n_segments", "seconds"}
    keys |= {"clock", "neural", "fit"}
    assert len(made["scores"]) == 24 and all(set(s) == keys for s in made["scores"] + made["baselines"])
    promised = {"better", "worse", "n", "statistic", "p", "p_method", "p_holm", "mean_difference", "ci_low", "ci_high"}
    assert promised | {"session_level"} <= set(made["tests"][0])
    level = {"n": 4, "p": 2.0**-4, "smallest_p": 2.0**-4, "sessions_needed": 5}
    assert made["tests"][0]["session_level"] == level
    assert made["failed"] == [{"job": "0123456789abcdef", "session": "I_9", "cause": "loss is not finite [epoch 3]"}]


def test_to_json_of_numbers_that_are_not_finite_gives_null():
    results = _results()
    broken = replace(results.scores[0], value=float("nan"))
    made = Results(
        protocol="paper",
        scores=(broken, replace(broken, seed=1, value=float("-inf"))),
        comparisons=(compare("a", "b", []),),
    ).to_json()
    text = json.dumps(made, allow_nan=False)
    assert [s["r2"] for s in made["scores"]] == [None, None]
    assert made["tests"][0]["p"] is None and made["tests"][0]["ci_low"] is None and "NaN" not in text


def test_method_table_weights_sessions_equally_and_puts_baselines_last():
    scores = (
        Score("m", "I_1", "I", 0, 0.2, ""),
        Score("m", "I_1", "I", 1, 0.4, ""),
        Score("m", "I_2", "I", 0, 0.6, ""),
        Score("m", "C_1", "C", 0, 0.9, ""),
        Score("m", "C_1", "C", 1, float("nan"), ""),
    )
    row, baseline = method_table(
        Results(protocol="paper", scores=scores, baselines=(Score("Clock", "I_1", "I", None, 0.1, ""),))
    )
    assert row.by_subject == pytest.approx({"I": 0.45, "C": 0.9})
    assert (row.mean, row.n) == (pytest.approx(0.6), 4)
    assert row.sd == pytest.approx(np.std([0.3, 0.6, 0.9], ddof=1))
    assert baseline.method == "Clock" and baseline.baseline and np.isnan(baseline.sd)


def test_verdict_names_the_result_and_the_level_at_which_it_is_significant():
    (better,) = _results().comparisons
    assert verdict(better).startswith(
        "Distilled [LFP] decodes better than MS-LFP over session-seed pairs, but the session-level test (n = 4) is not "
        "significant: mean difference +0.2"
    )
    assert "12 pairs" in verdict(better) and "over 4 sessions: p = 0.062" in verdict(better)
    (worse,) = _results(lift=-0.2).comparisons
    assert verdict(worse).startswith("Distilled [LFP] does not decode significantly better than MS-LFP: ")
    assert "cannot be compared" in verdict(compare("a", "b", []))


def test_difference_between_two_methods_that_decode_nothing_is_called_no_gain():
    scores = tuple(replace(s, value=s.value - 1.0) for s in _results().scores)
    (c,) = compare_all([Panel(pairs=(("Distilled [LFP]", "MS-LFP"),))], scores)
    assert c.p_holm < 0.001 and c.decodes_nothing, "the difference is significant, which is the point"
    results = replace(_results(), scores=scores, comparisons=(c,))
    assert headline(results).startswith("Neither Distilled [LFP] nor MS-LFP decodes behavior here (-0.4")
    assert "and MS-LFP decode nothing (mean R² -0.4" in verdict(c) and "is no gain" in verdict(c)
    assert not _results().comparisons[0].decodes_nothing and not compare("a", "b", []).decodes_nothing


def test_render_prints_scores_means_tests_and_failures():
    console = Console(file=io.StringIO(), width=160)
    render(_results(), console)
    text = console.file.getvalue()
    for part in ("corrected protocol", "Distilled [LFP]", "I_2", "Ridge on LFP", "after Holm", "[epoch 3]", "±"):
        assert part in text


def test_render_without_any_score_prints_the_failures():
    console = Console(file=io.StringIO(), width=100)
    render(Results(protocol="paper", scores=(), failed=(Failure("k", None, "no store"),)), console)
    assert "no store" in console.file.getvalue()


@pytest.mark.parametrize(("r2", "printed"), [(0.123, " .123"), (-0.05, " -.050"), (-20.3, " -20.300"), (1.0, " 1.000")])
def test_render_prints_every_r2_with_its_own_digits(r2, printed):
    score = Score("A", "S1_01", "S1", 0, r2, "key")
    text = io.StringIO()
    render(Results(protocol="corrected", scores=(score,)), Console(file=text, width=120))
    row = next(line for line in text.getvalue().splitlines() if line.startswith("S1 "))
    assert row.endswith(printed)


def _results_of_many(subjects: int, sessions: int) -> Results:
    scores = tuple(
        Score(method, f"S{i:03d}_{n}", f"S{i:03d}", 0, base + 0.001 * i, "")
        for method, base in (("Distilled LFP", 0.5), ("MS-LFP", 0.2))
        for i in range(subjects)
        for n in range(sessions)
    )
    panels = (Panel(pairs=(("Distilled LFP", "MS-LFP"),)),)
    return Results(protocol="corrected", scores=scores, panels=panels, comparisons=compare_all(panels, scores))


def test_means_of_fifty_subjects_are_shown_with_a_row_per_subject():
    out = io.StringIO()
    render(_results_of_many(50, 1), Console(file=out, width=80))
    lines = out.getvalue().splitlines()
    start = next(i for i, line in enumerate(lines) if "mean over sessions, by subject" in line)
    assert lines[start + 1].split() == ["subject", "Distilled", "LFP", "MS-LFP"]
    assert lines[start + 2].split() == ["S000", ".500", ".200"]
    assert lines[start + 51].split() == ["S049", ".549", ".249"]
    assert lines[start + 53].split() == ["median", ".524", ".225"]
    assert lines[start + 55].split() == ["n", "50", "50"]


def test_results_of_five_thousand_sessions_take_seconds_and_little_memory():
    started = time.process_time()
    tracemalloc.start()
    results = _results_of_many(50, 100)
    table, _ = method_table(results), results.to_json()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table[0].mean == pytest.approx(0.5245) and results.comparisons[0].test.n == 5000
    assert time.process_time() - started < 20  # a loop over all pairs of scores takes minutes
    assert peak < 300e6


def _results_with_baselines() -> Results:
    clock = ClockSkill(clock_r2=0.1, skill_over_clock=0.2, r2_other_trials=0.05)
    names = ("Ridge on spikes", "Wide ridge on spikes and clock", "Kalman on spikes", "Clock", "Ridge on LFP")
    few = {"n_segments": 10, "seconds": 25.0, "clock": clock}
    scores = (Score("Distilled LFP", "mouse2_session1", "mouse2", 0, 0.28, "", **few),)
    baselines = tuple(Score(name, "mouse2_session1", "mouse2", None, -1.5, "", **few) for name in names)
    sees = Sees(
        method="Distilled LFP", reads=("lfp",), past=True, future=True, clock=True, labels=False, other_sessions=True,
        spikes="training",
    )  # fmt: skip
    return Results(protocol="corrected", scores=scores, baselines=baselines, sees=(sees,))


@pytest.mark.parametrize(("width", "tables"), [(56, 2), (80, 1), (100, 1)])
def test_every_method_and_session_is_legible_in_a_narrow_terminal(width, tables):
    out = io.StringIO()
    render(_results_with_baselines(), Console(file=out, width=width))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width and "…" not in out.getvalue()
    rows = [line for line in lines if line.startswith("mouse2 ")]
    assert len(rows) == tables and sum(line.split().count("-1.500") for line in rows) == 5
    assert any(line.split()[:3] == ["Distilled", "LFP", ".280"] for line in lines)


def test_render_prints_what_a_method_sees_and_the_cautions():
    out = io.StringIO()
    render(_results_with_baselines(), Console(file=out, width=200))
    text = out.getvalue()
    assert "LFP, past, future, clock; in training: spikes, other sessions" in text
    assert "caution: few scored data in mouse2_session1 (10 segments, 25 s)" in text
    assert "caution: R² below -1: Ridge on spikes in mouse2_session1 (-1.5)" in text


def test_to_json_has_means_medians_flags_and_the_clock():
    made = json.loads(json.dumps(_results_with_baselines().to_json(), allow_nan=False))
    assert made["means"][0] == {
        "figure": None, "method": "Distilled LFP", "baseline": False, "mean": 0.28, "median": 0.28, "sd": None, "n": 1
    }  # fmt: skip
    assert made["scores"][0]["clock"] == {"clock_r2": 0.1, "skill_over_clock": 0.2, "r2_other_trials": 0.05}
    assert [flag["kind"] for flag in made["flags"]] == ["few_data"] + ["low_r2"] * 5
    assert made["sees"][0]["spikes"] == "training"


def test_headline_says_the_first_comparison_without_statistics():
    assert headline(_results()) == (
        "Distilled [LFP] decodes behavior better than MS-LFP here (0.56 against 0.35, where 1 is perfect and 0 is no "
        "better than the mean), but 4 sessions are too few to be sure."
    )
    assert headline(_results(lift=-0.1)).startswith("It is not shown that Distilled [LFP] decodes behavior better than")
    found = BelowBaseline(
        method="Distilled [LFP]",
        baseline="Ridge",
        value=0.56,
        baseline_value=0.6,
        worse_in=4,
        sessions=4,
        advice="Try it.",
    )
    below = replace(_results(), below=(found,))
    assert headline(below).endswith("A plain decoder of the same signals is better than Distilled [LFP].")
    assert below.to_json()["below_baselines"] == [
        "Distilled [LFP] decodes worse than a plain decoder of the same signals: 0.560 against 0.600 of Ridge, "
        "in 4 of 4 sessions. Try it."
    ]
    of_figure = replace(below, comparisons=tuple(replace(c, figure="F3") for c in below.comparisons))
    assert headline(of_figure).startswith("F3: Distilled [LFP] decodes behavior better than MS-LFP here (0.56 ")
    assert headline(of_figure).endswith("to be sure."), "what is below a plain decoder in another figure is not meant"
    assert headline(replace(_results(), comparisons=())) == ""


def test_limits_say_how_many_sessions_a_gain_needs_and_in_which_figure():
    cannot, needs = limits(_results())
    assert (
        cannot == "4 sessions cannot show that any method is better: the smallest p that a test over 4 sessions can "
        "give is 0.062."
    )
    assert "would need about 5 sessions for Distilled [LFP] > MS-LFP (80 % power" in needs
    of_figure = tuple(replace(c, figure="F3") for c in _results().comparisons)
    assert (
        "about 5 sessions for Distilled [LFP] > MS-LFP in F3 (80 %"
        in limits(replace(_results(), comparisons=of_figure))[1]
    )
