"""Who writes into a folder: one process at a time, known by a token in the folder.

A process claims a folder before it writes there. It is refused while another living process of the same machine has
the folder. A process that is dead or stopped, or that runs on another machine, loses the folder to the new one; if it
was only taken for dead, it finds the other token before its next write, and stops there.
"""

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil
from filelock import FileLock

from raydistill.errors import RaydistillError
from raydistill.files import read_mapping, write_json

OWNER, CLAIM = ".owner", ".claim.lock"
"""The token with its process, and the lock that is held for the moment of a claim. Hidden files are not results."""
PATIENCE_S = 30.0
"""How long a claim waits for another claim of the same folder."""

_tokens: dict[str, str] = {}
"""Folder -> the token with which this process claimed it."""


class LostFolderError(RaydistillError):
    """Another process has claimed the folder that this one was writing to."""


def claim(folder: Path, by_force: bool = False) -> None:
    """Make this process the only one that may write into `folder`, which is created if it does not exist.

    Args:
        by_force: take the folder also from a living process, which finds out before its next write.
    Raises:
        RaydistillError: a living process of this machine has the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / CLAIM, timeout=PATIENCE_S):
        owner = read_mapping(folder / OWNER)
        if owner and not by_force and _is_running_elsewhere(owner):
            raise RaydistillError(
                f"{folder}: process {owner['pid']} on {owner['host']} has been running this job since "
                f"{owner.get('since')}; wait for it to end, or end it, then run the command again"
            )
        process, token = psutil.Process(), secrets.token_hex(16)
        about = {"pid": process.pid, "host": socket.gethostname(), "started": process.create_time()}
        write_json(folder / OWNER, about | {"since": f"{datetime.now():%Y-%m-%d %H:%M:%S}", "token": token})
        _tokens[_name(folder)] = token


def release(folder: Path) -> None:
    """Let others claim the folder; does nothing if this process does not have it, or no longer has it."""
    token = _tokens.pop(_name(folder), None)
    if token is not None and (read_mapping(folder / OWNER) or {}).get("token") == token:
        (folder / OWNER).unlink(missing_ok=True)


def check_owner(folder: Path) -> None:
    """Call this before each write into a folder; a folder that this process never claimed is not checked.

    Raises:
        LostFolderError: another process has claimed the folder since.
    """
    token = _tokens.get(_name(folder))
    if token is not None and (read_mapping(folder / OWNER) or {}).get("token") != token:
        raise LostFolderError(
            f"{folder}: another process has taken over this job, because this one ({os.getpid()}) was taken for dead; "
            "its own results are dropped"
        )


def is_owner(folder: Path) -> bool:
    """Whether this process has claimed the folder; another one may have taken it since."""
    return _name(folder) in _tokens


def is_busy(folder: Path) -> bool:
    """Whether this process, or another one of this machine that lives, writes into the folder."""
    return is_owner(folder) or _is_running_elsewhere(read_mapping(folder / OWNER) or {})


def token_of(folder: Path) -> str | None:
    """The token with which this process has claimed the folder; None if it has not."""
    return _tokens.get(_name(folder))


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Have a folder for some time; an earlier claim of this process stays, a claim of another one is overridden."""
    if is_owner(folder):
        yield
        return
    claim(folder, by_force=True)
    try:
        yield
    finally:
        release(folder)


def _name(folder: Path) -> str:
    return os.path.abspath(folder)


def _is_running_elsewhere(owner: dict) -> bool:
    """Whether the owner is another process of this machine that lives and is not stopped."""
    if owner.get("host") != socket.gethostname() or owner.get("pid") == os.getpid():
        return False
    try:
        process = psutil.Process(int(owner["pid"]))
        # Another process may have been given the number of a dead one. Clocks are corrected by a second now and then.
        same = abs(process.create_time() - float(owner["started"])) < 5.0
        return same and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED, psutil.STATUS_DEAD)
    except (psutil.Error, KeyError, TypeError, ValueError, OverflowError):
        return False
