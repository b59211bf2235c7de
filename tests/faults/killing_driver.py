"""SIGKILL of the driver of a sweep of 31 jobs, many times: the same command ends with the same table.

    python -m tests.faults.killing_driver --kills 10

Each kill comes at a seeded moment: during the start, or after some jobs and part of another one. No kill may change a
job that was done; at the end, scores and tests equal those of an undisturbed run to the last digit, and MLflow holds
every point once.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

from tests.commands import SWEEP, raydistill, read_json, start

SWEEP_OF_31 = SWEEP.replace("seeds: [0]", "seeds: [0, 1, 2, 3]").replace(
    "methods:", "  ss_spikes: {train: spikes, each: held_out, seeds: 0}\nmethods:"
)


def assert_every_point_once(database: Path, n_jobs: int) -> None:
    """MLflow holds no point of a curve twice, and one run per job."""
    with sqlite3.connect(database) as db:
        points = db.execute(
            "select m.run_uuid, key, step from metrics m join runs using (run_uuid) where lifecycle_stage='active'"
        ).fetchall()
        (runs,) = db.execute(
            "select count(*) from tags join runs using (run_uuid) "
            "where key='raydistill.job' and lifecycle_stage='active'"
        ).fetchone()
    assert len(points) == len(set(points)) > 0
    assert runs == n_jobs


def kill(process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def done_jobs(folder: Path) -> dict[str, int]:
    """Key -> time at which the marker was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("runs/jobs/*/_SUCCESS")}


def answer(folder: Path) -> str:
    results = read_json("results", "sweep.yaml", cwd=folder)
    return json.dumps([results["scores"], results["baselines"], results["tests"]])


def disturbed(folder: Path, kills: int, rng: random.Random) -> int:
    """Repeat the command until it ends by itself, and kill it up to `kills` times; returns the number of kills."""
    killed = 0
    while True:
        before = done_jobs(folder)
        process = start("sweep", "sweep.yaml", cwd=folder)
        if killed < kills and _kill_at_random(process, folder, rng):
            killed += 1
            print(f"kill {killed} with {len(done_jobs(folder))} jobs done", flush=True)
        elif process.wait(600):
            raise AssertionError(f"exit {process.returncode}; see {folder / 'log.txt'}")
        after = {key: time for key, time in done_jobs(folder).items() if key in before}
        assert after == before, "a job that was done is missing or was run again"
        if process.returncode == 0:
            return killed


def _kill_at_random(process, folder: Path, rng: random.Random) -> bool:
    """Kill the process at a random moment; False if it ended by itself before that."""
    if rng.random() < 0.3:
        time.sleep(rng.uniform(0, 15))
    else:
        target, delay_s = len(done_jobs(folder)) + rng.randint(1, 4), rng.uniform(0, 1)
        while len(done_jobs(folder)) < target and process.poll() is None:
            time.sleep(0.02)
        time.sleep(delay_s)
    if process.poll() is not None:
        return False
    kill(process)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="raydistill-kills-") as root:
        whole, other = Path(root) / "whole", Path(root) / "other"
        for folder in (whole, other):
            folder.mkdir()
            (folder / "sweep.yaml").write_text(SWEEP_OF_31)
        raydistill("sweep", "sweep.yaml", cwd=whole, check=0)
        n_jobs = len(read_json("plan", "sweep.yaml", cwd=whole)["jobs"])
        print(f"{n_jobs} jobs undisturbed", flush=True)
        killed = disturbed(other, arguments.kills, random.Random(arguments.seed))
        assert answer(other) == answer(whole)
        assert_every_point_once(other / "runs" / "mlflow.db", n_jobs)
        print(f"{killed} kills of the driver, {n_jobs} jobs: no job lost or run twice; scores, tests and MLflow equal")


if __name__ == "__main__":
    main()
