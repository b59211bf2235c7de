"""From job folders to results and records for MLflow: only sound jobs, and everything that is missing by name."""

import pytest

from raydistill.files import read_mapping, write_json
from raydistill.marker import write_marker
from raydistill.sweep.answering.collect import tracked
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.planning.notes import write_note
from tests.sweep.baseline_sweep import run_baselines, write_sweep
from tests.test_marker import flip


@pytest.fixture
def opened(tmp_path):
    sweep, _, runs = run_baselines(write_sweep(tmp_path))
    return OpenSweep(sweep, runs)


def job_named(opened, name):
    return next(job for job in opened.plan().jobs if job.name == name)


def test_results_name_the_jobs_that_are_missing(opened):
    results = opened.collect(opened.plan())
    assert [(m.name, m.reason) for m in results.missing] == [("ss_lfp/a_1/seed0", "not run yet")]
    assert {score.method for score in results.baselines} == {"Ridge on LFP", "Wide ridge on LFP", "Kalman on LFP"}


def test_damaged_job_is_missing_and_its_score_is_in_no_table(opened):
    job = job_named(opened, "ridge_on_lfp/a_1")
    flip(opened.runs.job_folder(job.key) / "metrics.json", 30)
    results = opened.collect(opened.plan())
    assert {score.method for score in results.baselines} == {"Wide ridge on LFP", "Kalman on LFP"}
    assert {m.name for m in results.missing} == {"ss_lfp/a_1/seed0", "ridge_on_lfp/a_1"}


def test_record_of_a_job_has_its_note_as_tags_and_survives_odd_metrics(opened):
    job = job_named(opened, "ridge_on_lfp/a_1")
    write_note(opened.runs, job=job.key, text="odd", tags=["figure=3"])
    folder = opened.runs.job_folder(job.key)
    write_json(folder / "metrics.json", read_mapping(folder / "metrics.json") | {"segments": {"place": "../../x"}})
    write_marker(folder)
    record = tracked(job, opened.runs, "corrected", opened.runs.metrics(job.key)).read()
    assert record.tags["note"] == "odd" and record.tags["note.figure"] == "3"
    odd = {"r2": 0.5, "segments": [1], "seconds": 1.0}
    assert tracked(job, opened.runs, "corrected", odd).read().metrics == {"r2": 0.5, "seconds": 1.0}
