"""examples/slurm/sweep.sbatch, with stand-ins for Slurm's two commands: `srun` reaches the nodes through SSH."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.machines import ADDRESSES, prepare, run_there, why_not
from tests.commands import raydistill, read_json
from tests.paths import ROOT
from tests.sweep.baseline_sweep import write_sweep

SCRIPT = ROOT / "examples/slurm/sweep.sbatch"
SCONTROL = """#!/bin/bash
if [ "$1" = requeue ]; then echo "$@" >> {folder}/requeued; else printf '{nodes}'; fi
"""
SRUN_THROUGH_SSH = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
command=$(printf '%q ' "$@")
for node in {nodes}; do
    ssh -i {folder}/key -o StrictHostKeyChecking=no -o LogLevel=ERROR $node "$(export -p); cd $PWD; $command" &
done
wait
"""


def slurm(folder: Path, srun: str) -> dict[str, str]:
    """Write the stand-ins; returns the environment of a job on two nodes."""
    commands, home = folder / "commands", folder / "client"
    commands.mkdir()
    for name, text in (("scontrol", SCONTROL), ("srun", srun)):
        (commands / name).write_text(
            text.replace("{folder}", str(folder)).replace(
                "{nodes}", ("\\n" if name == "scontrol" else " ").join(ADDRESSES)
            )
        )
        (commands / name).chmod(0o755)
    (home / ".ray").mkdir(parents=True, exist_ok=True)
    (home / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
    path = f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_CPUS_PER_TASK": "1"}
    return {"PATH": path, "HOME": str(home)} | job


def submit(folder: Path, srun: str, *arguments: str) -> subprocess.Popen:
    environment = os.environ | slurm(folder, srun)
    return subprocess.Popen(
        ["bash", SCRIPT, *arguments],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_job_without_a_sweep_ends_with_its_usage(tmp_path):
    job = submit(tmp_path, "#!/bin/bash\n")
    assert "usage: sbatch" in job.communicate(timeout=30)[1] and job.returncode == 2


@pytest.mark.parametrize("code", [0, 1, 2])
def test_job_ends_with_the_exit_code_of_the_sweep(tmp_path, code):
    job = submit(tmp_path, f'#!/bin/bash\necho {code} > "$SWEEP_CODE"\n', "sweep.yaml", "runs")
    job.communicate(timeout=30)
    assert job.returncode == code


def test_job_whose_ray_did_not_start_fails(tmp_path):
    job = submit(tmp_path, "#!/bin/bash\nexit 0\n", "sweep.yaml", "runs")
    assert "Ray did not start" in job.communicate(timeout=30)[1] and job.returncode == 1


def test_job_goes_back_to_the_queue_before_its_time_is_over(tmp_path):
    job = submit(
        tmp_path, f'#!/bin/bash\ntouch {tmp_path}/started\nsleep 3\necho 0 > "$SWEEP_CODE"\n', "sweep.yaml", "runs"
    )
    while not (tmp_path / "started").exists():
        time.sleep(0.05)
    job.send_signal(signal.SIGUSR1)
    job.communicate(timeout=30)
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
    assert job.returncode == 0


def test_directives_ask_for_whole_nodes_and_for_the_queue_after_preemption():
    directives = [line.split()[1] for line in SCRIPT.read_text().splitlines() if line.startswith("#SBATCH")]
    assert {"--requeue", "--exclusive", "--ntasks-per-node=1", "--signal=B:USR1@300"} <= set(directives)


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_sweep_on_two_nodes_gives_the_scores_of_one_machine(tmp_path):
    sweep = write_sweep(tmp_path)
    raydistill("sweep", sweep, "--runs", tmp_path / "alone", cwd=tmp_path, check=0)
    prepare(tmp_path, package=str(ROOT))
    variables = slurm(tmp_path, SRUN_THROUGH_SSH) | {"PYTHONPATH": str(ROOT)}
    exported = " ".join(f"{name}='{value}'" for name, value in variables.items())
    runs = tmp_path / "shared" / "runs"
    done = run_there(
        tmp_path, f"export {exported}; cd {tmp_path}; bash {SCRIPT} {sweep} {runs} --device cpu", timeout_s=420
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "On head node" in done.stdout and "On worker node" in done.stdout
    alone, together = (
        read_json("results", sweep, "--runs", folder, cwd=tmp_path)["scores"] for folder in (tmp_path / "alone", runs)
    )
    assert alone == together != []
