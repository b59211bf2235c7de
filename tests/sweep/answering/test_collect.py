"""From job folders to results: only sound jobs, and everything that is missing by name."""

import pytest

from raydistill.sweep.answering.opened import OpenSweep
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
