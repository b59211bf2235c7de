"""The lock of a runs folder, so that no job is run or logged by two processes."""

from contextlib import AbstractContextManager
from pathlib import Path

from raydistill.errors import RaydistillError
from raydistill.locks import held_by_one, is_held

LOCK, HOLDER = "driver.lock", "driver.txt"


def exclusive_lock(folder: Path) -> AbstractContextManager[None]:
    """Hold the lock of a folder, which is created if it does not exist.

    Raises:
        RaydistillError: another process holds the lock.
    """
    return held_by_one(
        folder / LOCK,
        folder / HOLDER,
        lambda who: RaydistillError(
            f"{folder}: another raydistill process is using this runs folder ({who or 'just started'}); wait for it to "
            "finish, or name another folder with --runs"
        ),
    )


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder now."""
    return is_held(folder / LOCK)
