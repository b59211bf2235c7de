"""The MLflow UI of a runs folder: what it serves, and that nothing of it is left."""

import contextlib
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from raydistill.errors import RaydistillError
from raydistill.tracking.job import TrackedJob
from raydistill.tracking.locations import locations_outside
from raydistill.tracking.mirror import Ending, Mirror, SweepRecord
from raydistill.tracking.server import _end, serve
from tests.tracking.servers import free_port, get, wait_for

SERVE = """
import pathlib, sys
from raydistill.tracking.server import serve
serve(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A runs folder with one job that has an artifact."""
    folder = tmp_path_factory.mktemp("the runs")
    (folder / "job.json").write_text("{}")
    job = TrackedJob(key="k", name="ss_lfp", metrics={"r2": 0.5}, artifacts=[folder / "job.json"])
    Mirror(folder, SweepRecord("sweep", "f" * 64, {}, {})).jobs.ended(job, "FINISHED")
    return folder


def run_of(runs):
    """The id of the run of the job."""
    with contextlib.closing(sqlite3.connect(runs / "mlflow.db")) as database:
        return database.execute("SELECT run_uuid FROM tags WHERE key = 'raydistill.job'").fetchone()[0]


@contextlib.contextmanager
def ui(runs, log):
    """(process, address) of the UI as a process of its own, once it answers."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(runs), str(port)], stderr=log.open("w"))
    try:
        wait_for(lambda: get(f"http://127.0.0.1:{port}/health") == b"OK", process)
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, -signal.SIGKILL)


def is_free(address):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) != 0


def status_of(url):
    try:
        get(url)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def test_serve_without_database_names_the_way_out(tmp_path):
    with pytest.raises(RaydistillError, match="raydistill sweep"):
        serve(tmp_path, free_port())


def test_serve_on_a_taken_port_names_the_way_out(runs):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RaydistillError, match="--port"):
            serve(runs, taken.getsockname()[1])


def test_serve_answers_and_ends_on_interrupt(runs, tmp_path):
    with ui(runs, tmp_path / "log") as (_, address):
        assert b"<html" in get(f"{address}/")
        found = json.loads(get(f"{address}/api/2.0/mlflow/experiments/search?max_results=1000"))
        assert "sweep" in {e["name"] for e in found["experiments"]}
        run = json.loads(get(f"{address}/api/2.0/mlflow/runs/get?run_id={run_of(runs)}"))["run"]
        assert run["info"]["status"] == "FINISHED"
        assert get(f"{address}/get-artifact?run_uuid={run_of(runs)}&path=job.json") == b"{}"
        client = MlflowClient(address)
        assert [f.path for f in client.list_artifacts(run_of(runs))] == ["job.json"]
        wait_for(lambda: "/sweeps/" in (tmp_path / "log").read_text())
    assert (tmp_path / "log").read_text().splitlines() == [
        "MLflow starts, which takes some seconds (Ctrl-C ends it)",
        f"sweep  {address}/sweeps/sweep",
    ]
    assert is_free(address)


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGHUP])
def test_server_ends_when_the_command_that_started_it_is_ended(runs, tmp_path, ending):
    with ui(runs, tmp_path / "log") as (process, address):
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(ending)
        process.wait(30)
        wait_for(lambda: is_free(address), seconds=15)
        wait_for(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children), seconds=15)


def test_sweeps_are_named_newest_first_and_each_has_a_page_that_shows_and_opens_its_methods(runs, tmp_path):
    several = tmp_path / "runs"
    shutil.copytree(runs, several)
    for name in ("older", "new+model.width=8", "<b>"):
        mirror = Mirror(several, SweepRecord(name, "f" * 64, {}, {}))
        mirror.end(Ending(status="FINISHED", methods=[TrackedJob(key="A & B", name="A & B", metrics={"R2": 0.123})]))
    with contextlib.closing(sqlite3.connect(several / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET name = name || char(27) || '[2J' WHERE name = '<b>'")
    Mirror(several, SweepRecord("older", "f" * 64, {}, {})).end(Ending(status="KILLED"))
    with ui(several, tmp_path / "log") as (_, address):
        wait_for(lambda: "sweeps/sweep" in (tmp_path / "log").read_text())
        names = [line.split()[0] for line in (tmp_path / "log").read_text().splitlines()[1:]]
        assert names == ["older", "new+model.width=8", "sweep"]  # and none that would write on the terminal
        page = get(f"{address}/sweeps/new%2Bmodel.width%3D8").decode()
        assert "A &amp; B</a></td><td>0.123</td>" in page and "viewStateShareKey=methods" in page
        assert "viewStateShareKey=jobs" in get(f"{address}/sweeps/older").decode()  # it was opened again
        assert status_of(f"{address}/sweeps/none") == 404
        assert b"<b>" not in get(f"{address}/sweeps/%3Cb%3E%1B%5B2J")


def plant(database, table, **values):
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))


def test_database_of_a_stranger_serves_no_file_outside_of_the_runs_folder(runs, tmp_path):
    stranger, secret = tmp_path / "runs", tmp_path / "private"
    shutil.copytree(runs, stranger)
    secret.mkdir()
    (secret / "key.txt").write_text("private")
    run, uri = run_of(stranger), secret.as_uri()
    with contextlib.closing(sqlite3.connect(stranger / "mlflow.db")) as database, database:
        plant(database, "experiments", experiment_id=7, name="x", artifact_location=uri, lifecycle_stage="active")
        for run_id, place in (
            ("a" * 32, uri),
            ("b" * 32, f"{(stranger / 'artifacts').as_uri()}/../../private"),
            ("c" * 32, str(stranger / "link")),
            ("d" * 32, "s3://bucket/x"),
        ):
            state = {"status": "FINISHED", "lifecycle_stage": "active", "start_time": 1, "user_id": "x"}
            plant(database, "runs", run_uuid=run_id, artifact_uri=place, experiment_id=7, name="x", **state)
        plant(database, "registered_models", name="m", workspace="default")
        version = {"name": "m", "version": 1, "current_stage": "None", "workspace": "default"}
        plant(database, "model_versions", source=uri, storage_location=uri, **version)
        times = {"creation_timestamp_ms": 1, "last_updated_timestamp_ms": 1}
        model = {"model_id": "m-1", "experiment_id": 7, "name": "x", "lifecycle_stage": "active", "status": 2}
        plant(database, "logged_models", artifact_location=uri, **model, **times)
    (stranger / "link").symlink_to(secret)
    (stranger / "artifacts" / run / "artifacts" / "key.txt").symlink_to(secret / "key.txt")
    with ui(stranger, tmp_path / "log") as (_, address):
        for run_id in ("a" * 32, "b" * 32, "c" * 32, "d" * 32):
            assert status_of(f"{address}/get-artifact?run_uuid={run_id}&path=key.txt") == 403, run_id
            assert status_of(f"{address}/api/2.0/mlflow/artifacts/list?run_id={run_id}") == 403, run_id
        assert status_of(f"{address}/get-artifact?run_uuid={run}&path=key.txt") in (400, 403)
        assert status_of(f"{address}/model-versions/get-artifact?name=m&version=1&path=key.txt") == 403
        logged_model = f"{address}/ajax-api/2.0/mlflow/logged-models/m-1"
        assert status_of(f"{logged_model}/artifacts/files?artifact_file_path=key.txt") == 403
        assert get(f"{address}/get-artifact?run_uuid={run}&path=job.json") == b"{}"
    assert f"not served, because they are outside of {stranger}" in (tmp_path / "log").read_text()
    assert {uri, "s3://bucket/x"} <= set(locations_outside(stranger / "mlflow.db", stranger))


def test_folder_that_was_moved_serves_its_artifacts_from_where_it_is(runs, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(runs, moved)
    run = run_of(moved)
    (moved / "artifacts" / run / "artifacts" / "job.json").write_text("moved")
    with ui(moved, tmp_path / "log") as (_, address):
        assert get(f"{address}/get-artifact?run_uuid={run}&path=job.json") == b"moved"
    assert "not served" not in (tmp_path / "log").read_text()


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(worker.pid, flush=True)
time.sleep(600)
"""


def test_server_that_ignores_the_signal_is_killed_with_its_workers():
    server = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
    worker = psutil.Process(int(server.stdout.readline()))
    _end(server, patience_s=0.2)
    assert server.poll() is not None
    deadline = time.monotonic() + 10
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker still runs"
        time.sleep(0.05)


CHECK = """
import contextlib, os, pathlib, sqlite3, sys
from raydistill.tracking.server import _checked
if os.getuid() == 0:
    os.setuid(65534)  # root may write everywhere
runs = pathlib.Path(sys.argv[1])
with contextlib.ExitStack() as stack:
    copy = _checked(runs / "mlflow.db", runs, (runs / "artifacts").as_uri(), stack)
    with contextlib.closing(sqlite3.connect(copy)) as database:
        print(copy, database.execute("SELECT artifact_uri FROM runs ORDER BY start_time LIMIT 1").fetchone()[0])
"""


def test_folder_that_cannot_be_written_is_served_from_a_copy(runs):
    with tempfile.TemporaryDirectory(prefix="raydistill-test-") as folder:  # pytest's folders are private to root
        shutil.copytree(runs, folder, dirs_exist_ok=True)
        before = (Path(folder) / "mlflow.db").read_bytes()
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        done = subprocess.run([sys.executable, "-c", CHECK, folder], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        copy, artifacts = done.stdout.split()
        assert not Path(copy).is_relative_to(folder) and not Path(copy).exists()
        assert artifacts.startswith(Path(folder).as_uri())
        assert (Path(folder) / "mlflow.db").read_bytes() == before
        Path(folder).chmod(0o755)
