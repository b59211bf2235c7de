"""Ending a sweep before its time, in many ways: it ends soon, with one line, and leaves no process behind.

    python -m tests.faults.ending

sends each signal to the sweep, and kills each process of Ray's head, at several moments: while Ray starts, while
recordings are made, while a model is pretrained, while jobs on one session run, and while figures are drawn.
"""

import argparse
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.commands import SWEEP, raydistill, start, wait_until
from tests.faults.killing import descendants

ENDLESS = "jobs.teacher.training.epochs=100000", "jobs.teacher.training.patience=100000"
"""Settings with which jobs on one session run until they are stopped."""
LONG_PRETRAINING = "jobs.ms_spike.training.epochs=100000", "jobs.ms_spike.training.patience=100000"


def titled(process, part: str) -> list[int]:
    """Ids of the processes below this one with `part` in their title."""
    return [pid for pid, title in descendants(process.pid).items() if part in title]


def lines_of(folder: Path) -> list[str]:
    log = folder / "log.txt"
    return log.read_text().splitlines() if log.exists() else []


def says(folder: Path, words: str) -> bool:
    return any(words in line for line in lines_of(folder))


def trains(folder: Path) -> bool:
    return bool(list(folder.glob("runs/jobs/*/checkpoints/epoch-*")))


MOMENTS: dict[str, Callable[[Path, object], bool]] = {
    "Ray starts": lambda folder, process: bool(titled(process, "gcs_server")),
    "recordings are made": lambda folder, process: says(folder, "generating"),
    "a model is pretrained": lambda folder, process: says(folder, "training on") and trains(folder),
    "jobs on one session run": lambda folder, process: says(folder, "jobs on one session") and trains(folder),
    "figures are drawn": lambda folder, process: says(folder, "drawing figures"),
}
"""A moment of a sweep -> whether it has come."""


@dataclass(frozen=True)
class Ending:
    """How a sweep ended."""

    code: int
    seconds: float
    """From the event to the end of the command."""
    lines: list[str]
    """What the command printed after the event."""
    left: dict[int, str]
    """Ids and titles of processes that the command has left behind."""
    run_status: str
    """Of the sweep's MLflow run; "" if there is none."""


def prepare(folder: Path, finished: Path, moment: str) -> tuple[str, ...]:
    """Copy what was done before `moment` from a finished sweep; returns the arguments of the command."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(finished / "sweep.yaml", folder)
    if moment in ("Ray starts", "recordings are made"):
        overrides: tuple[str, ...] = ()
    else:
        shutil.copytree(finished / "runs", folder / "runs")
        overrides = LONG_PRETRAINING if moment == "a model is pretrained" else ENDLESS
        if moment == "figures are drawn":
            overrides = ("jobs.ss_lfp.training.epochs=2",)
    return ("sweep", "sweep.yaml", *(word for value in overrides for word in ("--set", value)))


def end(folder: Path, arguments: tuple[str, ...], moment: str, event: Callable, seconds: float = 60) -> Ending:
    """Start a sweep, wait for a moment, let the event happen, and see how the sweep ends."""
    process = start(*arguments, cwd=folder)
    wait_until(lambda: MOMENTS[moment](folder, process), process)
    below, before = descendants(process.pid), len(lines_of(folder))
    began = time.monotonic()
    event(process)
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its Ray ends with it
        raise
    took = time.monotonic() - began
    left = {pid: title for pid, title in below.items() if is_alive(pid)}
    return Ending(code, took, lines_of(folder)[before:], left, run_status(folder))


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def run_status(folder: Path) -> str:
    """The status of the newest run of a sweep in MLflow."""
    database = folder / "runs" / "mlflow.db"
    if not database.exists():
        return ""
    query = "select status from runs join tags using (run_uuid) where key='raydistill.sweep' order by start_time desc"
    with sqlite3.connect(database) as db:
        rows = db.execute(query).fetchall()
    return rows[0][0] if rows else ""


def signalled(number: int) -> Callable:
    """The event that the command gets a signal."""
    return lambda process: os.kill(process.pid, number)


def killed(part: str) -> Callable:
    """The event that a process of Ray is killed."""
    return lambda process: os.kill(titled(process, part)[0], signal.SIGKILL)


EVENTS = {
    "Ctrl-C": (lambda process: os.killpg(process.pid, signal.SIGINT), 130),
    "SIGTERM": (signalled(signal.SIGTERM), 143),
    "SIGHUP": (signalled(signal.SIGHUP), 129),
    "GCS server killed": (killed("gcs_server"), 1),
    "raylet killed": (killed("/raylet/raylet"), 1),
}
"""What happens -> how it is made to happen, and the exit code that it gives."""


def main() -> None:
    # A shell lets commands in the background ignore these, and so would the commands that are started here.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", nargs="*", default=list(MOMENTS))
    parser.add_argument("--events", nargs="*", default=list(EVENTS))
    parser.add_argument("--finished", type=Path, help="folder of a finished small sweep")
    arguments = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="raydistill-ending-") as root:
        finished = arguments.finished or Path(root) / "finished"
        if not arguments.finished:
            finished.mkdir()
            (finished / "sweep.yaml").write_text(SWEEP)
            raydistill("sweep", "sweep.yaml", cwd=finished, check=0)
        for moment in arguments.moments:
            for name in arguments.events:
                event, expected = EVENTS[name]
                folder = Path(root) / f"{name} when {moment}".replace(" ", "-").replace("/", "")
                command = prepare(folder, finished, moment)
                ending = end(folder, command, moment, event)
                is_right = ending.code == expected and not ending.left and len(ending.lines) <= 2
                wrong += not is_right
                print(
                    f"{'right' if is_right else 'WRONG'}  {name} when {moment}: exit {ending.code} after "
                    f"{ending.seconds:.1f} s, {len(ending.lines)} lines, {len(ending.left)} processes left, "
                    f"run {ending.run_status or 'none'}",
                    *ending.lines,
                    *ending.left.values(),
                    sep="\n    ",
                    flush=True,
                )
                shutil.rmtree(folder)
    print(f"{wrong} wrong")


if __name__ == "__main__":
    main()
