"""SIGKILL of the driver of a sweep of 31 jobs, again and again; the same command, and the same table.

    python -m tests.faults.killing_driver --kills 10

Each kill comes at a seeded moment: while all is being started, or some jobs and a bit later. After each, every job that
was done must be left as it is; in the end scores and tests equal those of an undisturbed run to the last digit, and
MLflow holds every point once.
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
    """No point of a curve twice, and a run for every job."""
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
    """Key -> when its marker was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("runs/jobs/*/_SUCCESS")}


def answer(folder: Path) -> str:
    results = read_json("results", "sweep.yaml", cwd=folder)
    return json.dumps([results["scores"], results["baselines"], results["tests"]])


def disturbed(folder: Path, kills: int, chance: random.Random) -> int:
    """Give the command until it ends by itself, killed so often before that; how often it was."""
    killed = 0
    while True:
        before = done_jobs(folder)
        process = start("sweep", "sweep.yaml", cwd=folder)
        if killed < kills and _kill_sometime(process, folder, chance):
            killed += 1
            print(f"kill {killed} with {len(done_jobs(folder))} jobs done", flush=True)
        elif process.wait(600):
            raise AssertionError(f"exit {process.returncode}; see {folder / 'log.txt'}")
        kept = {key: when for key, when in done_jobs(folder).items() if key in before}
        assert kept == before, "a job that was done is gone or was done again"
        if process.returncode == 0:
            return killed


def _kill_sometime(process, folder: Path, chance: random.Random) -> bool:
    """Whether it was killed before it ended by itself."""
    if chance.random() < 0.3:
        time.sleep(chance.uniform(0, 15))
    else:
        wanted, later = len(done_jobs(folder)) + chance.randint(1, 4), chance.uniform(0, 1)
        while len(done_jobs(folder)) < wanted and process.poll() is None:
            time.sleep(0.02)
        time.sleep(later)
    if process.poll() is not None:
        return False
    kill(process)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="raydistill-kills-") as root:
        whole, other = Path(root) / "whole", Path(root) / "other"
        for folder in (whole, other):
            folder.mkdir()
            (folder / "sweep.yaml").write_text(SWEEP_OF_31)
        raydistill("sweep", "sweep.yaml", cwd=whole, check=0)
        n_jobs = len(read_json("plan", "sweep.yaml", cwd=whole)["jobs"])
        print(f"{n_jobs} jobs undisturbed", flush=True)
        killed = disturbed(other, given.kills, random.Random(given.seed))
        assert answer(other) == answer(whole)
        assert_every_point_once(other / "runs" / "mlflow.db", n_jobs)
        print(f"{killed} kills of the driver, {n_jobs} jobs: no job lost or done twice; scores, tests and MLflow equal")


if __name__ == "__main__":
    main()
