"""Locks of a store, so that two processes never write one session, or compile the catalogue, at the same time.

They exist on local disks only. In an object store, two ingests of one session must not run at the same time.
"""

from contextlib import AbstractContextManager, nullcontext

from raydistill.errors import DataError
from raydistill.files import Folder
from raydistill.locks import held_by_one

LOCKS = "locks"
"""The folder of the locked files, and beside each, while it is locked, of a text that says who holds it."""


def writing(folder: Folder, name: str, wait_s: float = 0.0) -> AbstractContextManager[None]:
    """Hold the lock of a session, or of the catalogue.

    Args:
        wait_s: how long to wait for another process to release it.

    Raises:
        DataError: another process holds it; the message says which.
    """
    if folder.path is None:
        return nullcontext()
    return held_by_one(
        folder.path / folder.held(f"{LOCKS}/{name}.lock"),
        folder.path / folder.held(f"{LOCKS}/{name}.txt"),
        lambda who: DataError(
            f"store {folder.uri}: {name} is being written by {who or 'a process that has just started'}; wait for it "
            "to end, then run this command again"
        ),
        wait_s,
    )
