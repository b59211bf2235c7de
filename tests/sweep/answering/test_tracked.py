"""The records for MLflow: the parameters in which jobs differ, and methods with their means, R² first."""

import dataclasses

import pytest

from raydistill.evaluation.card import Card
from raydistill.evaluation.comparisons import compare, compare_all
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score
from raydistill.files import read_mapping, write_json
from raydistill.marker import write_marker
from raydistill.papers.targets import Panel
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.tracked import Records, note_of
from raydistill.sweep.planning.notes import write_note
from tests.sweep.baseline_sweep import run_baselines, write_sweep


@pytest.fixture
def opened(tmp_path):
    sweep, _, runs = run_baselines(write_sweep(tmp_path))
    return OpenSweep(sweep, runs)


def job_named(opened, name):
    return next(job for job in opened.jobs if job.name == name)


def scores(**r2_of_method):
    """Scores in sessions a and b, with seeds 0 and 1 in each."""
    places = (("a", 0), ("a", 1), ("b", 0), ("b", 1))
    return [
        Score(method, session, "S", seed, r2, f"{method}{session}{seed}", {})
        for method, values in r2_of_method.items()
        for (session, seed), r2 in zip(places, values, strict=True)
    ]


@pytest.fixture
def results():
    found = scores(Good=(0.5, 0.7, 0.3, 0.3), Bad=(0.1, 0.1, 0.1, float("nan")))
    return Results(protocol="corrected", scores=tuple(found), comparisons=(compare("Good", "Bad", found),))


def test_parameters_of_jobs_are_those_that_differ(opened):
    ridge = Records(opened).job(job_named(opened, "ridge_on_lfp/a_1"), {}).read()
    assert ridge.params == {"method": "Ridge on LFP", "session": "a_1", "baseline": "ridge_on_lfp"}
    assert [path.name for path in ridge.artifacts] == ["job.json", "card.md"]
    trained = Records(opened).job(job_named(opened, "ss_lfp/a_1/seed0"), {}).read()
    assert trained.params == {"method": "SS-LFP", "session": "a_1", "seed": "0"}
    assert trained.tags == {"stage": "train", "subject": "a", "protocol": opened.protocol}


def test_record_of_a_job_has_its_note_as_tags_and_survives_odd_metrics(opened):
    job = job_named(opened, "ridge_on_lfp/a_1")
    write_note(opened.runs, job=job.key, text="odd", tags=["figure=3"])
    folder = opened.runs.job_folder(job.key)
    write_json(folder / "metrics.json", read_mapping(folder / "metrics.json") | {"segments": {"place": "../../x"}})
    write_marker(folder)
    record = Records(opened).job(job, None).read()
    assert record.tags["note"] == "odd" and record.tags["note.figure"] == "3"
    odd = {"r2": 0.5, "segments": [1], "seconds": 1.0}
    assert Records(opened).job(job, odd).read().metrics == {"r2": 0.5, "seconds": 1.0}


def test_methods_have_their_mean_over_sessions_then_each_session_then_their_gains(opened, results):
    card = Card(title="Good", summary="Two models.", sections={"Data": {"sessions": "a, b"}})
    good, bad = Records(opened).methods(results, {"Good": card})
    assert list(good.metrics)[:4] == ["R2", "R2 a", "R2 b", "R2 gain over Bad"]
    gain = results.comparisons[0]
    assert good.metrics["R2"] == 0.45 and (good.metrics["R2 a"], good.metrics["R2 b"]) == (0.6, 0.3)
    assert good.metrics["R2 gain over Bad"] == pytest.approx(gain.mean_difference, abs=5e-5)
    assert good.metrics["R2 gain over Bad p"] == gain.test.p
    assert good.metrics["R2 gain over Bad p over sessions"] == gain.session_level.p
    assert (bad.metrics["R2"], bad.metrics["R2 number of scores"]) == (0.1, 3) and good.params == {"method": "Good"}
    assert good.tags["mlflow.note.content"] == "# Good\n\nTwo models.\n\n## Data\n\n- sessions: a, b"
    assert "mlflow.note.content" not in bad.tags
    long = Card(title="Good", summary="Two models.", sections={"Data": {f"fact {i}": "x" * 80 for i in range(100)}})
    note = Records(opened).methods(results, {"Good": long})[0].tags["mlflow.note.content"]
    shown = note.count("- fact ")
    assert len(note) < 8000 and 20 < shown < 100
    assert note.endswith(f"\n\n{100 - shown} more lines are on the page of the sweep (`raydistill report`).")


def test_note_says_the_verdict_first_and_shows_a_figure_of_the_run(results, tmp_path):
    lines = note_of(results, [tmp_path / "tsne.svg", tmp_path / "session_dots.pdf", tmp_path / "session_dots.svg"])
    first, *others = lines.splitlines()
    assert first.startswith("- Good ") and "| Good | 0.450 | 4 |" in others
    assert "![session_dots.svg](get-artifact?path=figures/session_dots.svg&run_uuid={run})" in others
    assert "![" not in note_of(results, [])


def test_methods_have_a_record_for_each_published_figure_over_its_own_sessions(opened):
    found = scores(**{"SS-LFP": (0.5, 0.7, 0.3, 0.3), "Bad": (0.1, 0.1, 0.1, 0.2)})
    ridge = tuple(Score("Ridge on LFP", session, "S", None, r2, "") for session, r2 in {"a": 0.2, "b": 0.4}.items())
    figures = {"F3": frozenset({"a"}), "F11": frozenset({"b"})}
    panels = tuple(
        Panel(paper="crossmodal", figure=name, methods=("SS-LFP", "Bad"), sessions=of, pairs=(("SS-LFP", "Bad"),))
        for name, of in figures.items()
    )
    made = Results(
        protocol="corrected",
        scores=tuple(found),
        baselines=ridge,
        comparisons=compare_all(panels, found),
        panels=panels,
    )
    card = Card(title="SS-LFP", summary="Four models.", sections={})
    records = {record.name: record for record in Records(opened).methods(made, {"SS-LFP": card})}
    assert list(records) == [
        "F3: SS-LFP", "F3: Bad", "F3: Ridge on LFP", "F11: SS-LFP", "F11: Bad", "F11: Ridge on LFP"
    ]  # fmt: skip
    first, second = records["F3: SS-LFP"], records["F11: SS-LFP"]
    assert first.params["method"] == second.params["method"] == "SS-LFP"
    assert (first.params["figure"], second.params["figure"]) == ("F3", "F11")
    shown = ("R2", "R2 of the paper", "R2 gain over Bad", "R2 number of scores")
    assert [first.metrics[name] for name in shown] == [0.6, 0.24, 0.5, 2]
    assert [second.metrics[name] for name in shown] == [0.3, 0.28, 0.15, 2]
    assert "R2 b" not in first.metrics and second.metrics["R2 b"] == 0.3
    assert [records[f"{figure}: Ridge on LFP"].metrics["R2"] for figure in figures] == [0.2, 0.4]
    assert first.tags["mlflow.note.content"] == second.tags["mlflow.note.content"] == "# SS-LFP\n\nFour models."
    note = note_of(made, [])
    assert "| F3: SS-LFP | 0.600 | 2 |" in note and "| F11: SS-LFP | 0.300 | 2 |" in note


def test_note_of_many_comparisons_has_room_in_mlflow(results, tmp_path):
    many = dataclasses.replace(results, comparisons=results.comparisons * 60)
    note = note_of(many, [tmp_path / "session_dots.svg"])
    assert len(note) < 8000 and note.count("- Good ") > 5 and "session_dots.svg" in note


def test_fingerprint_follows_the_methods_that_jobs_are_of(opened):
    methods = dict(opened.config.methods)
    renamed = {"Other": methods.pop("SS-LFP"), **methods}
    other = OpenSweep(dataclasses.replace(opened.config, methods=renamed), opened.runs)
    assert {job.key for job in other.jobs} == {job.key for job in opened.jobs}
    assert Records(other).fingerprint != Records(opened).fingerprint == Records(opened).fingerprint
