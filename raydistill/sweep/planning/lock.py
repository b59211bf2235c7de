"""A lock on a folder, held by one process at a time. The operating system releases it when the process ends."""

import contextlib
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from raydistill.errors import RaydistillError
from raydistill.files import write_atomically

LOCK, HOLDER = "driver.lock", "driver.txt"
"""The locked file, and who holds the lock: opening a locked file empties it on some systems."""


@contextlib.contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is created if it does not exist.

    Raises:
        RaydistillError: another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / LOCK, blocking=False), folder / HOLDER
    try:
        lock.acquire()
    except Timeout:
        raise RaydistillError(
            f"{folder}: another raydistill process is using this runs folder ({_read(holder) or 'just started'}); wait "
            "for it to finish, or name another folder with --runs"
        ) from None
    try:
        started = f"{datetime.now():%Y-%m-%d %H:%M}"
        write_atomically(holder, f"process {os.getpid()} on {socket.gethostname()} since {started}".encode())
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read(holder: Path) -> str:
    return holder.read_text() if holder.exists() else ""
