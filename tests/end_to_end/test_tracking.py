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


def contents_of(uri):
    """Status, parameters, points and artifacts of every run of the sweep."""
    client = MlflowClient(uri)
    found = {}
    for run in client.search_runs([client.get_experiment_by_name("small").experiment_id]):
        points = {
            name: [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, name)]
            for name in run.data.metrics
        }
        files = sorted(file.path for file in client.list_artifacts(run.info.run_id))
        params = {name: value for name, value in run.data.params.items() if name != "store"}  # the folder was copied
        found[run.info.run_name] = (run.info.status, params, points, files)
    return found


def test_finished_sweep_is_sent_elsewhere_once_and_its_folder_is_only_read(folder):
    before = {path: path.read_bytes() for path in (folder / "runs" / "sweeps").rglob("*") if path.is_file()}
    elsewhere = f"sqlite:///{folder / 'other.db'}"
    sent = raydistill("track", "sweep.yaml", "--to", elsewhere, cwd=folder, check=0)
    assert sent.stderr.strip().splitlines()[-1] == f"11 of 11 jobs of small are in {elsewhere}"
    there = contents_of(elsewhere)
    here = contents_of(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")
    assert there == here and len(there) == 11 + 5 + 1  # jobs, methods, and the sweep itself
    raydistill("track", "sweep.yaml", "--to", elsewhere, cwd=folder, check=0)
    assert contents_of(elsewhere) == there
    assert {path: path.read_bytes() for path in before} == before


def test_sweep_whose_jobs_are_not_all_done_is_sent_as_it_is_and_completed_later(folder):
    elsewhere = f"sqlite:///{folder / 'other.db'}"
    jobs = read_json("plan", "sweep.yaml", cwd=folder)["jobs"]
    key = next(job["key"] for job in jobs if job["name"] == "ss_lfp/S1_02/seed0")
    marker = folder / "runs" / "jobs" / key / "_SUCCESS"
    marker.rename(folder / "kept")
    sent = raydistill("track", "sweep.yaml", "--to", elsewhere, cwd=folder, check=0)
    assert f"10 of 11 jobs of small are in {elsewhere}; 1 are not done" in sent.stderr
    assert runs_in(elsewhere) == ({"FINISHED", "RUNNING", "KILLED"}, 11)  # the job as it runs, and the sweep
    (folder / "kept").rename(marker)
    raydistill("track", "sweep.yaml", "--to", elsewhere, cwd=folder, check=0)
    assert runs_in(elsewhere) == ({"FINISHED"}, 11)
    assert contents_of(elsewhere) == contents_of(f"sqlite:///{folder / 'runs' / 'mlflow.db'}")


def test_sweep_that_is_sent_to_a_server_that_is_away_says_so_and_fails(folder):
    port = free_port()
    failed = raydistill("track", "sweep.yaml", "--to", f"http://127.0.0.1:{port}", cwd=folder, check=2)
    *tries, last = failed.stderr.strip().splitlines()
    assert all(line.endswith("; trying again") for line in tries) and len(tries) <= 1
    assert last.startswith(f"MLflow at http://127.0.0.1:{port} lacks 11 of 11 jobs (")


def test_address_that_is_none_or_a_folder_without_the_sweep_is_refused_in_one_line(folder, tmp_path):
    refused = raydistill("track", "sweep.yaml", "--to", "localhost:5000", cwd=folder, check=2)
    assert refused.stderr.startswith("raydistill: --to localhost:5000: not an address of MLflow; give that of a server")
    secret = raydistill("track", "sweep.yaml", "--to", "http://me:s3cret@host:1", cwd=folder, check=2)
    assert "s3cret" not in secret.stderr
    nothing = raydistill("track", "sweep.yaml", "--runs", tmp_path / "none", cwd=folder, check=2)
    assert "no job of the sweep small has ended" in nothing.stderr and not (tmp_path / "none").exists()
