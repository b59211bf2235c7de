"""A cluster that starts from nothing: its autoscaler starts the nodes that a sweep waits for, on this machine."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import ray._private.services as services

from tests.cluster.separate import RAY, STARTED
from tests.commands import raydistill, read_json
from tests.paths import ROOT
from tests.sweep.baseline_sweep import write_sweep
from tests.tracking.servers import free_port

HEAD_ID = "f" * 51 + "00000"
"""By which Ray's provider of nodes on one machine knows the head."""
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
SWEEP = """# Question: does the cluster grow?
name: growing
preset: tiny
seeds: [0]
store: {store}
sessions: {{every: {{modality: spikes}}}}
pretraining: {{epochs: 1}}
training: {{epochs: 1}}
jobs:
  ms_spike: {{pretrain: spikes, on: every, workers: 2}}
  fine_tuned: {{finetune: ms_spike, each: every}}
methods: {{MS-Spike: fine_tuned}}
controls: []
baselines: [ridge_on_spikes]
"""


def autoscaling(address: str) -> dict:
    """The file of the autoscaler: a head without CPUs, and two pools with GPUs that exist for Ray alone."""
    node = {"node_config": {}, "min_workers": 0}
    pretraining = {"resources": {"CPU": 2, "GPU": 2}, "max_workers": 1, "labels": {"pool": "pretraining"}}
    sessions = {"resources": {"CPU": 1, "GPU": 1}, "max_workers": 2, "labels": {"pool": "sessions"}}
    commands = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "growing",
        "max_workers": 3,
        "idle_timeout_minutes": 10,
        "upscaling_speed": 1.0,
        "provider": {
            "type": "external",
            "module": PROVIDER,
            "gcs_address": address,
            "head_node_id": HEAD_ID,
            "launch_multiple": True,
            "disable_node_updaters": True,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "pretraining": node | pretraining,
            "sessions": node | sessions,
        },
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
    } | {f"{name}_commands": [] for name in commands}


@pytest.fixture
def address(monkeypatch):
    """The address of the cluster, of which the head is up."""
    address = f"{services.get_node_ip_address()}:{free_port()}"
    folder = Path(tempfile.mkdtemp(prefix="rd", dir="/tmp"))  # the paths of sockets must be short
    (folder / "autoscaling.json").write_text(json.dumps(autoscaling(address)))
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    environment = os.environ | {
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
    }
    port = address.rpartition(":")[2]
    command = [RAY, "start", "--head", "--block", "--num-cpus=0", f"--port={port}", "--include-dashboard=false"]
    options = ["--disable-usage-stats", f"--temp-dir={folder}/ray", f"--autoscaling-config={folder}/autoscaling.json"]
    with open(folder / "head.txt", "w") as log:
        head = subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        while STARTED not in (folder / "head.txt").read_text():
            assert head.poll() is None, (folder / "head.txt").read_text()
            time.sleep(0.1)
        yield address
    finally:
        for process in [*psutil.Process(head.pid).children(recursive=True), head]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        head.wait()
        shutil.rmtree(folder)


def test_sweep_starts_the_nodes_that_it_needs_and_is_refused_what_no_node_will_have(address, tmp_path):
    write_sweep(tmp_path)
    (tmp_path / "sweep.yaml").write_text(SWEEP.format(store=tmp_path / "store"))
    command = ["sweep", "sweep.yaml", "--address", address, "--device"]
    refused = raydistill(
        *command, "cuda", "--set", "gpu_per_job=1", "--set", "jobs.ms_spike.workers=3", cwd=tmp_path, check=2
    )
    can_start = "0 CPUs and 0 GPUs, and can start 1 x (2 CPUs and 2 GPUs); 2 x (1 CPUs and 1 GPUs)"
    assert "`workers: 3`" in refused.stderr and can_start in refused.stderr

    done = raydistill(*command, "cpu", cwd=tmp_path, check=0)
    assert f"for 2 x 1 CPU, for ms_spike/seed0; now: {can_start}" in done.stderr
    assert len(read_json("results", "sweep.yaml", cwd=tmp_path)["scores"]) == 2
