"""Checking every file of a runs folder."""

import shutil

import pytest

from raydistill import marker
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.verify import problems_of_documents, problems_of_jobs
from tests.sweep.jobs import finished_job, make_job
from tests.test_marker import flip


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(marker, "_digests", {})
    return RunsFolder(tmp_path / "runs")


def test_sound_runs_folder_has_no_problems(runs):
    teacher = finished_job(runs, 0)
    finished_job(runs, 1, teacher.key)
    runs.write_keys("s", [teacher])
    runs.open_job(make_job("", seed=2), {})  # a job that has only begun
    assert [*problems_of_jobs(runs), *problems_of_documents(runs)] == []


def test_every_problem_is_one_line(runs, monkeypatch):
    monkeypatch.setattr(marker, "SMALL", 0)
    jobs = [finished_job(runs, seed) for seed in range(4)]
    student = finished_job(runs, 4, jobs[3].key)
    flip(runs.job_folder(jobs[0].key) / "model.safetensors")
    (runs.job_folder(jobs[1].key) / "_SUCCESS").write_text("{")
    shutil.copytree(runs.job_folder(jobs[2].key), runs.path / "jobs" / ("0" * 64))
    folder = runs.job_folder(jobs[3].key)
    (folder / "model.safetensors").write_bytes(b"other weights")
    mark_complete(folder)
    (runs.path / "sweeps").mkdir()
    (runs.path / "sweeps" / "s.json").write_text("{")
    found = dict(line.split(": ", 1) for line in (*problems_of_jobs(runs), *problems_of_documents(runs)))
    again = "; the next sweep that needs the job runs it again"
    assert found == {
        str(runs.job_folder(jobs[0].key)): f"model.safetensors is damaged: its content is not the one that was "
        f"written{again}",
        str(runs.job_folder(jobs[1].key)): f"_SUCCESS is missing or damaged{again}",
        str(runs.job_folder("0" * 64)): f"job.json belongs to another job{again}",
        str(
            runs.job_folder(student.key)
        ): f"it started from weights of job {jobs[3].key[:12]} that are no longer there",
        str(runs.path / "sweeps" / "s.json"): "it is not JSON; delete it, and the next sweep writes it again",
    }
