"""What no sweep or search of a runs folder needs."""

import pytest

from raydistill import marker
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.unused import delete, note_tried, unknown, unused
from tests.sweep.jobs import finished_job, make_job


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setattr(marker, "_digests", {})
    return RunsFolder(tmp_path / "runs")


def reasons(runs):
    return {item.path.name: item.reason for item in unused(runs)}


def test_jobs_that_no_sweep_names_are_unused_and_their_sources_are_not(runs):
    teacher, other = finished_job(runs, 0), finished_job(runs, 1)
    student = finished_job(runs, 2, teacher.key)
    runs.write_keys("s", [student])
    runs.set_aside(other.key)
    third = finished_job(runs, 3)
    found = {item.path.name: item for item in unused(runs)}
    assert set(found) == {other.key, third.key} and found[other.key].path == runs.aside_folder(other.key)
    assert found[third.key].reason == "line/s/seed3: no sweep or search of this folder names the job"
    assert found[third.key].size == sum(p.stat().st_size for p in runs.job_folder(third.key).iterdir())
    for item in found.values():
        delete(item)
    assert {p.name for p in (runs.path / "jobs").iterdir()} == {teacher.key, student.key}


def test_folders_that_are_not_of_jobs_are_never_unused(runs, tmp_path):
    (tmp_path / "home" / "thesis").mkdir(parents=True)
    (tmp_path / "home" / ("a" * 64)).mkdir()
    runs.path.mkdir()
    (runs.path / "jobs").symlink_to(tmp_path / "home")
    (runs.path / "aside").symlink_to(tmp_path / "home")
    assert reasons(runs).keys() == {"a" * 64}
    (runs.path / "jobs").unlink()
    (runs.path / "jobs").mkdir()
    (runs.path / "jobs" / ("b" * 64)).symlink_to(tmp_path / "home")
    assert "b" * 64 not in reasons(runs)


def test_nothing_counts_as_unused_while_a_list_of_jobs_is_damaged_or_missing(runs):
    job = finished_job(runs, 0)
    assert reasons(runs).keys() == {job.key}
    (runs.path / "sweeps").mkdir(exist_ok=True)
    (runs.path / "sweeps" / "s.json").write_text("{")
    assert reasons(runs) == {} and unknown(runs) == [f"{runs.path / 'sweeps' / 's.json'} is damaged"]
    (runs.path / "sweeps" / "s.json").unlink()
    runs.search_folder("find").mkdir(parents=True)
    assert reasons(runs) == {} and unknown(runs) == ["search find has no list of its jobs"]


def test_checkpoints_of_trials_are_unused_when_their_search_has_ended(runs):
    done, stopped = finished_job(runs, 0), make_job("", seed=1, name="line/s/seed1")
    (runs.open_job(stopped, {}) / "checkpoints" / "epoch-000001-step-000000").mkdir(parents=True)
    note_tried(runs, "find", [done, stopped])
    assert reasons(runs) == {}
    (runs.search_folder("find") / "best.yaml").write_text("")
    assert reasons(runs) == {"checkpoints": "line/s/seed1: its trial was stopped early"}
    runs.write_keys("s", [stopped])  # a sweep may continue it
    assert reasons(runs) == {}
