"""Estimates follow the rates measured in the runs folder."""

import pytest

from raydistill.sweep.planning.estimate import pace, update_rates, work
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.planning.test_plan import jobs_of


def test_pace_is_measured_as_soon_as_a_job_of_that_kind_is_done(tmp_path):
    jobs, bins = jobs_of(), dict.fromkeys(("a_1", "a_2", "b_1", "b_2", "c_1"), 1000)
    teacher, student = jobs["teacher/a_2/seed0"], jobs["distilled/a_2/seed0"]
    runs = RunsFolder(tmp_path)
    assumed = pace(student, runs.rates())
    for seconds in (10.0, 30.0):
        update_rates(runs, teacher, work(teacher, bins), seconds)
    rates = runs.rates()
    assert work(teacher, bins) * pace(teacher, rates) == pytest.approx(20.0)
    assert pace(student, rates) == assumed


def test_work_grows_with_bins_and_epochs():
    bins = dict.fromkeys(("a_1", "a_2", "b_1", "b_2", "c_1"), 1000)
    one = work(jobs_of()["teacher/a_2/seed0"], bins)
    more = jobs_of(training={"epochs": 40})["teacher/a_2/seed0"]  # 20 before
    assert work(more, dict.fromkeys(bins, 3000)) == pytest.approx(6 * one)


def test_rates_that_cannot_be_read_are_empty(tmp_path):
    (tmp_path / "rates.json").write_text("{")
    assert RunsFolder(tmp_path).rates() == {}
