"""The runs folder: one driver at a time, and jobs found by the beginning of their key."""

import pytest

from raydistill.errors import RaydistillError
from raydistill.files import write_json
from raydistill.sweep.planning.runs_folder import alone, changed_source, finish, holds, job_folder, open_folder, started
from tests.commands import raydistill, start, wait_until
from tests.sweep.running.test_queue import make_job


def test_second_driver_on_a_runs_folder_is_told_of_the_first(tmp_path):
    said = pytest.raises(RaydistillError, match=r"another raydistill works here \(process \d+ on ")
    with alone(tmp_path), said, alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


def test_started_finds_a_job_by_the_beginning_of_its_key(tmp_path):
    for key in ("abc1", "abd2"):
        write_json(job_folder(tmp_path, key) / "job.json", make_job(key).to_json() | {"store": "s", "provenance": {}})
    assert started(tmp_path, "abc") == (make_job("abc1"), "s")
    with pytest.raises(RaydistillError, match='"ab": 2 jobs begin so'):
        started(tmp_path, "ab")
    for nothing in ("x", "", "*"):
        with pytest.raises(RaydistillError, match="no job of that key has been started"):
            started(tmp_path, nothing)


def test_sweep_beside_a_running_one_exits_and_leaves_it_alone(finished_sweep, tmp_path):
    (tmp_path / "sweep.yaml").write_text((finished_sweep / "sweep.yaml").read_text())
    first = start("sweep", "sweep.yaml", cwd=tmp_path)
    lock = tmp_path / "runs" / "driver.lock"
    wait_until(lambda: lock.exists() and lock.read_text(), first)
    second = raydistill("sweep", "sweep.yaml", cwd=tmp_path, check=2)
    assert f"process {first.pid} on " in second.stderr and "Traceback" not in second.stderr
    assert first.poll() is None
    first.terminate()
    first.wait()


def finished(runs, job, weights):
    folder = open_folder(runs, job, {})
    (folder / "model.safetensors").write_bytes(weights)
    finish(folder)
    return folder


def test_job_holds_only_as_long_as_what_it_started_from_is_the_same(tmp_path):
    teacher, student = make_job("teacher"), make_job("student", "teacher")
    finished(tmp_path, teacher, b"first")
    folder = finished(tmp_path, student, b"learned from the first")
    assert holds(tmp_path, student) and changed_source(tmp_path, student) is None

    finished(tmp_path, teacher, b"second")
    assert not holds(tmp_path, student) and changed_source(tmp_path, student) == "teacher"
    finished(tmp_path, teacher, b"first")
    assert holds(tmp_path, student)

    finished(tmp_path, teacher, b"second")
    assert open_folder(tmp_path, student, {}) == folder
    assert not (folder / "model.safetensors").exists(), "nothing that came of other weights may be taken over"
    assert (folder.with_name("aside-student") / "model.safetensors").read_bytes() == b"learned from the first"


def test_training_that_was_begun_from_other_weights_does_not_go_on(tmp_path):
    teacher, student = make_job("teacher"), make_job("student", "teacher")
    finished(tmp_path, teacher, b"first")
    checkpoint = open_folder(tmp_path, student, {}) / "checkpoints" / "epoch-000001-step-000000"
    checkpoint.mkdir(parents=True)
    open_folder(tmp_path, student, {})
    assert checkpoint.exists()
    finished(tmp_path, teacher, b"second")
    open_folder(tmp_path, student, {})
    assert not checkpoint.exists()
