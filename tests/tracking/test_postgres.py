"""An MLflow server with PostgreSQL behind it, as a lab runs one: it restarts, moves, and has everything once."""

import os
import subprocess
import sys

import pytest
from mlflow import MlflowClient

from raydistill.tracking import outbox
from tests.tracking.postgres import counts, serving
from tests.tracking.servers import free_port, start_server, wait_for
from tests.tracking.test_tracker import ALL, END, a_job, end_processes, has_ended, open_tracker, points_of, put_all

AGAIN = """
import sys
from pathlib import Path
from tests.tracking.test_tracker import END, open_tracker, put_all
tracker = open_tracker(Path(sys.argv[1]), [])
put_all(tracker)
assert tracker.finish(**END)
"""
"""In a process of its own, because MLflow keeps in memory where the files of a run are."""


@pytest.fixture(scope="module")
def database():
    with serving() as address:
        yield address


def test_server_killed_while_a_sweep_runs_has_every_point_once_after_its_restart(database, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    monkeypatch.setattr(outbox, "_LONGEST_PAUSE_S", 2.0)
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    server = start_server(tmp_path, port, database)
    client = MlflowClient(f"http://127.0.0.1:{port}")
    try:
        tracker = open_tracker(tmp_path, lines := [])
        tracker.job(a_job("a"))
        wait_for(lambda: has_ended(client, "a"))
        server.kill()
        server.wait()
        assert put_all(tracker) < 2  # nothing waits
        wait_for(lambda: lines)
        server = start_server(tmp_path, port, database)
        assert tracker.finish(**END).is_valid(tmp_path)
        assert "cannot be used" in lines[0] and "has everything now" in lines[1]
        assert points_of(client) == ALL
        once = counts(database)
        assert once == (4, 3 * 6 + 1, 4)  # three jobs and the sweep; five losses and R² each, and one metric of its own
        # The address of the server changes; its database does not.
        end_processes(server)
        port = free_port()
        server = start_server(tmp_path, port, database)
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}
        subprocess.run([sys.executable, "-c", AGAIN, str(tmp_path)], env=environment, check=True, timeout=120)
        assert counts(database) == once
    finally:
        end_processes(server)
