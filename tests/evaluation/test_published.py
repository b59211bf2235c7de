"""The paper's numbers next to ours: each at the level at which it is printed."""

import csv
import io

import numpy as np
import pytest
from rich.console import Console

from raydistill.evaluation.alignment import align
from raydistill.evaluation.comparisons import compare_all
from raydistill.evaluation.published import QUANTITIES, PublishedRow, published_csv
from raydistill.evaluation.results import Results, to_csv
from raydistill.evaluation.scores import Score
from raydistill.evaluation.terminal import render
from raydistill.papers.crossmodal import CROSSMODAL
from raydistill.papers.targets import Panel

HELD_OUT, OTHERS = {"I_1": 0.5, "I_2": 0.7, "C_1": 0.9}, {"I_3": 0.0}


def scores(method, r2_of_session):
    return [Score(method, s, s[0], 0, r2, f"{method}/{s}") for s, r2 in r2_of_session.items()]


def results(*panels, alignments=()):
    ours = scores("Distilled LFP", HELD_OUT | OTHERS) + scores("SS-LFP", {s: 0.2 for s in HELD_OUT | OTHERS})
    return Results(
        protocol="corrected",
        scores=tuple(ours),
        comparisons=compare_all(panels, ours),
        panels=panels,
        alignments=alignments,
    )


def figure(name="F3", **other):
    whole = {"methods": ("Distilled LFP", "SS-LFP"), "pairs": (("Distilled LFP", "SS-LFP"),)}
    return Panel(paper="crossmodal", figure=name, sessions=frozenset(HELD_OUT), **whole | other)


def by_quantity(rows):
    return {(r.about, r.quantity): (*r.in_figures(), r.n) for r in rows}


def test_means_and_p_are_those_of_the_sessions_of_the_figure():
    rows = by_quantity(results(figure()).published)
    assert rows["Distilled LFP", "all sessions"] == ("0.700", "0.71", 3)
    assert rows["Distilled LFP", "subject I"] == ("0.600", "0.66", 2)
    assert rows["Distilled LFP", "subject M"] == ("–", "0.72", 0), "a subject without sessions is still named"
    assert rows["Distilled LFP > SS-LFP", "p"] == ("0.12", "< 2.6e-10", 3)
    assert rows["SS-LFP", "all sessions"] == ("0.200", "0.24", 3)
    assert len(rows) == 5 + 1 + 1


def test_numbers_of_methods_without_scores_are_named_with_a_dash():
    rows = by_quantity(
        results(figure(methods=("Distilled LFP", "MS-Spike"), pairs=(("Distilled LFP", "MS-Spike"),))).published
    )
    assert rows["MS-Spike", "all sessions"] == ("–", "0.69", 0)
    assert rows["Distilled LFP > MS-Spike", "p"] == ("–", "< 0.0017", 0)


def test_single_sessions_and_sds_are_compared_with_those_of_the_paper():
    ours = scores("Distilled LFP", {"MonkeyC_e5_1": 0.5, "MonkeyC_e2_1": 0.25}) + scores("frozen", {"a": 0.2, "b": 0.4})
    panels = (
        Panel(paper="crossmodal", figure="F5", methods=("Distilled LFP",)),
        Panel(paper="crossmodal", figure="T4", methods=("frozen",)),
    )
    made = Results(protocol="paper", scores=tuple(ours), panels=panels)
    rows = by_quantity(made.published)
    assert rows["Distilled LFP", "MonkeyC_e5_1"] == ("0.500", "0.678", 1)
    assert rows["Distilled LFP", "MonkeyC_e3_1"] == ("–", "0.694", 0)
    assert rows["frozen", "SD of R²"] == (f"{np.std([0.2, 0.4], ddof=1):.3f}", "0.07", 2)
    out = io.StringIO()
    render(made, Console(file=out, width=100))
    assert ".500 (.678)" in out.getvalue() and ".141 (.07)" in out.getvalue()


@pytest.mark.parametrize(
    ("paper", "protocol", "expected"),
    [
        ("crossmodal", "paper", True),
        ("crossmodal", "released", True),
        ("crossmodal", "realm", False),
        ("realm", "realm", True),
        ("realm", "paper", False),
        ("realm", "corrected", False),
    ],
)
def test_printed_numbers_are_of_another_protocol_unless_the_paper_has_this_one(paper, protocol, expected):
    panel = Panel(paper=paper, figure="held-out" if paper == "realm" else "F3", methods=("REALM", "MS-LFP"))
    ours = scores("REALM", {"a": 0.5}) + scores("MS-LFP", {"a": 0.5})
    made = Results(protocol=protocol, scores=tuple(ours), panels=(panel,))
    out = io.StringIO()
    render(made, Console(file=out, width=200))
    text = " ".join(out.getvalue().split())
    assert "paper's value in brackets" in text and made.as_the_paper == expected
    assert ("under the paper's protocol" in text) != expected


def test_wins_and_losses_are_counts_of_pairs_and_their_mean_gains():
    called = {"Distilled LFP": "MS-Spike", "SS-LFP": "NDT2"}
    ours = scores("Distilled LFP", {"a": 0.5, "b": 0.4, "c": 0.1}) + scores("SS-LFP", dict.fromkeys("abc", 0.2))
    panel = Panel(paper="crossmodal", figure="F8", methods=tuple(called), pairs=(tuple(called),), called=called)
    made = Results(protocol="paper", scores=tuple(ours), comparisons=compare_all([panel], ours), panels=(panel,))
    shown = {r.quantity: r.in_figures() for r in made.published if r.quantity != "p"}
    assert shown == {
        "wins": ("2", "208"),
        "losses": ("1", "18"),
        "mean gain of the wins": ("0.250", "0.090"),
        "mean gain of the losses": ("-0.100", "-0.014"),
    }


def test_similarity_of_latents_is_compared_with_the_table_of_the_paper():
    x = np.random.default_rng(0).normal(size=(20, 4))
    latents = align("Distilled LFP", "MS-Spike", x, x, np.repeat(["I_1", "C_1"], 10))
    table = Panel(paper="crossmodal", figure="T1", methods=(), aligned=(("Distilled LFP", "MS-Spike"),))
    rows = by_quantity(results(table, alignments=(latents,)).published)
    assert rows["Distilled LFP ~ MS-Spike", "mean rank"] == ("1.00", "4.99", 20)
    assert rows["Distilled LFP ~ MS-Spike", "CKA"] == ("1.000", "0.89", 20)


def test_comparison_says_what_the_paper_prints_with_its_notes():
    called = {"Distilled LFP": "MS-Distilled LFP", "SS-LFP": "Distilled LFP"}
    made = results(figure("F17", called=called))
    assert made.about(made.comparisons[0]) == (
        "The paper has p < 1.5e-08 (one-sided Wilcoxon, n=51; from Appendix A.12; Section 4.5 prints p < 1.3e-6 for "
        "the same comparison)."
    )


def test_json_and_csv_have_every_row_with_numbers():
    made = results(figure())
    documents = made.to_json()["paper"]
    assert documents[0] == {
        "figure": "F3", "setting": "unsupervised held-out", "method": "SS-LFP", "subject": "all", "session": None,
        "metric": "R2", "ours": pytest.approx(0.2), "n": 3, "paper": 0.24, "note": "",
    }  # fmt: skip
    lines = list(csv.DictReader(io.StringIO(published_csv(made.published))))
    assert len(lines) == len(documents) and lines[0]["paper"] == "0.24"


def test_every_metric_of_the_paper_has_a_name_for_readers():
    rows = [PublishedRow(target=t, about="", ours=0.5, n=1) for t in CROSSMODAL.targets]
    assert {row.quantity for row in rows if row.target.metric != "R2"} == set(QUANTITIES.values())


def test_to_csv_has_one_line_per_score():
    score = (Score("Distilled, LFP", "I_1", "I", 0, 0.5, "job"),)
    lines = to_csv(Results(protocol="paper", scores=score, baselines=score)).splitlines()
    assert lines == ["method,session,subject,seed,draw,r2,job", *['"Distilled, LFP",I_1,I,0,1,0.5,job'] * 2]
