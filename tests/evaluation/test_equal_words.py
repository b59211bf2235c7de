"""Sentences about methods with the settings of those that they are compared with."""

import dataclasses

from raydistill.evaluation.equal_settings import EqualSettings
from raydistill.evaluation.equal_words import equal_sentences
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score
from raydistill.papers.targets import WHOLE, Panel

ROW = EqualSettings(method="SS", other="Distilled", values={"model.lfp_patch": 64}, own={"model.lfp_patch": 32})
R2 = {"SS": (0.2, 0.4), "Distilled": (0.5, 0.9), ROW.title: (0.3, 0.6)}


def results(*panels, rows=(ROW,)):
    scores = {
        method: [Score(method, s, "A", 0, r2, "") for s, r2 in zip("ab", of, strict=True)] for method, of in R2.items()
    }
    return Results(
        protocol="corrected",
        scores=(*scores["SS"], *scores["Distilled"]),
        control_scores=tuple(scores[ROW.title]),
        equal=rows,
        panels=panels,
    )


def test_row_is_compared_over_the_sessions_of_the_sweep():
    assert equal_sentences(results(WHOLE)) == [
        "With the lfp_patch 64 of Distilled, SS has R² 0.450 (0.300 with its own lfp_patch 32); Distilled has 0.700, a "
        "difference of +0.250 at equal settings."
    ]


def test_row_is_compared_in_each_figure_that_shows_both_methods_over_its_sessions():
    both = ("SS", "Distilled")
    shown = {"F3": ("a", both), "F11": ("b", both), "F15": ("b", ("SS",))}
    panels = (Panel(figure=f, methods=methods, sessions=frozenset(of)) for f, (of, methods) in shown.items())
    assert equal_sentences(results(*panels)) == [
        "F3: With the lfp_patch 64 of Distilled, SS has R² 0.300 (0.200 with its own lfp_patch 32); Distilled has "
        "0.500, a difference of +0.200 at equal settings.",
        "F11: With the lfp_patch 64 of Distilled, SS has R² 0.600 (0.400 with its own lfp_patch 32); Distilled has "
        "0.900, a difference of +0.300 at equal settings.",
    ]


def test_row_that_cannot_be_is_named_once():
    row = EqualSettings(
        method="SS", other="Distilled", values={"model.lfp_patch": 64}, own={}, problem="it is too wide"
    )
    panels = (Panel(figure=figure, methods=("SS", "Distilled")) for figure in ("F3", "F11"))
    assert equal_sentences(results(*panels, rows=(row,))) == [
        "SS cannot have the lfp_patch 64 of Distilled: it is too wide"
    ]


def test_row_whose_values_differ_between_draws_names_the_settings_alone():
    other_draw = dataclasses.replace(ROW, values={"model.lfp_patch": 16}, own={"model.lfp_patch": 8})
    assert equal_sentences(results(WHOLE, rows=(ROW, other_draw))) == [
        "With the lfp_patch that Distilled has in each draw, SS has R² 0.450 (0.300 with its own); Distilled has "
        "0.700, a difference of +0.250 at equal settings."
    ]
