"""A sweep whose jobs are done, and an MLflow that is away, elsewhere, deleted or moved: the sweep ends as it does."""

import shutil

import pytest
from mlflow import MlflowClient

from tests.commands import raydistill, read_json
from tests.tracking.servers import free_port


@pytest.fixture
def folder(finished_sweep, tmp_path, monkeypatch):
    """A copy of the folder of a finished sweep."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(finished_sweep, tmp_path / "copy")
    return tmp_path / "copy"


def runs_in(uri):
    """Status of every run of the sweep, and how many of them are of jobs."""
    client = MlflowClient(uri)
    found = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    return {run.info.status for run in found}, sum("raydistill.job" in run.data.tags for run in found)


def files_with(text, folder):
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def test_server_that_is_away_changes_neither_results_nor_exit_code_and_no_password_is_written(folder, monkeypatch):
    before = read_json("results", "sweep.yaml", cwd=folder)
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cret@127.0.0.1:{port}")
    done = raydistill("sweep", "sweep.yaml", cwd=folder, check=0)
    said = [line for line in done.stderr.splitlines() if "MLflow at" in line]
    assert len(said) <= 2 and "Traceback" not in done.stderr
    assert said[-1].startswith(f"MLflow at http://127.0.0.1:{port} lacks 11 of 11 jobs (")
    assert "run the same command again" in said[-1]
    assert "s3cret" not in done.stdout + done.stderr and files_with("s3cret", folder) == []
    assert read_json("results", "sweep.yaml", cwd=folder) == before


def test_sweep_that_is_done_is_logged_at_a_new_address_and_again_where_the_database_was_deleted(folder, monkeypatch):
    assert raydistill("sweep", "sweep.yaml", cwd=folder, check=0).stderr.count("drawing figures") == 0
    elsewhere = f"sqlite:///{folder / 'other.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", elsewhere)
    raydistill("sweep", "sweep.yaml", cwd=folder, check=0)
    assert runs_in(elsewhere) == ({"FINISHED"}, 11)
    assert "drawing figures" not in raydistill("sweep", "sweep.yaml", cwd=folder, check=0).stderr  # nothing is left
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (folder / "runs" / "mlflow.db").unlink()
    raydistill("sweep", "sweep.yaml", cwd=folder, check=0)
    assert runs_in(f"sqlite:///{folder / 'runs' / 'mlflow.db'}") == ({"FINISHED"}, 11)
