"""Runs and store in a bucket, and nodes that share no disk: the scores of one machine."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from raydistill.files import read_mapping
from raydistill.object_store import StoredFolder
from tests.buckets import serving
from tests.cluster.machines import why_not
from tests.cluster.separate import running
from tests.commands import raydistill, read_json
from tests.sweep.baseline_sweep import write_sweep
from tests.sweep.tiny_sweep import JOBS, SWEEP

SECRET = "Pl4ntedS3cret"
CHANGES = {  # three jobs and more are ready at the same time, and take longer than the start of a process
    "training: {epochs: 2}": "training: {epochs: 60, patience: 60}",
    "methods: {": "methods: {SS-LFP: ss_lfp, SS-Spike: ss_spike, ",
    "  teacher:": "  ss_lfp: {train: lfp, each: held_out}\n  ss_spike: {train: spikes, each: held_out}\n  teacher:",
}
LEAVES = ("distilled/", "ss_", "ridge_")
"""Beginnings of the names of jobs from which no other job starts: only the node that runs one has its folder."""


def changed(text):
    """A sweep with more and longer jobs."""
    for before, after in CHANGES.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of a sweep on this machine."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "sweep.yaml").write_text(changed(SWEEP))
    raydistill("sweep", "sweep.yaml", cwd=folder, check=0)
    return folder


@pytest.fixture
def bucket(monkeypatch):
    """A bucket, for this process and those that it starts."""
    with serving() as served:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield served


@pytest.fixture
def cluster(bucket, monkeypatch):
    """A head and two nodes, each with a disk of its own. Commands of the test are run on that of the head."""
    folder = Path(tempfile.mkdtemp(prefix="rd", dir="/tmp"))
    try:
        with running(folder, nodes=2) as started:
            monkeypatch.delenv("RAYDISTILL_CACHE", raising=False)
            for name, value in started.environment.items():
                monkeypatch.setenv(name, value)
            yield started
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_sweep_on_nodes_without_a_shared_disk_has_the_scores_of_one_machine(alone, bucket, cluster):
    (local,) = (alone / "runs" / "stores").iterdir()
    store, runs = StoredFolder(bucket.uri("store")), bucket.uri("runs")
    for file in (path for path in local.rglob("*") if path.is_file()):
        store.upload(file, file.relative_to(local).as_posix())
    here = cluster.folder
    text = "# Question: as on one machine?\nname: small\nstore: STORE\n" + changed(JOBS)

    (here / "disk.yaml").write_text(text.replace("STORE", str(local)))
    refused = raydistill("sweep", "disk.yaml", "--address", cluster.address, cwd=here, check=2)
    assert "2 of 3 nodes of the cluster" in refused.stderr and "cannot see this folder" in refused.stderr
    assert "training on" not in refused.stderr

    # Before, the nodes said that they had stored what went to their own disks.
    (recordings,) = (alone / "runs" / "recordings").iterdir()
    refused = raydistill("ingest", recordings, "--store", "own", "--address", cluster.address, cwd=here, check=2)
    assert "2 of 3 nodes of the cluster" in refused.stderr and "/own: " in refused.stderr
    assert not list((here / "own").iterdir())

    (here / "sweep.yaml").write_text(text.replace("STORE", str(store.uri)))
    command = ["sweep", "sweep.yaml", "--runs", runs, "--address", cluster.address, "--device", "cpu"]
    raydistill(*command, cwd=here, check=0)
    found = read_json("results", "sweep.yaml", "--runs", runs, cwd=here)
    expected = read_json("results", "sweep.yaml", cwd=alone)
    assert found["scores"] == expected["scores"] != [] and found["baselines"] == expected["baselines"]
    assert found["tests"] == expected["tests"]

    planned = read_json("plan", "sweep.yaml", "--runs", runs, cwd=here)
    assert planned["counts"]["done"] == len(planned["jobs"]) == 7
    (pretraining,) = (job["key"] for job in planned["jobs"] if job["kind"] == "pretrain")
    # The head takes no part in pretraining, so each of the others has read it into a copy of its own.
    for number in (1, 2):
        (copy,) = (cluster.disk(number) / "home/.cache/raydistill/runs").iterdir()
        assert (copy / "jobs" / pretraining / "job.json").exists()
        here_run = [json.loads(file.read_text())["name"] for file in copy.glob("jobs/*/job.json")]
        assert [name for name in here_run if name.startswith(LEAVES)], f"node {number} ran no job on one session"
    (own,) = (here / "home/.cache/raydistill/runs").iterdir()
    assert read_mapping(own / "jobs" / pretraining / "metrics.json")["workers"] == 2


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_nodes_without_the_credentials_of_the_command_are_refused_and_no_file_has_the_secret(
    bucket, cluster, monkeypatch, tmp_path
):
    here = cluster.folder
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    bucket.only_key = "another"
    sweep = write_sweep(tmp_path)
    command = ["sweep", sweep, "--runs", bucket.uri("runs"), "--address", cluster.address, "--device", "cpu"]
    refused = raydistill(*command, cwd=here, check=2)
    assert "s3://lab/runs: 3 of 3 nodes of the cluster" in refused.stderr and "access is denied" in refused.stderr
    files = [file for file in here.rglob("*") if file.is_file()]
    assert [file for file in files if "ray/session_" in str(file)]  # Ray's logs are among them
    assert not [file for file in files if SECRET.encode() in file.read_bytes()] and SECRET not in refused.stderr
