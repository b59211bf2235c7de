"""MLflow holds every job of a sweep once, whenever and however often it is logged; and the server that shows it."""

import contextlib
import dataclasses
import json
import math
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request

import pytest
from mlflow import MlflowClient

from raydistill.errors import RaydistillError
from raydistill.tracking.job import TrackedJob
from raydistill.tracking.server import serve
from raydistill.tracking.tracker import CAUSE, FIRST_RUN, JOB, Tracker

FINGERPRINT = "f" * 64
EPOCHS = 40


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("the runs")


@pytest.fixture
def sweep(request):
    return request.node.name


@pytest.fixture
def tracker(runs, sweep):
    return open_sweep(runs, sweep)


def open_sweep(runs, sweep, fingerprint=FINGERPRINT):
    tracker = Tracker(runs, sweep)
    tracker.parent(fingerprint, {"preset": "tiny"}, {"protocol": "corrected"})
    return tracker


def a_job(key, *, shift=0.0, **other):
    history = [
        {
            "epoch": e,
            "time": 1.7e9 + 0.37 * e + shift,
            "train_loss": 1 / (e + 1),
            "valid_loss": 2 / (e + 1),
            "rate": 1e-3,
        }
        for e in range(EPOCHS)
    ]
    given = {"history": history, "metrics": {"r2": 0.5}, "params": {"model.width": 64}, "tags": {"method": "SS-LFP"}}
    return TrackedJob(key=key, name=f"ss_lfp {key}", **given | other)


def client_of(runs):
    return MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")


def rows(runs, run_id):
    """The rows of a run in the metrics table, one per point."""
    with contextlib.closing(sqlite3.connect(runs / "mlflow.db")) as database:
        return database.execute("SELECT key, step, timestamp FROM metrics WHERE run_uuid = ?", (run_id,)).fetchall()


def children(runs, parent):
    experiments = [e.experiment_id for e in client_of(runs).search_experiments()]
    return client_of(runs).search_runs(experiments, f"tags.`mlflow.parentRunId` = '{parent}'")


def test_job_logged_while_it_runs_has_no_point_twice(runs, tracker, sweep):
    whole = a_job(sweep, sessions={"monkey_01": "c" * 64})
    part = lambda n: dataclasses.replace(whole, history=whole.history[:n], metrics={})  # noqa: E731
    run_id = tracker.running(part(0))
    assert tracker.running(part(3)) == run_id and len(rows(runs, run_id)) == 9
    assert client_of(runs).get_run(run_id).info.status == "RUNNING"
    again = open_sweep(runs, sweep)  # the driver was killed, and the epochs since the checkpoint are repeated
    again.running(part(2))
    again.running(part(5))
    assert again.job(whole) == run_id == again.job(whole)
    points = rows(runs, run_id)
    assert len({(key, step) for key, step, _ in points}) == len(points) == 3 * EPOCHS + 1
    assert [c.info.status for c in children(runs, client_of(runs).get_run(run_id).data.tags["mlflow.parentRunId"])] == [
        "FINISHED"
    ]


def test_job_that_fails_after_it_was_logged_keeps_its_curves(runs, tracker, sweep):
    run_id = tracker.running(a_job(sweep))
    assert tracker.failed(a_job(sweep, metrics={}), "lost") == run_id
    run = client_of(runs).get_run(run_id)
    assert run.info.status == "FAILED" and run.data.tags[CAUSE] == "lost"
    assert tracker.running(a_job(sweep)) != run_id  # tried again


def test_job_finished_becomes_child_with_curves_at_the_times_of_its_history(runs, tracker, sweep):
    run_id = tracker.job(a_job(sweep, sessions={"monkey_01": "c" * 64}))
    run = client_of(runs).get_run(run_id)
    assert run.data.params == {"model.width": "64"}
    assert run.data.tags["method"] == "SS-LFP" and run.data.tags[JOB] == sweep
    assert run.data.metrics["r2"] == 0.5
    assert (run.info.status, run.info.start_time, run.info.end_time) == (
        "FINISHED",
        1_700_000_000_000,
        1_700_000_014_430,
    )
    points = client_of(runs).get_metric_history(run_id, "valid_loss")
    assert [p.step for p in points] == list(range(EPOCHS))
    assert [p.timestamp for p in points] == [1_700_000_000_000 + 370 * e for e in range(EPOCHS)]
    assert [p.value for p in points] == [2 / (e + 1) for e in range(EPOCHS)]
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("monkey_01", "c" * 36)


def test_job_logged_twice_is_one_run_without_a_second_point(runs, tracker, sweep):
    first = tracker.job(a_job(sweep))
    before = rows(runs, first)
    resumed = open_sweep(runs, sweep)
    assert resumed.job(a_job(sweep)) == tracker.job(a_job(sweep)) == first
    assert rows(runs, first) == before
    assert len(before) == len(set(before)) == 3 * EPOCHS + 1
    assert len(children(runs, resumed.parent(FINGERPRINT, {}, {}))) == 1


def test_job_logged_in_part_is_completed_without_a_second_point(runs, tracker, sweep, tmp_path):
    missing = tmp_path / "metrics.json"
    with pytest.raises(OSError):
        tracker.job(a_job(sweep, artifacts=[missing]))
    missing.write_text("{}")
    run_id = open_sweep(runs, sweep).job(a_job(sweep, artifacts=[missing]))
    assert client_of(runs).get_run(run_id).info.status == "FINISHED"
    assert [f.path for f in client_of(runs).list_artifacts(run_id)] == ["metrics.json"]
    assert len(rows(runs, run_id)) == len(set(rows(runs, run_id))) == 3 * EPOCHS + 1


def test_job_logged_with_half_its_points_is_completed_without_a_second_point(runs, tracker, sweep):
    run_id = tracker.job(a_job(sweep))
    whole = rows(runs, run_id)
    with contextlib.closing(sqlite3.connect(runs / "mlflow.db")) as database, database:
        database.execute("DELETE FROM metrics WHERE run_uuid = ? AND step >= 23", (run_id,))
        database.execute("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", (run_id,))
    assert len(rows(runs, run_id)) == 3 * 23
    assert open_sweep(runs, sweep).job(a_job(sweep)) == run_id
    assert sorted(rows(runs, run_id)) == sorted(whole)


def test_job_rerun_with_another_outcome_replaces_its_child(runs, tracker, sweep):
    old = tracker.job(a_job(sweep))
    new = open_sweep(runs, sweep).job(a_job(sweep, shift=1000.0))
    assert new != old
    assert [run.info.run_id for run in children(runs, tracker.parent(FINGERPRINT, {}, {}))] == [new]
    assert len(rows(runs, new)) == 3 * EPOCHS + 1


def test_job_with_more_points_than_one_request_allows_keeps_them_all(runs, tracker, sweep):
    history = [{"epoch": e, "time": 1.7e9 + e, "loss": e, "rate": 1.0} for e in range(1100)]
    run_id = tracker.job(a_job(sweep, history=history, metrics={}, params={f"p{i}": i for i in range(150)}))
    assert len(rows(runs, run_id)) == 2200
    assert len(client_of(runs).get_run(run_id).data.params) == 150


def test_job_with_nan_null_and_unusual_names_is_logged_once(runs, tracker, sweep):
    history = [{"epoch": 0, "time": 1.7e9, "loss": math.nan, "valid": None, "r2 (x, cm²)": 0.25}]
    job = a_job(sweep, history=history, metrics={"loss": math.nan})
    run_id = tracker.job(job)
    assert open_sweep(runs, sweep).job(job) == run_id
    last = client_of(runs).get_run(run_id).data.metrics
    assert math.isnan(last["loss"]) and math.isnan(last["valid"]) and last["r2 _x_ cm²_"] == 0.25
    assert len(rows(runs, run_id)) == 3


def test_job_without_history_is_logged_once(runs, tracker, sweep):
    job = a_job(sweep, history=[], metrics={"r2": 0.25})
    run_id = tracker.job(job)
    with contextlib.closing(sqlite3.connect(runs / "mlflow.db")) as database, database:
        database.execute("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", (run_id,))
    assert open_sweep(runs, sweep).job(job) == run_id
    assert len(rows(runs, run_id)) == 1


def test_job_of_another_sweep_is_logged_with_a_link_instead_of_its_curves(runs, tracker, sweep):
    first = tracker.job(a_job(sweep))
    other = open_sweep(runs, f"{sweep} of another")
    linked = other.job(a_job(sweep, tags={"method": "Distilled LFP"}))
    run = client_of(runs).get_run(linked)
    assert run.data.tags[FIRST_RUN] == first and run.data.tags["method"] == "Distilled LFP"
    assert run.data.metrics == {"r2": 0.5} and run.data.params == {"model.width": "64"}
    assert FIRST_RUN not in client_of(runs).get_run(first).data.tags
    # A changed sweep file is another parent in the same experiment, and links to the same first run.
    changed = open_sweep(runs, sweep, "e" * 64).job(a_job(sweep))
    assert client_of(runs).get_run(changed).data.tags[FIRST_RUN] == first


def test_failed_job_names_its_cause_and_is_replaced_by_its_success(runs, tracker, sweep):
    failed = tracker.failed(a_job(sweep, metrics={}), "out of memory")
    run = client_of(runs).get_run(failed)
    assert run.info.status == "FAILED" and run.data.tags[CAUSE] == "out of memory"
    assert open_sweep(runs, sweep).failed(a_job(sweep, metrics={}), "out of memory") == failed
    finished = open_sweep(runs, sweep).job(a_job(sweep))
    (only,) = children(runs, tracker.parent(FINGERPRINT, {}, {}))
    assert (only.info.run_id, only.info.status) == (finished, "FINISHED") and CAUSE not in only.data.tags


def test_parent_of_resumed_sweep_is_the_same_run_running_again(runs, sweep):
    tracker = Tracker(runs, sweep)
    first = tracker.parent(FINGERPRINT, {"workers": 2}, {"protocol": "paper"})
    tracker.finish(table={}, documents={}, figures=[], metrics={}, status="KILLED")
    assert client_of(runs).get_run(first).info.status == "KILLED"
    assert Tracker(runs, sweep).parent(FINGERPRINT, {"workers": 4}, {"protocol": "paper"}) == first
    run = client_of(runs).get_run(first)
    assert (run.info.status, run.info.run_name, run.data.params) == ("RUNNING", sweep, {"workers": "2"})
    assert Tracker(runs, sweep).parent("e" * 64, {}, {}) != first


def test_parent_in_a_deleted_experiment_restores_it(runs, tracker, sweep):
    client = client_of(runs)
    client.delete_experiment(client.get_experiment_by_name(sweep).experiment_id)
    run_id = open_sweep(runs, sweep).job(a_job(sweep))
    assert client.get_run(run_id).info.lifecycle_stage == "active"


def test_finish_again_replaces_table_documents_and_figures(runs, sweep, tmp_path, monkeypatch):
    figure = tmp_path / "scores.svg"
    for r2 in ([0.25, 0.5], [0.75, math.nan]):
        tracker = open_sweep(runs, sweep)
        run_id = tracker.parent(FINGERPRINT, {}, {})
        figure.write_text(f"<svg>{r2[0]}</svg>")
        tracker.finish(
            table={"method": ["SS-LFP", "MS-LFP"], "r2": r2},
            documents={"statistics.json": {"p": r2[0]}},
            figures=[figure],
            metrics={"jobs": 2.0, "best_r2": r2[0]},
            status="FINISHED",
        )
    client = client_of(runs)
    run = client.get_run(run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)  # load_table asks the global store for the run
    table = client.load_table(run.info.experiment_id, "results.json", [run_id])
    assert table["method"].tolist() == ["SS-LFP", "MS-LFP"]
    assert table["r2"][0] == 0.75 and math.isnan(table["r2"][1])
    folder = runs / "artifacts" / run_id / "artifacts"
    assert json.loads((folder / "statistics.json").read_text()) == {"p": 0.75}
    assert (folder / "figures" / "scores.svg").read_text() == "<svg>0.75</svg>"
    assert run.data.metrics == {"jobs": 2.0, "best_r2": 0.75} and run.info.status == "FINISHED"
    assert len(client.get_metric_history(run_id, "jobs")) == 1


def test_database_that_is_another_file_is_named(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database " * 100)
    with pytest.raises(RaydistillError, match=r"mlflow\.db.*not a database.*move the file aside"):
        Tracker(tmp_path, "sweep")


def test_server_that_does_not_answer_is_named_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RaydistillError, match=r"cannot track in http://127\.0\.0\.1") as caught:
        Tracker(tmp_path, "sweep")
    assert "secret" not in str(caught.value) and not (tmp_path / "mlflow.db").exists()


def test_serve_without_database_names_the_way_out(tmp_path):
    with pytest.raises(RaydistillError, match="raydistill sweep"):
        serve(tmp_path, free_port())


def test_serve_on_a_taken_port_names_the_way_out(runs, tracker):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RaydistillError, match="--port"):
            serve(runs, taken.getsockname()[1])


def test_serve_answers_takes_a_sweep_over_http_and_ends_on_interrupt(runs, tracker, sweep, tmp_path, monkeypatch):
    local = tracker.job(a_job(sweep))
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    code = "import sys, pathlib; from raydistill.tracking.server import serve; "
    code += "serve(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
    ui = subprocess.Popen([sys.executable, "-c", code, str(runs), str(port)], stderr=(tmp_path / "log").open("w"))
    try:
        wait_for(lambda: get(f"{address}/health") == b"OK", ui)
        assert b"<html" in get(f"{address}/")
        found = json.loads(get(f"{address}/api/2.0/mlflow/experiments/search?max_results=1000"))
        assert sweep in {e["name"] for e in found["experiments"]}
        assert (
            json.loads(get(f"{address}/api/2.0/mlflow/runs/get?run_id={local}"))["run"]["info"]["status"] == "FINISHED"
        )
        check_sweep_over_http(address, sweep, tmp_path, monkeypatch)
    finally:
        ui.send_signal(signal.SIGINT)
        assert ui.wait(30) == 0
    assert address in (tmp_path / "log").read_text()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def check_sweep_over_http(address, sweep, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    remote = open_sweep(tmp_path, f"{sweep} over http")
    (tmp_path / "metrics.json").write_text("{}")
    job = a_job(f"{sweep} over http", metrics={"r2": math.nan}, artifacts=[tmp_path / "metrics.json"])
    run_id = remote.job(job)
    assert open_sweep(tmp_path, f"{sweep} over http").job(job) == run_id
    assert len(MlflowClient(address).get_metric_history(run_id, "valid_loss")) == EPOCHS
    assert [f.path for f in MlflowClient(address).list_artifacts(run_id)] == ["metrics.json"]
    remote.finish(table={"r2": [0.5]}, documents={}, figures=[], metrics={}, status="FINISHED")
    assert not (tmp_path / "mlflow.db").exists() and not os.path.exists("mlruns")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url):
    return urllib.request.urlopen(url, timeout=10).read()


def wait_for(ready, process, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"ended with code {process.returncode}"
        with contextlib.suppress(OSError):
            if ready():
                return
        time.sleep(0.1)
    raise AssertionError(f"not ready after {seconds} s")
