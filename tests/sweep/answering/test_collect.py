"""From job folders to results: only sound jobs, and everything that is missing by name."""

import pytest

from raydistill.evaluation.results import method_table
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


def test_score_of_a_session_is_its_mean_over_the_draws_of_its_folds(tmp_path):
    path = write_sweep(tmp_path, "baselines: [ridge_on_lfp]", repeats=3)
    sweep, planned, runs = run_baselines(path)
    opened = OpenSweep(sweep, runs)
    results = opened.collect(opened.plan())
    assert [(s.session, s.draw) for s in results.baselines] == [("a_1", 1), ("a_1", 2), ("a_1", 3)]
    r2 = [runs.metrics(s.job)["r2"] for s in results.baselines]
    assert len(set(r2)) == 3 and [s.value for s in results.baselines] == r2
    (row,) = method_table(results)
    assert (row.n, row.mean) == (3, pytest.approx(sum(r2) / 3))
    jobs = {job.name for job in planned.jobs}
    assert {"ss_lfp/a_1/seed0", "ss_lfp/a_1~2/seed0", "ss_lfp/a_1~3/seed0", "ridge_on_lfp/a_1~2"} <= jobs


def test_baselines_that_are_compared_have_a_test_as_methods_have(tmp_path):
    path = write_sweep(tmp_path, "compare: [Ridge on LFP > Past ridge on LFP]", "baselines: []", repeats=3)
    sweep, planned, runs = run_baselines(path)
    (comparison,) = OpenSweep(sweep, runs).collect(planned.refreshed(runs)).comparisons
    assert (comparison.better, comparison.worse) == ("Ridge on LFP", "Past ridge on LFP")
    r2 = {job.method: [] for job in planned.jobs if job.kind == "baseline"}
    for job in planned.jobs:
        if job.kind == "baseline":
            r2[job.method].append(runs.metrics(job.key)["r2"])
    assert set(r2) == {"Ridge on LFP", "Past ridge on LFP"} and all(len(of_draw) == 3 for of_draw in r2.values())
    expected = [sum(of_draw) / 3 for of_draw in r2.values()]
    assert comparison.pairs == (("a_1", None, *(pytest.approx(mean) for mean in expected)),)
