"""A program: waits until its standard input ends, kills what is left of a local Ray and removes its folder.

    python guard.py FOLDER

It leaves the tree of processes at once, so that whoever ends all processes of a command does not end it. The process
that started Ray holds the other end, which closes when it ends, even by SIGKILL. Ray's processes end
within seconds then, except for two agents, which first try to report to Ray's ended head process.
"""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

GRACE_S = 3.0
"""How long processes may take to end by themselves."""


def main(folder: Path, driver: int) -> None:
    """Wait, kill and remove.

    Args:
        driver: the process that started Ray, which may go on without it.
    """
    sys.stdin.buffer.read()
    end = time.monotonic() + GRACE_S
    while any(processes_of_ray(folder, driver)) and time.monotonic() < end:
        time.sleep(0.1)
    for process in processes_of_ray(folder, driver):
        with contextlib.suppress(Exception):  # it has just ended
            process.kill()
            process.wait(1)
    for _ in range(5):  # a process may have written to it meanwhile
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.2)


def processes_of_ray(folder: Path, driver: int) -> Iterator:
    """This user's processes of Ray that have a file of the folder open, as each has its log there; not the driver."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid in (os.getpid(), driver) or process.uids().real != os.getuid() or not _is_ray(process.exe()):
                continue
            if any(Path(file.path).is_relative_to(folder) for file in process.open_files()):
                yield process


def _is_ray(program: str) -> bool:
    """Whether a program is one of Ray's or Python, and not, say, a pager in which the user reads a log."""
    return program == os.path.realpath(sys.executable) or "ray" in Path(program).parts


if __name__ == "__main__":
    driver_pid = os.getppid()
    if os.fork():
        os._exit(0)
    main(Path(sys.argv[1]), driver_pid)
