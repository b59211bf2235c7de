"""The command line as a user runs it: in its own process, with files on disk."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-c", "from raydistill.cli import main; main()"]

JOBS = """preset: tiny
seeds: [0]
behavior: [velocity_x, velocity_y]
model: {width: 32, spikes_patch: 16, lfp_patch: 8, predictor_width: 24, dropout: 0.1}
pretraining: {epochs: 20}
training: {epochs: 10}
engine: {checkpoint_every: 1}
sessions:
  held_out: {names: [S1_02, S2_02]}
  pretraining: {except: held_out}
jobs:
  ms_spike: {pretrain: spikes, on: pretraining, workers: 2}
  teacher: {finetune: ms_spike, each: held_out}
  distilled: {distill: teacher, each: held_out}
  ss_lfp: {train: lfp, each: held_out}
methods: {Distilled LFP: distilled, MS-Spike: teacher, SS-LFP: ss_lfp}
compare: [Distilled LFP > SS-LFP]
align: [Distilled LFP ~ MS-Spike]
controls: []
baselines: [ridge_on_spikes, ridge_on_lfp]
"""
SWEEP = (
    """# Question: does everything work together?
name: small
recordings:
  synthetic:
    subjects: 2
    sessions_per_subject: 2
    duration_s: 80
    min_units: 10
    max_units: 16
    min_channels: 6
    max_channels: 8
  ingest:
    bin_width_ms: 20
    filters: {lowpass_hz: 25}
    splits: {segment_s: 1, parent_s: 2}
"""
    + JOBS
)


def raydistill(*arguments, cwd, check=None) -> subprocess.CompletedProcess:
    """Run a command to its end; `check` is the expected exit code."""
    done = subprocess.run([*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=1300)
    if check is not None:
        assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def start(*arguments, cwd) -> subprocess.Popen:
    """Start a command in its own session; its output goes to log.txt."""
    log = open(Path(cwd) / "log.txt", "a")  # noqa: SIM115 - the process keeps it open
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=cwd, stdout=log, stderr=log, start_new_session=True, env=os.environ
    )


def wait_until(condition, process, seconds=240):
    """Wait until `condition()` is true while the process runs; fails if the process ends first.

    A command that takes too long is ended, so that it does not slow down the tests after this one.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the command ended before the condition was true"
        if time.monotonic() > end:
            process.terminate()
            process.wait(60)
            raise AssertionError(f"the condition did not become true within {seconds} s")
        time.sleep(0.02)


def read_json(*arguments, cwd):
    """The output of a command with --json."""
    return json.loads(raydistill(*arguments, "--json", cwd=cwd).stdout)
