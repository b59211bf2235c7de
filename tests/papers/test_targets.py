"""What a figure of a paper shows, and the numbers printed in it."""

from raydistill.evaluation.results import Results, paper_rows, to_csv
from raydistill.evaluation.scores import Score
from raydistill.papers.targets import WHOLE, Panel, printed_alignment


def test_panel_gives_the_means_that_the_paper_prints():
    figure = Panel(paper="crossmodal", figure="F3")
    assert (figure.printed("Distilled LFP"), figure.printed("Distilled LFP", "Ch")) == (0.71, 0.77)
    assert figure.printed("Distilled LFP", "H") is None and figure.printed("Ridge on LFP") is None
    renamed = Panel(paper="crossmodal", figure="F16", called={"MSD (sup)": "MS-Distilled LFP"})
    assert renamed.printed("MSD (sup)") == 0.82
    assert WHOLE.printed("Distilled LFP") is None and Panel(figure="F3").printed("Distilled LFP") is None


def test_panel_without_one_number_for_a_method_gives_none():
    figure = Panel(paper="crossmodal", figure="F10")  # it has two, of a large and of a small teacher
    assert figure.printed("Distilled LFP") is None


def test_printed_alignment_is_that_of_the_paper_in_either_order_and_empty_without_a_figure():
    methods, figure = ("Distilled LFP", "MS-Spike"), Panel(paper="crossmodal", figure="F3")
    printed = {"top1": 0.67, "top5": 0.9, "mean_rank": 4.99, "CKA": 0.89}
    assert printed_alignment([figure], *methods) == printed_alignment([WHOLE, figure], *methods[::-1]) == printed
    assert printed_alignment([WHOLE, Panel(paper="crossmodal")], *methods) == {}


def test_paper_rows_pair_printed_means_with_means_over_the_sessions_of_the_figure():
    scores = [Score("Distilled LFP", s, "I", 0, r2, "job") for s, r2 in (("I_1", 0.5), ("I_2", 0.7), ("I_3", 0.0))]
    panel = Panel(paper="crossmodal", figure="F3", sessions=frozenset({"I_1", "I_2"}))
    results = Results(protocol="paper", scores=tuple(scores), panels=(panel,))
    means = {row["subject"]: (round(row["r2"], 6), row["paper_r2"]) for row in paper_rows(results)}
    assert means == {"I": (0.6, 0.66), "all": (0.6, 0.71)}


def test_to_csv_has_one_line_per_score():
    scores = (Score("Distilled, LFP", "I_1", "I", 0, 0.5, "job"),)
    lines = to_csv(Results(protocol="paper", scores=scores, baselines=scores)).splitlines()
    assert lines == ["method,session,subject,seed,draw,r2,job", *['"Distilled, LFP",I_1,I,0,1,0.5,job'] * 2]
