"""SIGKILL during a pretraining on two workers, many times: the same command ends with the same result.

    python -m tests.faults.killing --kills 30

kills a worker, the driver and the raylet in turn at seeded moments during start, training and saving, repeats the same
command whenever it ended, and compares the result with an undisturbed run, byte for byte.
"""

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.commands import SWEEP, raydistill, read_json, start

VICTIMS = ("worker", "driver", "raylet")
TITLES = {"worker": "ray::RayTrainWorker", "raylet": "/raylet/raylet"}
PRETRAINING = "ms_spike/seed0"


def sweep_text() -> str:
    """The small sweep's pretraining, saved four times per epoch, and the jobs on one session that start from it."""
    text = SWEEP.replace("checkpoint_every: 1", "checkpoint_every: 0.25")
    return "".join(line for line in text.splitlines(True) if not line.startswith(OTHERS)).replace(METHODS, TEACHER)


OTHERS = ("  distilled:", "  ss_lfp:", "compare:", "align:")
METHODS = "{Distilled LFP: distilled, MS-Spike: teacher, SS-LFP: ss_lfp}"
TEACHER = "{MS-Spike: teacher}"


@dataclass
class Running:
    """The sweep command, repeated as often as necessary."""

    folder: Path

    def __post_init__(self):
        plan = read_json("plan", "sweep.yaml", cwd=self.folder)
        self.keys = {job["name"]: job["key"] for job in plan["jobs"]}
        self.process = start("sweep", "sweep.yaml", cwd=self.folder)
        self.starts = 1

    def job(self, name: str) -> Path:
        return self.folder / "runs" / "jobs" / self.keys[name]

    @property
    def epochs(self) -> int:
        history = self.job(PRETRAINING) / "history.jsonl"
        return len(history.read_bytes().splitlines()) if history.exists() else 0

    @property
    def pretrained(self) -> bool:
        return (self.job(PRETRAINING) / "_SUCCESS").exists()

    def again(self) -> None:
        """Wait for a command that lost its driver or raylet, and repeat it."""
        end_of(self.process)
        self.process = start("sweep", "sweep.yaml", cwd=self.folder)
        self.starts += 1


def end_of(process, seconds: float = 120) -> int:
    """The exit code of a command that is expected to end."""
    try:
        return process.wait(seconds)
    except Exception as err:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError(f"the command did not end within {seconds:g} s of the kill") from err


def descendants(pid: int) -> dict[int, str]:
    """Processes started by `pid`, directly or not -> their titles."""
    parents, titles = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ValueError):  # it has just ended
            continue
    found, below = {}, [pid]
    while below:
        children = [child for child, parent in parents.items() if parent in below]
        found |= {child: titles.get(child, "") for child in children}
        below = children
    return found


def kill(running: Running, victim: str, wait_s: float = 60) -> bool:
    """Kill one of the command's processes; False if the pretraining was over before there was one."""
    if victim == "driver":
        os.kill(running.process.pid, signal.SIGKILL)
        return True
    end = time.monotonic() + wait_s
    while time.monotonic() < end and not running.pretrained:
        for pid, title in descendants(running.process.pid).items():
            if TITLES[victim] in title:
                os.kill(pid, signal.SIGKILL)
                return True
        time.sleep(0.02)
    return False


def disturb(running: Running, victim: str, rng: random.Random) -> bool:
    """Kill `victim` at a random moment: during the start, or after some epochs and part of another one."""
    if rng.random() < 0.25:
        time.sleep(rng.uniform(0, 15))
    else:
        target, delay_s = running.epochs + rng.randint(1, 3), rng.uniform(0, 0.5)
        while running.epochs < target and not running.pretrained and running.process.poll() is None:
            time.sleep(0.02)
        time.sleep(delay_s)
    before = running.epochs
    if running.pretrained or not kill(running, victim):
        return False
    print(f"killed the {victim} at epoch {before}", flush=True)
    if victim != "worker":
        running.again()
    return True


def outcome(sweep: Path, runs: Path) -> dict[str, bytes]:
    """Everything that must be equal: weights, history and scores."""
    arguments = (sweep, "--runs", runs)
    plan = read_json("plan", *arguments, cwd=runs.parent)
    jobs = {job["name"]: runs / "jobs" / job["key"] for job in plan["jobs"] if job["kind"] != "baseline"}
    content = {f"{name} {file}": (job / file).read_bytes() for name, job in jobs.items() for file in FILES}
    results = read_json("results", *arguments, cwd=runs.parent)
    return content | {"scores": json.dumps(results["scores"]).encode()}


FILES = ("model.safetensors", "history.jsonl")


def disturbed(folder: Path, whole: Path, victims: tuple[str, ...], seed: int) -> int:
    """Run the sweep in the folder with these kills while the pretraining runs; returns the number of kills.

    Args:
        whole: runs folder of an undisturbed run, whose recordings are copied, because only training is to be disturbed.
    """
    for part in ("recordings", "stores"):
        shutil.copytree(whole / part, folder / "runs" / part)
    rng, running, kills = random.Random(seed), Running(folder), 0
    for victim in victims:
        kills += disturb(running, victim, rng)
    code = running.process.wait(300)
    assert code == 0, f"exit {code}; see {folder / 'log.txt'}"
    return kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="raydistill-kills-") as root:
        sweep, whole = Path(root) / "sweep.yaml", Path(root) / "runs"
        sweep.write_text(sweep_text())
        raydistill("sweep", sweep, cwd=root, check=0)
        expected, killed, run = outcome(sweep, whole), 0, 0
        while killed < arguments.kills:
            here = Path(root) / str(run)
            here.mkdir()
            shutil.copy(sweep, here)
            n = min(6, arguments.kills - killed)
            victims = tuple(VICTIMS[(killed + i) % 3] for i in range(n))
            kills = disturbed(here, whole, victims, arguments.seed + run)
            actual = outcome(sweep, here / "runs")
            different = [name for name in expected if expected[name] != actual[name]]
            assert not different, f"after {victims}: {different} differ"
            killed, run = killed + kills, run + 1
            print(f"run {run}: {kills} kills, {killed} in total; weights, history and scores equal", flush=True)


if __name__ == "__main__":
    main()
