"""Locks of a store, so that two processes never write one session, or compile the catalogue, at the same time.

They exist on local disks only. In an object store, two ingests of one session must not run at the same time.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from filelock import FileLock, Timeout

from raydistill.errors import DataError
from raydistill.files import Folder

LOCKS = "locks"
"""The folder of the locked files, and beside each, while it is locked, of a text that says who holds it."""


@contextmanager
def writing(folder: Folder, name: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock of a session, or of the catalogue. The system releases it when the process ends, however it ends.

    Args:
        wait_s: how long to wait for another process to release it.

    Raises:
        DataError: another process holds it; the message says which.
    """
    if folder.path is None:
        yield
        return
    lock, holder = f"{LOCKS}/{name}.lock", folder.path / LOCKS / f"{name}.txt"
    path = folder.path / folder.held(lock)
    path.parent.mkdir(parents=True, exist_ok=True)
    locked = FileLock(path)
    try:
        locked.acquire(timeout=wait_s)
    except Timeout:
        who = holder.read_text() if holder.exists() else "a process that has just started"
        raise DataError(
            f"store {folder.uri}: {name} is being written by {who}; wait for it to end, then run this command again"
        ) from None
    try:
        since = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()} since {since}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        locked.release()
