"""What Ray's processes must not take from a command: its working folder, and the secrets in its environment.

The commands run with a Ray that stays open, so that its folder can be searched before it is removed.
"""

import json
import os
import subprocess
import sys

import pytest

MODULES = ("statistics", "random", "queue", "types", "h5py", "ray", "raydistill/__init__", "torch/__init__")
"""What a working folder may hold: names of modules that every worker imports."""
SECRETS = {
    "AWS_ACCESS_KEY_ID": "PLANTED-key-id",
    "AWS_SECRET_ACCESS_KEY": "PLANTED-aws-secret",
    "AWS_SESSION_TOKEN": "PLANTED-session-token",
    "MLFLOW_TRACKING_PASSWORD": "PLANTED-mlflow-password",
    "MY_DATABASE_PASSWORD": "PLANTED-database-password",
}
SMALL = """
name: small
recordings:
  synthetic: {sessions_per_subject: 2, subjects: 1, duration_s: 60, max_units: 40, min_channels: 6, max_channels: 8}
  ingest: {bin_width_ms: 20, filters: {lowpass_hz: 25}, splits: {segment_s: 1, parent_s: 2}}
preset: tiny
seeds: [0]
behavior: [velocity_x]
model: {width: 16, spikes_patch: 16, lfp_patch: 8, predictor_width: 16}
pretraining: {epochs: 1}
training: {epochs: 1}
baselines: []
sessions:
  held_out: {names: [S1_02]}
  pretraining: {except: held_out}
jobs:
  ms_spike: {pretrain: spikes, on: pretraining}
  teacher: {finetune: ms_spike, each: held_out}
methods: {MS-Spike: teacher}
"""
PROGRAM = """
import contextlib, json, pathlib, sys
from raydistill.cli import main
from raydistill.cluster import connected

codes = {}
with connected():
    import ray

    folder = pathlib.Path(ray._private.worker._global_node.get_session_dir_path()).parent
    for words in json.loads(sys.argv[1]):
        sys.argv = ["raydistill", *words]
        try:
            main()
        except SystemExit as ended:
            codes[words[0]] = ended.code
    files = [file for file in folder.rglob("*") if file.is_file()]
    told = [str(file.relative_to(folder)) for file in files if b"PLANTED" in file.read_bytes()]
print(json.dumps({"codes": codes, "told": told, "files": len(files)}))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The working folder, and what the program printed after the commands of a small project ran in it."""
    here, marks = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("marks")
    program = tmp_path_factory.mktemp("elsewhere") / "program.py"
    program.write_text(PROGRAM)
    for module in MODULES:
        file = here / f"{module}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"open({str(marks / module.partition('/')[0])!r}, 'w').close()\n")
    (here / "sweep.yaml").write_text(SMALL)
    recorded = ("--set", "sessions_per_subject=1", "--set", "subjects=1", "--set", "duration_s=60")
    commands = [
        ["sweep", "sweep.yaml"],
        ["synth", "recordings", *recorded],
        ["ingest", "recordings", "--store", "store"],
    ]
    done = subprocess.run(
        [sys.executable, program, json.dumps(commands)],
        cwd=here,
        env=os.environ | SECRETS,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return here, marks, json.loads(done.stdout.splitlines()[-1])


def test_commands_import_nothing_from_the_folder_in_which_they_run(ran):
    _, marks, seen = ran
    assert seen["codes"] == {"sweep": 0, "synth": 0, "ingest": 0}
    assert [mark.name for mark in marks.iterdir()] == []


def test_no_file_of_a_run_holds_a_secret_of_the_environment(ran):
    here, _, seen = ran
    assert seen["told"] == [] and seen["files"] > 20
    files = [file for file in here.rglob("*") if file.is_file()]
    assert [str(file) for file in files if b"PLANTED" in file.read_bytes()] == []


def test_decoding_imports_nothing_from_the_folder_in_which_it_runs(ran):
    here, marks, _ = ran
    (job,) = [file for file in here.glob("runs/jobs/*/job.json") if json.loads(file.read_text())["session"]]
    model, store = job.parent, json.loads(job.read_text())["store"]
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            "from raydistill.cli import main; main()",
            "decode",
            model,
            "--session",
            "S1_02",
            "--store",
            store,
        ],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert [mark.name for mark in marks.iterdir()] == []


def test_empty_name_in_the_path_of_python_does_not_mean_the_working_folder(tmp_path):
    """An empty name in PYTHONPATH means it to Python, until the command begins."""
    code = (
        "import sys; from raydistill.cluster.isolation import leave_working_folder; leave_working_folder(); "
        "import os, subprocess; print(sys.path); "
        "subprocess.run([sys.executable, '-c', 'import sys; print(sys.path)'], check=True)"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    named = os.pathsep.join(["", str(elsewhere), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": named},
        capture_output=True,
        text=True,
        check=True,
    )
    for path in done.stdout.splitlines():
        assert f"'{tmp_path}'" not in path and "''" not in path and f"'{elsewhere}'" in path
