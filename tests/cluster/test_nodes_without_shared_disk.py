"""A sweep on nodes that share no disk: store and runs are in a bucket, one node is lost, and one comes late.

The nodes do not see the copy of the driver, and each has a copy of its own.
"""

import pytest

from raydistill.object_store import StoredFolder
from tests.buckets import serving
from tests.cluster.machines import why_not
from tests.cluster.nodes import running
from tests.commands import JOBS, read_json, start, wait_until


@pytest.fixture
def bucket(monkeypatch):
    with serving() as served:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield served


@pytest.mark.skipif(bool(why_not()), reason=why_not())
@pytest.mark.timeout(900)
def test_sweep_on_nodes_with_disks_of_their_own_has_the_scores_of_one_machine(
    finished_sweep, bucket, tmp_path, monkeypatch
):
    (local,) = (finished_sweep / "runs" / "stores").iterdir()
    store, runs = StoredFolder(bucket.uri("store")), bucket.uri("runs")
    for file in (path for path in local.rglob("*") if path.is_file()):
        store.upload(file, file.relative_to(local).as_posix())
    (tmp_path / "sweep.yaml").write_text(f"# Question: as on one machine?\nname: small\nstore: {store.uri}\n{JOBS}")
    (tmp_path / "driver").mkdir()
    log, copies = tmp_path / "log.txt", [tmp_path / name for name in ("driver", "node0", "node1", "node2", "reader")]
    with running(hidden=copies[0]) as nodes:
        for copy in copies[1:4]:  # three, because a pretraining on two workers needs a CPU for reading
            nodes.add(copy)
        monkeypatch.setenv("RAYDISTILL_CACHE", str(copies[0]))
        sweep = start("sweep", "sweep.yaml", "--runs", runs, "--address", nodes.address, cwd=tmp_path)
        try:
            wait_until(lambda: "done    teacher" in log.read_text(), sweep, 600)
            nodes.kill(0)
            nodes.add(tmp_path / "late")
            assert sweep.wait(600) == 0, log.read_text()
        finally:
            sweep.kill()
    monkeypatch.setenv("RAYDISTILL_CACHE", str(copies[4]))
    found = read_json("results", "sweep.yaml", "--runs", runs, cwd=tmp_path)
    alone = read_json("results", "sweep.yaml", cwd=finished_sweep)
    assert found["scores"] == alone["scores"] and len(found["scores"]) == 6 and found["tests"] == alone["tests"]
    trained_on = [copy for copy in copies[1:4] if list(copy.glob("runs/*/jobs/*/history.jsonl"))]
    assert len(trained_on) == 3  # each node has trained in a copy of its own
    assert not list(copies[0].glob("runs/*/jobs/*/checkpoints/*/optimizer.pt"))
