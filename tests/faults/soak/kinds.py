"""The kinds of faults. Each is applied to a command that runs, and undone before the same command is run again."""

import os
import random
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.commands import COMMAND
from tests.faults.killing import descendants
from tests.faults.soak.tasks import Task

PAUSE_S = 12.0
"""How long a process is stopped, and how long a database stays locked."""
CLOCK = Path(__file__).with_name("clock.c")


@dataclass
class Run:
    """A task in a folder of its own, its command while it runs, and what undoes its fault."""

    task: Task
    folder: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    undo: ExitStack = field(default_factory=ExitStack)
    process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start the command; its output is appended to log.txt, a terminal of its own."""
        with open(self.folder / "log.txt", "a") as log:
            self.process = subprocess.Popen(
                [*COMMAND, *self.task.command],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self.environment,
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None


Fault = Callable[[Run, random.Random], bool]
"""Applies the fault; False if there was nothing to apply it to."""
Setup = Callable[[Run], bool]
"""What must be there before the command starts; False if this machine cannot have it."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault and the tasks that it is tried on."""

    fault: Fault
    tasks: tuple[str, ...] = ("sweep", "search", "ingest")
    setup: Setup = lambda run: True


# ---- Processes ----


def _victim(run: Run, title: str, rng: random.Random, wait_s: float = 30) -> int | None:
    """The id of one of the command's processes with this title, as soon as there is one."""
    end = time.monotonic() + wait_s
    while run.runs() and time.monotonic() < end:
        below = descendants(run.pid)
        pids = [pid for pid, name in below.items() if title in name and "ray::IDLE" not in name]
        if pids:
            return rng.choice(sorted(pids))
        time.sleep(0.02)
    return None


def _send(pid: int | None, number: signal.Signals) -> bool:
    try:
        if pid is not None:
            os.kill(pid, number)
    except ProcessLookupError:
        return False
    return pid is not None


def kill(title: str) -> Fault:
    """Kill a process with this title; an empty title means the command itself."""
    return lambda run, rng: _send(_victim(run, title, rng) if title else run.pid, signal.SIGKILL)


def pause(title: str) -> Fault:
    """Stop a process, and let it go on after some seconds."""

    def fault(run: Run, rng: random.Random) -> bool:
        pid = _victim(run, title, rng) if title else run.pid
        if not _send(pid, signal.SIGSTOP):
            return False
        timer = threading.Timer(PAUSE_S, _send, (pid, signal.SIGCONT))
        timer.start()
        run.undo.callback(timer.join)
        return True

    return fault


def send(number: signal.Signals) -> Fault:
    """A signal to the command, as Ctrl-C, Slurm or a closed terminal send it."""
    return lambda run, rng: _send(run.pid, number)


# ---- Disk ----


def small_disk(run: Run) -> bool:
    """A disk of its own for the folder that the command fills."""
    place = run.folder / run.task.works_in
    place.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], capture_output=True)
    return mounted.returncode == 0


def fill_disk(run: Run, rng: random.Random) -> bool:
    """Leave some kilobytes free."""
    place = run.folder / run.task.works_in
    free = shutil.disk_usage(place).free - rng.choice((0, 4_000, 150_000))
    filler = place / "filler"
    filler.write_bytes(b"\0" * max(0, free))
    run.undo.callback(filler.unlink, missing_ok=True)
    return True


def _finished_file(run: Run, rng: random.Random) -> Path | None:
    """A file of a finished job or of a stored session, as soon as there is one."""
    markers = "runs/jobs/*/_SUCCESS" if run.task.works_in == "runs" else "store/segments/*/session.json"
    while run.runs():
        folders = sorted(path.parent for path in run.folder.glob(markers))
        if folders:
            files = sorted(path for path in rng.choice(folders).iterdir() if path.is_file() and path.stat().st_size)
            return rng.choice(files) if files else None
        time.sleep(0.02)
    return None


def truncate_file(run: Run, rng: random.Random) -> bool:
    """Cut a finished file at a random place."""
    file = _finished_file(run, rng)
    if file is not None:
        os.truncate(file, rng.randrange(file.stat().st_size))
    return file is not None


def flip_bit(run: Run, rng: random.Random) -> bool:
    """Flip one bit of a finished file."""
    file = _finished_file(run, rng)
    if file is None:
        return False
    data = bytearray(file.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    file.write_bytes(data)
    return True


def move_folder(run: Run, rng: random.Random) -> bool:
    """Interrupt the command, and move everything to another place."""
    _send(run.pid, signal.SIGINT)
    assert run.process is not None
    run.process.wait(120)
    moved = run.folder.with_name(f"{run.folder.name}-moved")
    run.folder.rename(moved)
    run.folder = moved
    return True


# ---- MLflow ----


def lock_database(run: Run, rng: random.Random) -> bool:
    """Hold a lock on MLflow's database."""
    database = run.folder / "runs" / "mlflow.db"
    while not database.exists():
        if not run.runs():
            return False
        time.sleep(0.02)
    connection = sqlite3.connect(database, timeout=30, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False
    timer = threading.Timer(PAUSE_S, connection.close)
    timer.start()
    run.undo.callback(timer.join)
    return True


def start_server(run: Run) -> bool:
    """An MLflow server of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run.environment |= {
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}",
        "SOAK_DATABASE": str(run.folder / "server.db"),
    }
    os.environ["SOAK_DATABASE"] = run.environment["SOAK_DATABASE"]
    _serve(run)
    return True


def _serve(run: Run) -> None:
    port = run.environment["MLFLOW_TRACKING_URI"].rpartition(":")[2]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{run.folder}/server.db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(run.folder / "server-artifacts")]
    with open(run.folder / "server.txt", "a") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    run.environment["SOAK_SERVER"] = str(server.pid)
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the MLflow server did not start")


def stop_server(run: Run, rng: random.Random) -> bool:
    """Kill the server with its workers, and start it again before the command is run again."""
    end_server(run)
    run.undo.callback(_serve, run)
    return True


def end_server(run: Run) -> None:
    """Kill the server, if the run has one."""
    if "SOAK_SERVER" in run.environment:
        for pid in (*descendants(int(run.environment["SOAK_SERVER"])), int(run.environment["SOAK_SERVER"])):
            _send(pid, signal.SIGKILL)


# ---- Clock ----


def own_clock(run: Run) -> bool:
    """A clock for the command and all processes that it starts."""
    library, offset = run.folder / "clock.so", run.folder / "clock"
    offset.write_bytes(struct.pack("l", 0))
    built = subprocess.run(["cc", "-shared", "-fPIC", "-o", library, CLOCK], capture_output=True)
    run.environment |= {"LD_PRELOAD": str(library), "SOAK_CLOCK": str(offset)}
    return built.returncode == 0


def set_clock_back(run: Run, rng: random.Random) -> bool:
    """Set the clock back by up to two days."""
    with open(run.folder / "clock", "r+b") as file:
        file.write(struct.pack("l", rng.randrange(2, 2 * 86400)))
    return True


TRAINING = ("sweep", "search")
KINDS: dict[str, Kind] = {
    "kill the command": Kind(kill("")),
    "kill a worker": Kind(kill("ray::")),
    "kill a training worker": Kind(kill("ray::RayTrainWorker"), ("sweep",)),
    "kill a trial": Kind(kill("ray::ImplicitFunc"), TRAINING),
    "kill the raylet": Kind(kill("/raylet/raylet")),
    "kill Ray's head": Kind(kill("gcs_server")),
    "kill an agent": Kind(kill("agent")),
    "kill the log monitor": Kind(kill("log_monitor")),
    "stop the command": Kind(pause("")),
    "stop a worker": Kind(pause("ray::")),
    "stop the raylet": Kind(pause("/raylet/raylet")),
    "SIGINT": Kind(send(signal.SIGINT)),
    "SIGTERM": Kind(send(signal.SIGTERM)),
    "SIGHUP": Kind(send(signal.SIGHUP)),
    "disk full": Kind(fill_disk, setup=small_disk),
    "database locked": Kind(lock_database, TRAINING),
    "server away": Kind(stop_server, TRAINING, start_server),
    "file truncated": Kind(truncate_file),
    "bit flipped": Kind(flip_bit),
    "clock set back": Kind(set_clock_back, setup=own_clock),
    "folder moved": Kind(move_folder),
}
