"""Copying the jobs of a sweep to a runs folder of their own."""

import pytest

from raydistill import marker
from raydistill.errors import DataError
from raydistill.sweep.planning.archive import archive
from raydistill.sweep.planning.notes import read_notes, write_note
from raydistill.sweep.planning.plan import Plan, Planned
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.verify import problems_of_jobs
from tests.sweep.jobs import finished_job, make_job
from tests.test_marker import flip


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(marker, "_digests", {})
    return RunsFolder(tmp_path / "runs")


def plan_of(runs, *jobs):
    return Plan(sweep="s", protocol="", planned=tuple(Planned(job=job, work=1.0) for job in jobs)).refreshed(runs)


def test_archive_holds_the_finished_jobs_results_and_notes_and_is_a_runs_folder(runs, tmp_path):
    teacher = finished_job(runs, 0)
    student, other = finished_job(runs, 1, teacher.key), finished_job(runs, 2)
    runs.sweep_folder("s").mkdir(parents=True)
    (runs.sweep_folder("s") / "results.json").write_text("{}")
    write_note(runs, sweep="s", text="kept", tags=[])
    write_note(runs, job=other.key, text="not of this sweep", tags=[])
    to, plan = RunsFolder(tmp_path / "archive"), plan_of(runs, teacher, student, make_job("", seed=9))
    assert archive(plan, runs, to) == [teacher, student]
    assert {p.job.name: p.state for p in plan.refreshed(to).planned} == {
        p.job.name: p.state for p in plan.refreshed(runs).planned
    }
    assert list(problems_of_jobs(to)) == [] and (to.sweep_folder("s") / "results.json").read_text() == "{}"
    assert read_notes(to).of_sweep("s").text == "kept" and not read_notes(to).jobs
    assert {p.name for p in (to.path / "jobs").iterdir()} == {teacher.key, student.key}

    assert archive(plan, runs, to) == []  # nothing is copied twice
    flip(to.job_folder(student.key) / "model.safetensors")
    marker._digests.clear()
    assert archive(plan, runs, to) == [student] and list(problems_of_jobs(to)) == []


def test_damaged_job_is_not_archived(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(marker, "SMALL", 0)
    job = finished_job(runs, 0)
    plan = plan_of(runs, job)
    flip(runs.job_folder(job.key) / "model.safetensors")
    with pytest.raises(DataError, match=r"model\.safetensors is damaged"):
        archive(plan, runs, RunsFolder(tmp_path / "archive"))
    with pytest.raises(DataError, match="is the runs folder itself"):
        archive(plan, runs, runs)
