"""cluster.local.yaml, brought up on two machines by `ray up` through SSH, and taken down again."""

from pathlib import Path

import psutil
import pytest
from ray.autoscaler._private.util import prepare_config, validate_config
from ruamel.yaml import YAML

from tests.cluster.machines import prepare, run_there, why_not
from tests.commands import raydistill, read_json
from tests.paths import ROOT
from tests.sweep.baseline_sweep import write_sweep

TEXT = (ROOT / "cluster.local.yaml").read_text()
COMMANDS = """set -e
ray get-auth-token --generate > /dev/null
chmod 600 ~/.ray/auth_token
ray up --yes {file}
ray exec {file} 'for i in $(seq 15); do ray status | grep "2 local.cluster.node" && exit 0; sleep 1; done; exit 1'
ray exec {file} 'raydistill sweep {sweep} --runs {runs} --address auto'
ray down --yes {file}
"""


def test_file_passes_the_checks_of_ray_up():
    config = prepare_config(YAML(typ="safe").load(TEXT))
    validate_config(config)
    (nodes,) = config["available_node_types"].values()
    assert nodes["min_workers"] == nodes["max_workers"] == 2


def test_machines_have_the_packages_and_the_commands_of_the_cluster_on_aws():
    local, aws = YAML(typ="safe").load(TEXT), YAML(typ="safe").load((ROOT / "cluster.yaml").read_text())
    for part in ("file_mounts", "rsync_exclude", "worker_start_ray_commands"):
        assert local[part] == aws[part], part
    without = [command.replace("RAY_enable_autoscaler_v2=0 ", "") for command in local["head_start_ray_commands"]]
    assert without == aws["head_start_ray_commands"] != local["head_start_ray_commands"]
    assert [command for command in aws["setup_commands"] if command not in local["setup_commands"]] == []


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_sweep_on_two_machines_gives_the_scores_of_one(tmp_path):
    sweep = write_sweep(tmp_path)
    raydistill("sweep", sweep, "--runs", tmp_path / "alone", cwd=tmp_path, check=0)

    prepare(tmp_path, package="$HOME/raydistill")
    file = tmp_path / "cluster.local.yaml"
    file.write_text(adapted(tmp_path))

    done = run_there(tmp_path, COMMANDS.format(file=file, sweep=sweep, runs=tmp_path / "shared/runs"), timeout_s=420)
    assert done.returncode == 0, done.stdout + done.stderr
    alone, together = (
        read_json("results", sweep, "--runs", tmp_path / runs, cwd=tmp_path)["scores"]
        for runs in ("alone", "shared/runs")
    )
    assert alone == together != []
    left = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]
    assert left == []


def adapted(folder: Path, workers: str = "10.77.0.2") -> str:
    """The file as a lab would change it, without the commands that install: the packages of this Python are used."""
    text = TEXT.replace("/shared", str(folder / "shared")).replace("head.example.org", "10.77.0.1")
    text = text.replace("[node1.example.org, node2.example.org]", f"[{workers}]")
    text = text.replace("ssh_user: lab", "ssh_user: root")
    config = YAML(typ="safe").load(text.replace("~/.ssh/id_ed25519", str(folder / "key")))
    config["setup_commands"] = [command for command in config["setup_commands"] if "uv" not in command]
    with open(folder / "written.yaml", "w") as stream:
        YAML().dump(config, stream)
    return (folder / "written.yaml").read_text()
