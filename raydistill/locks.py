"""Locks that one process holds at a time, each with a text beside it that says who does."""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from raydistill.errors import RaydistillError
from raydistill.files import write_atomically


@contextlib.contextmanager
def held_by_one(lock: Path, holder: Path, refusal: Callable[[str], Exception], wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock. The operating system releases it when the process ends, however it ends.

    Args:
        lock: the file that is locked; its folder is created if it does not exist.
        holder: another file, which says who holds the lock: opening a locked file empties it on some systems.
        refusal: the error that is raised if another process holds the lock, from the text about that process, or ""
            if it has just started.
        wait_s: how long to wait for another process to release it.

    Raises:
        RaydistillError: the folder of the lock cannot be written.
    """
    locked = FileLock(lock)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        locked.acquire(timeout=wait_s)
    except Timeout:
        raise refusal(_who(holder)) from None
    except PermissionError:
        raise RaydistillError(f"{lock.parent}: nothing can be written there, so this command cannot run") from None
    try:
        since = f"{datetime.now():%Y-%m-%d %H:%M:%S}"
        write_atomically(holder, f"process {os.getpid()} on {socket.gethostname()} since {since}".encode())
        yield
    finally:
        with contextlib.suppress(OSError):  # the folder may be read-only now, which must not hide what ended the block
            holder.unlink()
        locked.release()


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock; False also where nothing can be locked."""
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _who(holder: Path) -> str:
    """What is known of the process that holds a lock, which may end in this moment."""
    try:
        return holder.read_text()
    except OSError:
        return ""
