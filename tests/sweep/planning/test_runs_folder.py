"""The runs folder: one driver at a time, jobs found by the beginning of their key, and jobs that are out of date."""

import dataclasses
import json
import subprocess
import sys
import threading

import pytest

from raydistill.errors import DataError, RaydistillError
from raydistill.files import read_mapping, write_json
from raydistill.ownership import release
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


def started(runs, seed=0):
    """A job with the key of its specification, started."""
    job = make_job("", name=f"seed{seed}", seed=seed)
    folder = runs.open_job(job, {"store": "s", "provenance": {}})
    release(folder)
    return job, folder


def test_find_job_takes_the_beginning_of_a_key(runs):
    jobs = [started(runs, seed)[0] for seed in range(20)]
    assert runs.find_job(jobs[3].key[:12]) == (jobs[3], "s")
    first = next(c for c in "0123456789abcdef" if sum(job.key.startswith(c) for job in jobs) > 1)
    with pytest.raises(RaydistillError, match=rf'"{first}" is the beginning of \d+ keys'):
        runs.find_job(first)
    for nothing in ("x", "", "*"):
        with pytest.raises(RaydistillError, match="is the key of no job that was started"):
            runs.find_job(nothing)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update(key="../../victim"),
        lambda tree: tree.update(key="0" * 64),
        lambda tree: tree["spec"].update(seed=77),
        lambda tree: tree["spec"].update(weights="../../victim"),
        lambda tree: tree["spec"].update(teachers={"s": "../../victim"}),
    ],
    ids=["key outside", "another key", "another spec", "weights outside", "teachers outside"],
)
def test_find_job_whose_file_claims_another_place_or_specification_is_refused(runs, change):
    job, folder = started(runs)
    (runs.path / "victim").mkdir()
    tree = read_mapping(folder / "job.json")
    change(tree)
    write_json(folder / "job.json", tree)
    with pytest.raises(RaydistillError, match="is not the job whose folder it is in"):
        runs.find_job(job.key)
    assert (runs.path / "victim").exists()


@pytest.mark.parametrize("name", ["../victim", "/etc", "", ".", "..", "a/b", ".hidden", "a" * 201])
def test_names_are_held_to_the_runs_folder(runs, name):
    for place in (runs.job_folder, runs.sweep_folder, runs.search_folder, runs.last_keys):
        with pytest.raises(DataError, match="is not a name"):
            place(name)


def test_nothing_is_moved_or_deleted_behind_a_link(runs, tmp_path_factory):
    victim = tmp_path_factory.mktemp("victim")
    (victim / "a").mkdir()
    mark_complete(runs.open_job(make_job("a"), {}))
    (runs.path / "aside").symlink_to(victim)
    with pytest.raises(DataError, match="is a link"):
        runs.open_job(make_job("a"), {})
    assert (victim / "a").exists()


def test_job_folder_that_is_a_link_is_not_written_to(runs, tmp_path_factory):
    job, victim = make_job("a"), tmp_path_factory.mktemp("victim")
    (victim / "checkpoints").mkdir()
    (runs.path / "jobs").mkdir()
    (runs.path / "jobs" / "a").symlink_to(victim)
    with pytest.raises(DataError, match="is a link"):
        runs.open_job(job, {})
    assert [p.name for p in victim.iterdir()] == ["checkpoints"]


OLD_SPEC = {"format": 2, "kind": "train", "modality": "lfp", "model": {"width": 64}, "training": {}, "value": "linear"}


def test_find_job_of_another_version_is_refused_in_one_line(runs):
    tree = make_job("").to_json() | {"store": "s", "spec": OLD_SPEC}
    write_json(runs.job_folder(tree["key"]) / "job.json", tree)
    with pytest.raises(RaydistillError, match=r"job\.json is damaged or was written by another version.*run its sweep"):
        runs.find_job(tree["key"][:8])


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
    assert (runs.aside_folder("student") / "model.safetensors").read_bytes() == b"learned from the first"


def test_finished_job_that_a_network_disk_shows_late_is_waited_for(runs):
    late = threading.Timer(0.5, finished, (runs, make_job("teacher"), b"weights"))
    late.start()
    runs.fetch("teacher", finished=True)
    assert runs.is_done("teacher")
    late.join()


def test_finished_job_that_this_machine_never_sees_is_one_line_with_the_way_out(runs, monkeypatch):
    monkeypatch.setattr("raydistill.sweep.planning.runs_folder.LATE_S", 0.1)
    with pytest.raises(
        DataError, match=r"job teacher, from which .* does not see it in .*all machines share this folder"
    ):
        runs.fetch("teacher", finished=True)
    runs.fetch("teacher")  # a job that need not be finished is not waited for


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


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_training_whose_job_file_is_lost_does_not_continue(runs, content):
    """Nobody knows from which weights its checkpoints were trained."""
    folder = runs.open_job(make_job("a"), {})
    (folder / "checkpoints" / "epoch-000001-step-000000").mkdir(parents=True)
    (folder / "job.json").unlink() if content is None else (folder / "job.json").write_text(content)
    assert runs.open_job(make_job("a"), {}) == folder and not (folder / "checkpoints").exists()


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
    damaged = "model.safetensors is damaged: it has 0 bytes, and had 7 when it was written"
    assert runs.state(job) == (MISSING, f"{damaged}; the job will be run again")


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ('{"r2": 9.249}', "`r2` is 9.249, and no R² is above 1"),
        ('{"r2": "high"}', "`r2` is 'high'"),
        ('{"r2": true}', "`r2` is True"),
        ('{"r2": 0.5, "r2_per_axis": {"vx": null}}', "`r2_per_axis.vx` is None"),
        ('{"r2": NaN}', "`r2` is nan"),
        ('{"auc_interval": [0.4]}', "`auc_interval` is [0.4]"),
        ('{"auc_interval": [0.4, 1.2]}', "`auc_interval.high` is 1.2, and must be from 0 to 1"),
        ('{"r2": 0.5, "n_test_segments": "all"}', "`n_test_segments` is 'all'"),
        ('{"r2": 0.5, "clock_r2": null}', "`clock_r2` is None"),
        ('{"r2": 0.5, "settings": {"penalty": "large"}}', "`settings.penalty` is 'large'"),
        ('{"r2": 0.5, "fit": ["exact"]}', "`fit` is not a mapping"),
        ('{"r2": 0.5, "fit": {"chosen": 16}}', "`fit.chosen` is not a mapping"),
        ('{"r2": 0.5, "fit": {"valid_r2": {"16": [0.4]}}}', "`fit.valid_r2.16` is [0.4]"),
        ('{"r2": 0.5, "fit": {"note": 3}}', "`fit.note` is 3"),
        ('{"r2": 0.5, "neural": 0.2}', "`neural` is not a mapping"),
        ('{"r2": 0.5, "neural": {"one_step": 0.2}}', "`neural.one_step` is 0.2"),
        ("[1]", "it is not a mapping"),
        ("{", "it is not a mapping"),
    ],
)
def test_job_with_impossible_metrics_is_missing_also_if_its_marker_agrees(runs, metrics, reason):
    job = make_job("a")
    folder = runs.open_job(job, {})
    (folder / "metrics.json").write_text(metrics)
    mark_complete(folder)
    assert runs.state(job) == (MISSING, f"metrics.json is damaged: {reason}; the job will be run again")


@pytest.mark.parametrize(
    ("label", "numbers"),
    [
        (None, {"r2": 0.5, "r2_per_axis": {"vx": 0.5}}),
        (
            "side",
            {"auc": 0.7, "auc_per_class": {"left": 0.7}, "accuracy": 0.6, "balanced_accuracy": 0.6}
            | {"largest_class": 0.5, "label": {"name": "side", "of": "bins", "missing": {}}},
        ),
    ],
)
def test_job_of_another_version_without_a_number_of_its_score_is_run_again(runs, label, numbers):
    job = make_job("a", method="M")
    job = dataclasses.replace(job, spec=dataclasses.replace(job.spec, label=label))

    def write(metrics):
        folder = runs.open_job(job, {})
        write_json(folder / "metrics.json", metrics)
        mark_complete(folder)
        return runs.state(job)

    assert write(numbers) == (DONE, "") and runs.is_current(job)
    for name in numbers.keys() - {"label"}:
        reason = f"metrics.json lacks `{name}`: another version of raydistill wrote it; the job will be run again"
        assert write({key: value for key, value in numbers.items() if key != name}) == (MISSING, reason)
        assert not runs.is_current(job)


def test_edited_metrics_are_found_although_the_size_is_the_same(runs):
    job = make_job("a")
    folder = runs.open_job(job, {})
    write_json(folder / "metrics.json", {"r2": 0.249})
    mark_complete(folder)
    assert runs.state(job) == (DONE, "")
    (folder / "metrics.json").write_text((folder / "metrics.json").read_text().replace("0.249", "0.942"))
    assert runs.state(job)[0] == MISSING and "metrics.json is damaged: its content" in runs.state(job)[1]


def test_second_process_cannot_open_the_folder_of_a_running_job(runs):
    job, program = (
        make_job("a"),
        """
import sys
from pathlib import Path
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.jobs import make_job
try:
    RunsFolder(Path(sys.argv[1])).open_job(make_job("a"), {})
except Exception as err:
    print(err)
""",
    )
    folder = runs.open_job(job, {})
    other = [sys.executable, "-c", program, str(runs)]
    assert "has been running this job since" in subprocess.run(other, capture_output=True, text=True).stdout
    release(folder)
    assert subprocess.run(other, capture_output=True, text=True, check=True).stdout == ""


DAMAGED = ["", "{", "[]", "null", "3", '{"a": {"b": 1}}', "[" * 100_000, "\xff"]


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_json_of_the_runs_folder_is_no_error(runs, content):
    job = make_job("a")
    folder = runs.job_folder("a")
    for file in ("job.json", "failure.json", "metrics.json"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(content)
    (runs.path / "sweeps").mkdir()
    (runs.path / "sweeps" / "s.json").write_text(content)
    (runs.path / "rates.json").write_text(content)
    assert runs.last_keys("s") == {} and runs.rates() == {} and runs.state(job)[0] == FAILED
    assert runs.changed_source(make_job("b", "a")) == "a"


def test_rates_that_cannot_be_used_are_left_out(runs):
    good = {"work": 2.0, "seconds": 1.0}
    bad = {"work": 0.0, "seconds": 1.0}, {"work": 1.0}, {"work": "x", "seconds": 1.0}, {"work": -1.0, "seconds": 1.0}, 3
    write_json(runs.path / "rates.json", {"good": good} | {str(i): rate for i, rate in enumerate(bad)})
    assert runs.rates() == {"good": good}


def test_keys_and_rates_are_read_as_they_were_written(runs):
    assert runs.last_keys("s") == {} and runs.rates() == {}
    runs.write_keys("s", [make_job("a"), make_job("b")])
    runs.write_rates({"ridge": {"work": 2.0, "seconds": 1.0}})
    assert runs.last_keys("s") == {"a": "a", "b": "b"}
    assert (
        json.loads((runs.path / "rates.json").read_text()) == runs.rates() == {"ridge": {"work": 2.0, "seconds": 1.0}}
    )
