"""The lock of a runs folder, so that no job is run or logged by two processes."""

from contextlib import AbstractContextManager
from pathlib import Path

from raydistill.errors import RaydistillError
from raydistill.locks import held_by_one

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
