"""A worker that was taken for dead and comes back: it notices that it lost its job, and writes nothing more."""

import os
import signal
import subprocess
import sys

import psutil
import torch

from raydistill.marker import damage
from raydistill.store.store import Store
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, run_session_job
from tests.commands import wait_until
from tests.sweep.baseline_sweep import write_sweep

WORKER = """
import sys
from pathlib import Path
import torch
from raydistill.store.store import Store
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, run_session_job
torch.set_num_threads(1)
sweep, runs = load_sweep(Path(sys.argv[1])), RunsFolder(Path(sys.argv[2]))
job = next(j for j in plan(sweep, Store(sweep.store).entries(), runs).jobs if j.kind == "train")
run_session_job(job, JobContext(runs, sweep.store))
"""


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name[0] != "."}


def test_stopped_worker_that_continues_leaves_the_results_of_its_successor_alone(tmp_path):

    path = write_sweep(tmp_path, "training: {epochs: 20, patience: 20}", "engine: {checkpoint_every: 1}")
    sweep, runs = load_sweep(path), RunsFolder(tmp_path / "runs")
    job = next(j for j in plan(sweep, Store(sweep.store).entries(), runs).jobs if j.kind == "train")
    folder, threads = runs.job_folder(job.key), torch.get_num_threads()
    worker = subprocess.Popen([sys.executable, "-c", WORKER, path, runs.path], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any(folder.glob("checkpoints/epoch-*")), worker)
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED, worker)
        assert not runs.is_done(job.key)
        torch.set_num_threads(1)
        run_session_job(job, JobContext(runs, sweep.store))
        results = content(folder)
    finally:
        torch.set_num_threads(threads)
        os.kill(worker.pid, signal.SIGCONT)
    _, errors = worker.communicate(timeout=240)
    assert worker.returncode == 1 and "another process has taken over this job" in errors
    assert content(folder) == results and damage(folder, everything=True) == "" and runs.is_done(job.key)
    assert not (folder / "checkpoints").exists()

    alone = RunsFolder(tmp_path / "alone")
    torch.set_num_threads(1)
    try:
        run_session_job(job, JobContext(alone, sweep.store))
    finally:
        torch.set_num_threads(threads)
    undisturbed = content(alone.job_folder(job.key))
    assert {name: results[name] for name in ("model.safetensors", "history.jsonl")} == {
        name: undisturbed[name] for name in ("model.safetensors", "history.jsonl")
    }
