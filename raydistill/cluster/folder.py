"""The folder of a local Ray: sockets, logs and spilled objects, which only its owner can read, and only while it runs.

Ray would use /tmp/ray, which every user of the machine can read, and would leave it behind. A second process removes
the folder when this one has ended, however it ended, and kills what was left of Ray: two agents of a Ray whose driver
was killed would wait for a minute.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX, LOCK = "rd-", "lock"
_LONGEST_SOCKET = 107
"""Bytes of the path of a socket, on Linux."""
_SOCKET = "session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
"""Ray's longest path in the folder."""
_PATIENCE_S, _NEW_S = 20.0, 60.0


@contextlib.contextmanager
def ray_folder() -> Iterator[Path]:
    """A new folder in one of mode 0700; both are removed at the end or when this process dies."""
    place = Path(place_for_ray())
    _remove_stale(place)
    private = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    with FileLock(private / LOCK):
        # -I: the guard imports nothing from the working folder. In its own session it does not receive Ctrl-C.
        command = [sys.executable, "-I", str(Path(__file__).with_name("guard.py")), str(private)]
        guard = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
        assert guard.stdin is not None
        guard.wait()  # what goes on is its child
        try:
            yield private / "r"  # Ray would open `private` itself to every user
        finally:
            guard.stdin.close()  # as the end of this process does
            end = time.monotonic() + _PATIENCE_S
            while private.exists() and time.monotonic() < end:
                time.sleep(0.05)


def _remove_stale(place: Path) -> None:
    """Remove the folders of processes that were killed together with their guard."""
    for folder in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):  # it has just gone, or its process lives
            is_new = time.time() - folder.stat().st_mtime < _NEW_S  # its lock may not be held yet
            if is_new or folder.stat().st_uid != os.getuid() or not (folder / LOCK).exists():
                continue
            with FileLock(folder / LOCK, blocking=False):
                shutil.rmtree(folder, ignore_errors=True)


def folder_of_node() -> Path:
    """Ray's folder on this machine, for files that nobody needs when Ray has ended; without Ray, any temporary folder.

    All workers on a machine, and the process that started a local Ray, have the same one.
    """
    if "ray" in sys.modules:
        from ray._private import worker

        if worker._global_node is not None:
            return Path(worker._global_node.get_session_dir_path())
    return Path(tempfile.gettempdir())


def place_for_ray() -> str:
    """Where temporary files belong, or /tmp if the path of Ray's sockets would be too long there."""
    place = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    longest = Path(place).absolute() / f"{PREFIX}12345678" / "r" / _SOCKET
    return place if len(os.fsencode(longest)) <= _LONGEST_SOCKET else "/tmp"
