"""The runs folder: one driver at a time, jobs found by the beginning of their key, and jobs that are out of date."""

import json
import subprocess
import sys

import pytest

from raydistill.errors import RaydistillError
from raydistill.files import write_json
from raydistill.sweep.planning.job import DONE, FAILED, MISSING, STALE
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.commands import raydistill, start, wait_until
from tests.sweep.jobs import make_job


@pytest.fixture
def runs(tmp_path):
    return RunsFolder(tmp_path)


def test_second_driver_on_a_runs_folder_is_refused_and_learns_who_holds_it(runs):
    message = pytest.raises(
        RaydistillError, match=r"another raydistill process is using this runs folder \(process \d+ "
    )
    with runs.exclusive_lock(), message, runs.exclusive_lock():
        pass
    with runs.exclusive_lock():
        pass


def test_lock_of_a_killed_process_is_free(runs):
    program = """
import os, signal, sys
from pathlib import Path
from raydistill.sweep.planning.lock import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program, str(runs)])
    assert killed.returncode < 0 and "process" in (runs.path / "driver.txt").read_text()
    with runs.exclusive_lock():
        pass


def test_find_job_takes_the_beginning_of_a_key(runs):
    for key in ("abc1", "abd2"):
        write_json(runs.job_folder(key) / "job.json", make_job(key).to_json() | {"store": "s", "provenance": {}})
    assert runs.find_job("abc") == (make_job("abc1"), "s")
    with pytest.raises(RaydistillError, match='"ab" is the beginning of 2 keys'):
        runs.find_job("ab")
    for nothing in ("x", "", "*"):
        with pytest.raises(RaydistillError, match="is the key of no job that was started"):
            runs.find_job(nothing)


OLD_SPEC = {"format": 2, "kind": "train", "modality": "lfp", "model": {"width": 64}, "training": {}, "value": "linear"}


def test_find_job_of_another_version_is_refused_in_one_line(runs):
    tree = make_job("abc1").to_json() | {"store": "s", "spec": OLD_SPEC}
    write_json(runs.job_folder("abc1") / "job.json", tree)
    with pytest.raises(RaydistillError, match=r"job\.json is damaged or was written by another version.*run its sweep"):
        runs.find_job("abc1")


def test_job_of_another_version_is_stale_with_that_reason(runs):
    old, job = runs.job_folder("old"), make_job("new")
    write_json(old / "job.json", {"spec": OLD_SPEC})
    mark_complete(old)
    assert runs.state(job, key_before="old") == (
        STALE,
        "run by an earlier version of raydistill, whose jobs had other specifications",
    )


def test_second_sweep_on_a_runs_folder_exits_and_leaves_the_first_running(finished_sweep, tmp_path):
    (tmp_path / "sweep.yaml").write_text((finished_sweep / "sweep.yaml").read_text())
    first = start("sweep", "sweep.yaml", cwd=tmp_path)
    wait_until((tmp_path / "runs" / "driver.txt").exists, first)
    second = raydistill("sweep", "sweep.yaml", cwd=tmp_path, check=2)
    assert f"process {first.pid} on " in second.stderr and "Traceback" not in second.stderr
    assert first.poll() is None
    first.terminate()
    first.wait()


def finished(runs, job, weights):
    folder = runs.open_job(job, {})
    (folder / "model.safetensors").write_bytes(weights)
    mark_complete(folder)
    return folder


def test_job_is_current_only_while_the_weights_that_it_started_from_are_the_same(runs):
    teacher, student = make_job("teacher"), make_job("student", "teacher")
    finished(runs, teacher, b"first")
    folder = finished(runs, student, b"learned from the first")
    assert runs.is_current(student) and runs.changed_source(student) is None

    finished(runs, teacher, b"second")
    assert not runs.is_current(student) and runs.changed_source(student) == "teacher"
    finished(runs, teacher, b"first")
    assert runs.is_current(student)

    finished(runs, teacher, b"second")
    assert runs.open_job(student, {}) == folder
    assert not (folder / "model.safetensors").exists(), "nothing that was trained from other weights may be reused"
    assert (folder.with_name("aside-student") / "model.safetensors").read_bytes() == b"learned from the first"


def test_training_that_began_from_other_weights_does_not_continue(runs):
    teacher, student = make_job("teacher"), make_job("student", "teacher")
    finished(runs, teacher, b"first")
    checkpoint = runs.open_job(student, {}) / "checkpoints" / "epoch-000001-step-000000"
    checkpoint.mkdir(parents=True)
    runs.open_job(student, {})
    assert checkpoint.exists()
    finished(runs, teacher, b"second")
    runs.open_job(student, {})
    assert not checkpoint.exists()


def test_state_follows_the_job_from_its_start_to_its_end(runs):
    job = make_job("a")
    assert runs.state(job) == (MISSING, "not run yet")
    (runs.open_job(job, {}) / "checkpoints" / "epoch-000003-step-000002").mkdir(parents=True)
    assert runs.state(job) == (MISSING, "continues after epoch 3 and 2 steps")
    runs.write_failure(job, "boom")
    assert runs.state(job) == (FAILED, "boom") and runs.failure("a") == "boom"
    folder = finished(runs, job, b"weights")
    assert runs.state(job) == (DONE, "") and runs.failure("a") is None and not (folder / "checkpoints").exists()
    (folder / "model.safetensors").write_bytes(b"")
    assert runs.state(job) == (MISSING, "a file in its folder is damaged; the job will be rerun")


def test_keys_and_rates_are_read_as_they_were_written(runs):
    assert runs.last_keys("s") == {} and runs.rates() == {}
    runs.write_keys("s", [make_job("a"), make_job("b")])
    runs.write_rates({"ridge": {"work": 2.0, "seconds": 1.0}})
    assert runs.last_keys("s") == {"a": "a", "b": "b"}
    assert (
        json.loads((runs.path / "rates.json").read_text()) == runs.rates() == {"ridge": {"work": 2.0, "seconds": 1.0}}
    )
