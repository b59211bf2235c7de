"""The page of a sweep: complete, offline, escaped, and accessible to screen readers and phones."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from raydistill.evaluation.alignment import align
from raydistill.evaluation.below import BelowBaseline
from raydistill.evaluation.card import Card, ScoreRow
from raydistill.evaluation.comparisons import compare_all
from raydistill.evaluation.decoders.clock_skill import ClockSkill
from raydistill.evaluation.interval import ScoreInterval
from raydistill.evaluation.report import PROTOCOLS, JobCost, Picture, ReportContext, html, picture
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Failure, Score
from raydistill.evaluation.sees import Sees
from raydistill.papers.targets import Panel

CARD = Card(
    title="Distilled LFP",
    summary="12 models.",
    sections={"Training": {"recipe": "epochs 20, batch 8"}},
    limits=("The recordings are simulated.",),
    scores=(
        ScoreRow(
            session="I_0",
            seed=1,
            value=0.601,
            valid=0.577,
            interval=ScoreInterval(n=24, unit="trials", low=0.512, high=0.688),
            n_segments=24,
        ),
    ),
)
WICKED = "<script>alert(1)</script> & 'co'"


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of the style."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.texts))


def results(**other):
    scores = tuple(
        Score(method, f"{subject}_{i}", subject, seed, base + 0.01 * i + 0.001 * seed, f"key {method}")
        for method, base in (("Distilled LFP", 0.6), ("SS-LFP", 0.3), (WICKED, 0.1))
        for subject in ("I", "C")
        for i in range(3)
        for seed in range(2)
    )
    figure = Panel(
        paper="crossmodal",
        figure="F3",
        methods=("Distilled LFP", "SS-LFP", WICKED),
        pairs=(("Distilled LFP", "SS-LFP"), ("Distilled LFP", WICKED)),
    )
    latents = Panel(paper="crossmodal", figure="T1", methods=(), aligned=(("Distilled LFP", "MS-Spike"),))
    panels = (figure, latents)
    chance = np.random.default_rng(0)
    x = chance.normal(size=(20, 4))
    whole = {
        "protocol": "corrected",
        "scores": scores,
        "baselines": (Score("Ridge on LFP", "I_0", "I", None, 0.2, "ridge"),),
        "comparisons": compare_all(panels, scores),
        "failed": (Failure("0123456789abcdef", "I_9", f"loss is not finite {WICKED}"),),
        "panels": panels,
        "alignments": (align("Distilled LFP", "MS-Spike", x, x + 0.1, np.repeat(["I_0", "C_0"], 10)),),
        "notes": ("the store holds 6 of the 17 sessions",),
    }
    return Results(**whole | other)


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("session_zscores", "normalisation is fitted on the whole session"),
        ("corrected (z-scores follow over 600 s)", "the z-scores of the LFP follow slow changes"),
    ],
)
def test_page_says_on_which_bins_z_scores_are_fitted(context, protocol, words):
    page = html(results(protocol=protocol), context)
    assert words in page and f"<dt>protocol</dt><dd>{protocol}</dd>" in page


@pytest.fixture
def context(tmp_path):
    return page_context(tmp_path)


def page_context(folder):
    """What a page shows besides results; its figure is written into `folder`."""
    svg = folder / "session_dots.svg"
    svg.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return ReportContext(
        name="small",
        question=f"does {WICKED} matter?",
        answers="Figure 3",
        pictures=[Picture(svg=svg, caption="every session", data="session_dots.csv")],
        sessions=6,
        subjects=2,
        hours=1.5,
        data_fingerprint="d" * 64,
        fingerprint="f" * 64,
        job_names={"0123456789abcdef": f"teacher/{WICKED}/seed0"},
        costs=[JobCost(name="teacher", jobs=3, seconds=7200.0, core_hours=2.0, gpu_hours=0.5)],
        last_run="1 min 35 s",
        commands="raydistill sweep small.yaml",
        versions={"torch": "2.13.0"},
        written="2026-11-26",
        paper="A. Author: A paper. 2025",
        meanings={"Distilled LFP": "A model that follows `teacher`."},
        cards=[CARD],
        sweep="name: small",
    )


def test_page_contains_all_results(context):
    text = Page(html(results(), context)).text
    for expected in (
        "Distilled LFP decodes better than SS-LFP: mean difference +0.300 R²",
        "paper 0.71",  # its mean of Figure 3, next to ours
        "paper < 2.6e-10",  # its p, next to ours
        "Distilled LFP subject M –0.720",  # its cells without a space: a number that we do not have
        "Distilled LFP ~ MS-Spike mean rank 1.004.9920",
        "the store holds 6 of the 17 sessions",
        "raydistill run 0123456789ab",
        "2.000 core-hours",
        "0.500 GPU-hours",
        "1 min 35 s",
        "d" * 64,
        PROTOCOLS["corrected"][:60],
        "raydistill sweep small.yaml",
    ):
        assert expected in text, expected


def test_page_shows_how_signals_are_predicted_and_what_was_chosen_in_a_fit(context):
    fitted = Score(
        "MSID", "I_0", "I", None, 0.5, "msid",
        neural={"forward": {"bits_per_spike": 0.123, "lfp_r2": 0.456}},
        fit={"chosen": {"states": 16}, "valid_r2": {"8": 0.3, "16": 0.41}},
    )  # fmt: skip
    text = Page(html(results(scores=(fitted,), comparisons=(), panels=(Panel(),)), context)).text
    assert "MSIDlast 200 ms 0.123–0.456" in text and "MSID 16 states (1)8: 0.300, 16: 0.410" in text
    without = Page(html(results(), context)).text
    assert "bits per spike" not in without and "fitted in one step" not in without


def test_page_shows_what_methods_see_the_clock_and_cautions(context):
    sees = Sees(
        method="SS-LFP", reads=("lfp",), past=True, future=False, clock=True, labels=False, other_sessions=False,
        spikes="never",
    )  # fmt: skip
    clock = ClockSkill(clock_r2=0.111, skill_over_clock=0.222, r2_other_trials=0.333)
    few = Score("Clock", "I_0", "I", None, -1.5, "clock", n_segments=10, seconds=25.0, clock=clock)
    text = Page(html(results(sees=(sees,), baselines=(few,)), context)).text
    for expected in (
        "LFP, past, clock",
        "−1.500",
        "0.111",
        "0.222",
        "0.333",
        "few scored data in I_0 (10 segments, 25 s)",
        "R² below -1: Clock in I_0 (-1.5)",
        "median",
    ):
        assert expected in text, expected
    assert "Compared with the clock" not in Page(html(results(), context)).text


def test_page_shows_methods_cards_paper_and_date(context):
    page = html(results(), context)
    text = Page(page).text
    for expected in (
        "Written on 2026-11-26.",
        "Methods after A. Author: A paper. 2025",
        "A model that follows teacher.",
        "recipeepochs 20, batch 8",
        "I_01 0.601",
        "0.577",
        "0.512 to 0.688 (95 %, 24 trials resampled)",
        "The recordings are simulated.",
    ):
        assert expected in text, expected
    assert "<code>teacher</code>" in page


def test_contents_list_every_section_and_nothing_else(context):
    for page in (
        Page(html(results(), context)),
        Page(html(results(comparisons=(), failed=(), alignments=(), panels=(Panel(),)), context)),
    ):
        sections = [a["aria-labelledby"] for tag, a in page.tags if tag == "section"]
        links = [a["href"] for tag, a in page.tags if tag == "a" and a["href"] != "#failures"]
        assert [f"#{name}" for name in sections if name != "failures"] == links
        assert ("failures" in sections) == ("Failures" in page.text)


def test_page_has_the_narrow_form_of_a_wide_figure(context, tmp_path):
    wide, folder = context.pictures[0].svg, tmp_path / "narrow"
    folder.mkdir()
    same = picture(wide, folder, "a", "")
    (folder / wide.name).write_text("<svg xmlns='http://www.w3.org/2000/svg' width='1'/>")
    other = picture(wide, folder, "b", "")
    assert (same.narrow, other.narrow) == (None, folder / wide.name)
    page = html(results(), replace(context, pictures=[same, other]))
    assert [a["media"] for tag, a in Page(page).tags if tag == "source"] == ["(max-width: 45rem)"]


def test_page_escapes_every_name(context):
    page = html(results(), context)
    assert "<script" not in page
    assert Page(page).text.count(WICKED) >= 6  # question, method in three tables, cause, job


def test_page_refers_to_nothing_outside_of_itself(context):
    page = html(results(), context)
    for _, attributes in Page(page).tags:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:", "#")), attributes
    assert "@import" not in page and "url(" not in page


def test_page_is_labelled_for_screen_readers_and_phones(context):
    page = Page(html(results(), context))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag == "img":
            assert attributes["alt"]
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
    assert ("html", {"lang": "en"}) in page.tags
    assert any(attributes.get("name") == "viewport" for _, attributes in page.tags)


def test_page_without_comparisons_and_failures_omits_their_sections(context):
    bare = results(comparisons=(), failed=(), alignments=(), notes=(), panels=(Panel(),))
    text = Page(html(bare, context)).text
    assert "The sweep does not compare methods." in text
    assert "Failures" not in text and "Statistics" not in text and "paper 0.71" not in text


def test_page_without_comparisons_still_names_methods_below_a_plain_decoder(context):
    found = BelowBaseline(method="MS-LFP", baseline="Ridge", value=0.1, baseline_value=0.2, worse_in=1, sessions=1)
    text = Page(html(results(comparisons=(), below=(found,)), context)).text
    assert "The sweep does not compare methods." in text and found.in_words() in text
