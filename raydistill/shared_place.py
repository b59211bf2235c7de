"""The runs folder as the doctor tries it on every node: on a disk that they share, or in an object store."""

import contextlib
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from raydistill import mirrored
from raydistill.errors import one_line
from raydistill.object_store import StorageError, StoredFolder, is_uri

SEEN_WITHIN_S = 5.0
"""Time in which a file of one machine must be seen on another; network disks keep what they saw for some seconds."""


class SharedPlace:
    """The runs folder as all nodes should see it: on a disk, or in an object store.

    Args:
        runs: a path, or an address.
    """

    def __init__(self, runs: str):
        self.store = StoredFolder(runs) if is_uri(runs) else None
        self.folder = mirrored.register(runs) if self.store else Path(runs)

    def write(self, name: str) -> str:
        """Write an empty file; returns why this is not possible.

        A missing folder is not made: that would hide the fault.
        """
        try:
            if self.store:
                self.store.write(name, b"", patience_s=0)
            else:
                (self.folder / name).touch()
        except (OSError, StorageError) as err:
            return getattr(err, "strerror", None) or one_line(err)
        return ""

    def waits_for(self, name: str) -> bool:
        """Whether a file is there, after some time if need be."""
        end = time.monotonic() + SEEN_WITHIN_S
        while not self._has(name):
            if time.monotonic() > end:
                return False
            time.sleep(0.2)
        return True

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; those that are not there are left out."""
        for name in names:
            if self.store:
                with contextlib.suppress(StorageError):
                    self.store.delete(name)
            else:
                (self.folder / name).unlink(missing_ok=True)

    def free(self) -> int:
        """Bytes left on the disk on which this machine keeps the runs, or its copy of them."""
        existing = (folder for folder in (self.folder, *self.folder.parents) if folder.exists())
        folder = next(existing) if self.store else self.folder
        return shutil.disk_usage(folder).free if folder.exists() else 0

    def _has(self, name: str) -> bool:
        if not self.store:
            return (self.folder / name).exists()
        with contextlib.suppress(StorageError):
            return self.store.read(name, patience_s=0) is not None
        return False
