"""What a figure of the paper shows, and the numbers it prints."""

from raydistill.evaluation.results import Results, paper_rows, to_csv
from raydistill.evaluation.scores import Score
from raydistill.papers.targets import WHOLE, Panel


def test_panel_knows_the_means_that_the_paper_prints():
    figure = Panel(figure="F3")
    assert (figure.printed("Distilled LFP"), figure.printed("Distilled LFP", "Ch")) == (0.71, 0.77)
    assert figure.printed("Distilled LFP", "H") is None and figure.printed("Ridge on LFP") is None
    assert Panel(figure="F16", called={"MSD (sup)": "MS-Distilled LFP"}).printed("MSD (sup)") == 0.82
    assert WHOLE.printed("Distilled LFP") is None


def test_panel_without_one_number_for_a_method_gives_none():
    assert Panel(figure="F10").printed("Distilled LFP") is None  # two, of a large and of a small teacher


def test_paper_rows_stand_beside_our_means_of_the_sessions_of_the_figure():
    scores = [Score("Distilled LFP", s, "I", 0, r2, "job") for s, r2 in (("I_1", 0.5), ("I_2", 0.7), ("I_3", 0.0))]
    results = Results(protocol="paper", scores=tuple(scores), panels=(Panel(figure="F3", sessions={"I_1", "I_2"}),))
    means = {row["subject"]: (round(row["r2"], 6), row["paper_r2"]) for row in paper_rows(results)}
    assert means == {"I": (0.6, 0.66), "all": (0.6, 0.71)}


def test_to_csv_has_a_line_a_score():
    scores = (Score("Distilled, LFP", "I_1", "I", 0, 0.5, "job"),)
    lines = to_csv(Results(protocol="paper", scores=scores, baselines=scores)).splitlines()
    assert lines == ["method,session,subject,seed,r2,job", *['"Distilled, LFP",I_1,I,0,0.5,job'] * 2]
