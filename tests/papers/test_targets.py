"""What a figure of a paper shows, and the numbers printed in it."""

from raydistill.papers.crossmodal import CROSSMODAL
from raydistill.papers.targets import WHOLE, Panel


def test_panel_gives_the_means_that_the_paper_prints():
    figure = Panel(paper="crossmodal", figure="F3", methods=("Distilled LFP", "Ridge on LFP"))
    assert (figure.printed("Distilled LFP"), figure.printed("Distilled LFP", "Ch")) == ("0.71", "0.77")
    assert figure.printed("Distilled LFP", "H") is None and figure.printed("Ridge on LFP") is None
    assert figure.printed("MS-LFP") is None, "a method that the figure does not show"
    renamed = Panel(paper="crossmodal", figure="F16", methods=("MSD (sup)",), called={"MSD (sup)": "MS-Distilled LFP"})
    assert renamed.printed("MSD (sup)") == "0.82"
    assert WHOLE.printed("Distilled LFP") is None
    assert Panel(figure="F3", methods=("Distilled LFP",)).printed("Distilled LFP") is None


def test_panel_gives_the_sessions_and_sds_that_the_paper_prints():
    figure = Panel(paper="crossmodal", figure="F5", methods=("MS-LFP",))
    assert figure.printed("MS-LFP", "C", "MonkeyC_e5_1") == "0.404"
    assert figure.printed("MS-LFP", "C") is None, "a session is no mean"
    table = Panel(paper="crossmodal", figure="T4", methods=("frozen",))
    assert (table.printed("frozen"), table.printed("frozen", metric="R2_SD")) == ("0.68", "0.07")


def test_panel_pairs_comparisons_and_latents_with_methods_of_the_sweep_in_either_order():
    called = {"Student": "Distilled LFP", "Teacher": "MS-Spike"}
    figure = Panel(
        paper="crossmodal", figure="F3", methods=("Student", "Teacher"), pairs=(("Student", "Teacher"),), called=called
    )
    assert [(t.text, pair) for t, pair in figure.answers() if len(pair) == 2] == [("0.0017", ("Student", "Teacher"))]
    table = Panel(paper="crossmodal", figure="T1", methods=(), aligned=(("Student", "Teacher"),), called=called)
    printed = {target.metric: target.text for target, _ in table.answers()}
    assert printed == {"top1": "0.67", "top5": "0.90", "mean_rank": "4.99", "CKA": "0.89"}


def test_every_row_of_the_paper_is_a_number_of_a_known_subject():
    subjects = {"all", *(subject for dataset in CROSSMODAL.datasets.values() for subject in dataset.subjects)}
    assert {target.subject for target in CROSSMODAL.targets} <= subjects
    assert all(abs(target.value) <= 1 for target in CROSSMODAL.targets if "R2" in target.metric)
    assert {t.note for t in CROSSMODAL.targets if t.figure == "F17" and t.metric == "p_below"} == {
        "from Appendix A.12; Section 4.5 prints p < 1.3e-6 for the same comparison"
    }


def test_methods_of_a_figure_are_those_of_its_means_comparisons_and_pairs_of_latents():
    assert CROSSMODAL.methods_in("T1") == {"Distilled LFP", "MS-Spike", "MS-LFP"}
    assert CROSSMODAL.methods_in("F14") == {"Distilled LFP", "MS-LFP", "supervised Distilled LFP"}
    assert CROSSMODAL.methods_in("F11") == {"Distilled LFP", "MS-Spike", "MS-LFP", "SS-LFP", "SS-MM-ZS"}
    assert CROSSMODAL.methods_in("F10 raw LFP") == set()
