"""Cards of finished jobs: in their folders, from Python, and of their methods."""

import pytest

from raydistill import load_model
from raydistill.errors import CheckpointError
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score
from raydistill.files import read_mapping
from raydistill.papers.targets import Panel
from raydistill.sweep.answering.method_cards import method_cards
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, run_session_job
from tests.sweep.baseline_sweep import write_sweep

JOBS = """jobs:
  teacher: {train: spikes, each: every}
  distilled: {distill: teacher, into: lfp, each: every}
methods: {Distilled LFP: distilled, SS-Spike: teacher}
baselines: [ridge_on_lfp]
controls: []
seeds: [0, 1]
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A sweep on one session, all of whose jobs have run."""
    folder = tmp_path_factory.mktemp("cards")
    path = write_sweep(folder)
    kept = [line for line in path.read_text().splitlines() if not line.startswith(("jobs:", "methods:", "seeds:"))]
    path.write_text("\n".join(kept) + "\n" + JOBS)
    opened = OpenSweep(load_sweep(path), RunsFolder(folder / "runs"))
    for job in opened.jobs:
        run_session_job(job, JobContext(opened.runs, opened.store))
    return opened


def folder_of(opened, name):
    (job,) = [job for job in opened.jobs if job.name == name]
    return opened.runs.job_folder(job.key)


def test_every_job_has_a_card_written_from_it(opened):
    folder = folder_of(opened, "distilled/a_1/seed1")
    card, metrics = (folder / "card.md").read_text(), read_mapping(folder / "metrics.json")
    lines = card.splitlines()
    assert lines[0] == "# Distilled LFP: a_1, seed 1"
    for line in (
        f"Decodes vx, vy from LFP: R² {metrics['r2']:.3f} on the test fold, which is used for nothing else.",
        "- sessions: a_1",
        "- LFP channels: 5",
        "- bin width: 20 ms",
        "- behavior: vx (cm/s), vy (cm/s)",
        "- split: units of 2 s; assigned to folds at random (seed 42)",
        "- sequence length: 1 s",
        "- objective: distillation, alignment 5",
        "- interval of R²: none: 4 scored segments are too few to resample (at least 10)",
        "- The test fold is so small that R² depends much on which segments it has.",
        "- teacher: teacher/a_1/seed1",
        "- trained before: teacher/a_1/seed1 (masked_autoencoding on a_1)",
        "- at decoding and in training: LFP, past, future; in training: spikes",
        f"- key: {folder.name}",
        "- It is trained and scored on one session of one subject; nothing is known about others.",
        "- It reads later bins of a segment, so that it cannot decode live; `model: {causal: true}` can.",
    ):
        assert line in lines, line
    ridge = (folder_of(opened, "ridge_on_lfp/a_1") / "card.md").read_text()
    assert "- decoder: Ridge on LFP" in ridge and "penalty = " in ridge and "cannot decode live" not in ridge


def test_loaded_model_has_the_card_of_its_job(opened, tmp_path):
    folder = folder_of(opened, "distilled/a_1/seed0")
    assert load_model(folder).card == (folder / "card.md").read_text()
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert load_model(tmp_path).card == ""  # a model that no job made


def test_card_that_was_edited_is_refused(opened):
    folder = folder_of(opened, "teacher/a_1/seed0")
    text = (folder / "card.md").read_text()
    (folder / "card.md").write_text(text.replace("R² ", "R² 0.9 or "))
    try:
        with pytest.raises(CheckpointError, match=r"card\.md is damaged.*run the sweep of this job again"):
            load_model(folder)
    finally:
        (folder / "card.md").write_text(text)


def test_card_of_a_method_has_the_mean_in_each_figure_that_shows_it(opened):
    plan, r2 = opened.plan(), (0.5, 0.7, 0.2)
    places = (("a_1", 0), ("a_1", 1), ("b_1", 0))
    scores = [Score("Distilled LFP", s, s[0], seed, r, "") for (s, seed), r in zip(places, r2, strict=True)]
    shown = {"F3": ("a_1", "Distilled LFP"), "F11": ("b_1", "Distilled LFP"), "F12": ("a_1", "SS-Spike")}
    panels = [Panel(figure=f, methods=(method,), sessions=frozenset({s})) for f, (s, method) in shown.items()]
    results = Results(protocol="corrected", scores=tuple(scores), panels=tuple(panels))
    card = method_cards(plan, results, opened.entries, opened.runs)["Distilled LFP"]
    assert card.summary == (
        "3 models, each scored on one of 2 sessions: mean R² 0.600 over 1 session of F3; "
        "mean R² 0.200 over 1 session of F11."
    )


def test_card_of_a_method_has_the_scores_of_its_jobs_and_what_the_sweep_says(opened):
    plan = opened.plan()
    results = opened.collect(plan)
    cards = method_cards(plan, results, opened.entries, opened.runs)
    assert list(cards) == ["Distilled LFP", "SS-Spike"]
    card = cards["Distilled LFP"]
    assert [(row.seed, row.value) for row in card.scores] == [(s.seed, s.value) for s in results.scores[:2]]
    assert card.sections["Training"]["objective"] == "distillation, alignment 5"
    assert card.sections["Training"]["teacher"] == "2 different: teacher/a_1/seed0 | teacher/a_1/seed1"
    assert "All of its sessions are of one subject, a." in card.limits
    assert "one session of one subject" not in card.to_markdown()
