"""Whatever happens to MLflow, the tracker raises nothing, waits for nothing, and MLflow has everything once later."""

import collections
import contextlib
import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from raydistill.tracking import outbox
from raydistill.tracking.job import JobToRead, TrackedJob
from raydistill.tracking.tracker import Receipt, Tracker
from tests.tracking.servers import free_port, start_server, wait_for

END = {"table": {"r2": [0.5]}, "documents": {}, "figures": [], "metrics": {"best": 0.5}, "status": "FINISHED"}
JOBS = ("a", "b", "c")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(outbox, "_LONGEST_PAUSE_S", 2.0)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database with the tables of MLflow, which take seconds to make."""
    folder = tmp_path_factory.mktemp("made")
    tracker = open_tracker(folder, [])
    assert tracker.finish(**END)
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture
def runs(database):
    """A runs folder with such a database, where also another user than root could read it."""
    with tempfile.TemporaryDirectory(prefix="raydistill-test-") as folder:
        os.chmod(folder, 0o755)
        (Path(folder) / "mlflow.db").write_bytes(database)
        yield Path(folder)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server that is not started yet, with a password in its address; (folder, port)."""
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cret@127.0.0.1:{port}")
    return tmp_path, port


def open_tracker(runs, lines):
    tracker = Tracker(runs, "sweep", lines.append)
    tracker.parent("f" * 64, {"preset": "tiny"}, {"protocol": "corrected"}, [("metrics", "R2")])
    return tracker


def a_job(key):
    history = [{"epoch": e, "time": 1.7e9 + e, "loss": 1 / (e + 1)} for e in range(5)]
    return TrackedJob(key=key, name=f"job {key}", history=history, metrics={"r2": 0.5}, params={"width": 8})


def points_of(client):
    """Job -> number of its points; no job has two runs, no run a point twice, and there is one run of the sweep."""
    (experiment,) = client.search_experiments(filter_string="name = 'sweep'")
    runs = client.search_runs([experiment.experiment_id])
    jobs = [run for run in runs if "raydistill.job" in run.data.tags]
    assert len(runs) == len(jobs) + 1
    names = [run.data.tags["raydistill.job"] for run in jobs]
    assert len(set(names)) == len(names)
    found = {}
    for run, name in zip(jobs, names, strict=True):
        points = [(p.key, p.step) for key in run.data.metrics for p in client.get_metric_history(run.info.run_id, key)]
        assert max(collections.Counter(points).values(), default=1) == 1
        found[name] = len(points)
    return found


def has_ended(client, key):
    experiments = [e.experiment_id for e in client.search_experiments(filter_string="name = 'sweep'")]
    query = f"tags.`raydistill.job` = '{key}' and attributes.status = 'FINISHED'"
    return experiments and len(client.search_runs(experiments, query)) == 1


ALL = {key: 6 for key in JOBS}


def own(runs):
    return MlflowClient(f"sqlite:///{runs / 'mlflow.db'}?timeout=1.{(runs / 'mlflow.db').stat().st_ino}")


def sweep_of(runs):
    """The id of the experiment of the sweep."""
    return own(runs).get_experiment_by_name("sweep").experiment_id


def put_all(tracker):
    """Report all jobs; returns the seconds it took."""
    started = time.monotonic()
    for key in JOBS:
        tracker.running(a_job(key))
        tracker.job(a_job(key))
    return time.monotonic() - started


def end_processes(*processes):
    for process in processes:
        process.kill()
        process.wait()


def test_server_that_is_away_is_reported_once_and_gets_everything_from_the_next_command(server):
    runs, port = server
    lines = []
    tracker = open_tracker(runs, lines)
    assert put_all(tracker) < 2
    wait_for(lambda: lines)
    started = time.monotonic()
    assert tracker.finish(**END) is None
    assert time.monotonic() - started < 20
    assert len(lines) == 2 and "s3cret" not in " ".join(lines)
    assert lines[0].startswith(f"MLflow at http://127.0.0.1:{port} cannot be used: ")
    assert lines[1].startswith(f"MLflow at http://127.0.0.1:{port} lacks 3 of 3 jobs (")
    assert "run the same command again" in lines[1]
    process = start_server(runs, port)
    try:
        again, lines = open_tracker(runs, lines := []), lines
        put_all(again)
        receipt = again.finish(**END)
        assert receipt.is_valid(runs) and lines == []
        assert points_of(MlflowClient(f"http://127.0.0.1:{port}")) == ALL
    finally:
        end_processes(process)


def test_server_that_comes_late_hangs_and_answers_again_has_everything_once(server):
    runs, port = server
    lines = []
    tracker = open_tracker(runs, lines)
    tracker.job(a_job("a"))
    wait_for(lambda: lines)
    process = start_server(runs, port)
    client = MlflowClient(f"http://127.0.0.1:{port}")
    try:
        wait_for(lambda: has_ended(client, "a"))
        process.send_signal(signal.SIGSTOP)
        assert put_all(tracker) < 2
        time.sleep(5)  # requests are given up, and wait in the socket of the server
        process.send_signal(signal.SIGCONT)
        assert tracker.finish(**END).is_valid(runs)
        assert points_of(client) == ALL
        assert len(lines) == 2 and "cannot be used" in lines[0] and "has everything now" in lines[1]
    finally:
        end_processes(process)


def test_server_that_takes_the_jobs_but_no_files_does_not_hold_up_the_end(server):
    runs, port = server
    (runs / "server-artifacts").write_text("a file in the place of the folder")
    process = start_server(runs, port)
    try:
        tracker = open_tracker(runs, lines := [])
        put_all(tracker)
        started = time.monotonic()
        assert tracker.finish(**END) is None and time.monotonic() - started < 60
        assert "lacks 3 of 3 jobs" in lines[-1] or "lacks the results of the sweep" in lines[-1]
        (runs / "server-artifacts").unlink()
        again = open_tracker(runs, [])
        put_all(again)
        assert again.finish(**END).is_valid(runs)
    finally:
        end_processes(process)


def test_command_that_logs_a_sweep_keeps_another_one_from_doing_so_at_the_same_time(runs):
    logging = subprocess.Popen(
        [sys.executable, "-c", LOGGING, str(runs)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert logging.stdout.readline() == "open\n"
        second = open_tracker(runs, lines := [])
        put_all(second)
        assert second.finish(**END) is None
        assert "lacks 3 of 3 jobs (another command is logging this sweep there)" in lines[-1]
        logging.communicate("end", timeout=60)
        third = open_tracker(runs, [])
        put_all(third)
        assert third.finish(**END) and points_of(own(runs)) == ALL
    finally:
        end_processes(logging)


LOGGING = """
import sys
from pathlib import Path
from tests.tracking.test_tracker import END, open_tracker, wait_for
tracker = open_tracker(Path(sys.argv[1]), [])
wait_for(lambda: tracker._outbox.run_id)
print("open", flush=True)
sys.stdin.read()
tracker.finish(**END)
"""


def test_server_that_hangs_does_not_hold_up_the_end(server):
    runs, port = server
    process = start_server(runs, port)
    try:
        tracker = open_tracker(runs, lines := [])
        process.send_signal(signal.SIGSTOP)
        assert put_all(tracker) < 2
        started = time.monotonic()
        assert tracker.finish(**END) is None
        assert time.monotonic() - started < 32
        assert "lacks" in lines[-1] and len(lines) <= 2
        started = time.monotonic()
        open_tracker(runs, []).interrupted()
        assert time.monotonic() - started < 12
    finally:
        end_processes(process)


def test_database_that_is_locked_holds_up_nothing_and_has_everything_when_it_is_free(runs):
    with contextlib.closing(sqlite3.connect(runs / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        tracker = open_tracker(runs, lines := [])
        assert put_all(tracker) < 2
        wait_for(lambda: lines)
        assert "locked" in lines[0]
        other.execute("ROLLBACK")
    assert tracker.finish(**END).is_valid(runs)
    assert points_of(own(runs)) == ALL


def test_database_that_stays_locked_ends_the_wait_with_a_line(runs):
    with contextlib.closing(sqlite3.connect(runs / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        tracker = open_tracker(runs, lines := [])
        put_all(tracker)
        assert tracker.finish(**END) is None
    assert "lacks 3 of 3 jobs (database is locked)" in lines[-1]


def test_database_deleted_while_the_sweep_runs_is_made_again_with_everything(runs):
    tracker = open_tracker(runs, lines := [])
    tracker.job(a_job("a"))
    wait_for(lambda: has_ended(own(runs), "a"))
    for file in runs.glob("mlflow.db*"):
        file.unlink()
    put_all(tracker)
    assert tracker.finish(**END).is_valid(runs) and lines == []
    assert points_of(own(runs)) == ALL


def test_database_that_is_another_file_is_reported_with_the_way_out(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database " * 100)
    tracker = open_tracker(tmp_path, lines := [])
    put_all(tracker)
    assert tracker.finish(**END) is None
    assert "is not a database" in lines[-1] and "move the file aside" in lines[-1]


RESTRICTED = """
import os, resource, sys
from pathlib import Path
import mlflow, sqlalchemy, pandas
from tests.tracking.test_tracker import END, open_tracker, put_all
if size := {"full": 20_000, "made in part": 200_000}.get(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # no file can grow larger, as on a full disk
elif os.getuid() == 0:
    os.setuid(65534)  # root may write everywhere
tracker = open_tracker(Path(sys.argv[1]), lines := [])
put_all(tracker)
assert tracker.finish(**END) is None
print(*lines, sep="\\n")
"""


@pytest.mark.parametrize(
    ("fault", "words"), [("read-only", ("readonly", "read-only", "unable to open")), ("full", ("full", "I/O"))]
)
def test_database_that_cannot_be_written_is_reported_in_a_line(runs, fault, words):
    if fault == "read-only":
        os.chmod(runs / "mlflow.db", 0o444)
        os.chmod(runs, 0o555)
    command = [sys.executable, "-c", RESTRICTED, str(runs), fault]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    assert (done.returncode, done.stderr) == (0, "")
    assert any(word in done.stdout for word in words) and len(done.stdout.splitlines()) <= 2
    os.chmod(runs, 0o755)
    os.chmod(runs / "mlflow.db", 0o644)
    tracker = open_tracker(runs, [])
    put_all(tracker)
    assert tracker.finish(**END) and points_of(own(runs)) == ALL


def test_database_whose_making_was_interrupted_is_made_again(tmp_path):
    command = [sys.executable, "-c", RESTRICTED, str(tmp_path), "made in part"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    assert (done.returncode, done.stderr) == (0, "") and "lacks 3 of 3 jobs" in done.stdout
    assert not (tmp_path / "mlflow.db").exists()
    tracker = open_tracker(tmp_path, [])
    put_all(tracker)
    assert tracker.finish(**END) and points_of(own(tmp_path)) == ALL
    assert not list(tmp_path.glob(".mlflow.db*"))


def test_job_that_cannot_be_read_or_logged_does_not_hold_up_the_others(runs):
    tracker = open_tracker(runs, lines := [])
    tracker.job(JobToRead(key="gone", read=lambda: (runs / "gone" / "job.json").read_text()))
    tracker.running(
        JobToRead(key="a", read=lambda: (runs / "gone" / "job.json").read_text())
    )  # a later message is read
    tracker.job(TrackedJob(key="bad", name="bad", params={"x": 1}, metrics={"r2": "no number"}))
    put_all(tracker)
    assert tracker.finish(**END) is None
    (line,) = lines
    assert "lacks 2 of 5 jobs" in line
    assert [run.info.status for run in own(runs).search_runs([sweep_of(runs)], "tags.`raydistill.sweep` != ''")] == [
        "FINISHED"
    ]
    assert points_of(own(runs)).items() >= ALL.items()


def test_receipt_is_not_valid_for_another_address_or_a_database_without_the_run(runs, monkeypatch):
    tracker = open_tracker(runs, [])
    receipt = tracker.finish(**END)
    assert receipt.is_valid(runs) and receipt.place == "mlflow.db"
    assert not Receipt(receipt.place, "0" * 32).is_valid(runs)
    assert not dataclasses.replace(receipt, scheme=receipt.scheme - 1).is_valid(runs)
    assert Receipt.from_json(dataclasses.asdict(receipt)) == receipt
    assert Receipt.from_json({"place": receipt.place, "run": receipt.run}) is None  # of a version without a scheme
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cret@127.0.0.1:1")
    assert not receipt.is_valid(runs)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (runs / "mlflow.db").unlink()
    assert not receipt.is_valid(runs)
