"""A lease of a folder in an object store: one command at a time runs jobs there, wherever it runs.

Each command that wants the lease writes an object of its own and then lists those of the others; whoever sees another
living one withdraws. At least the later of two sees the other, so that two never have it, and no conditional request is
needed. The holder writes its object again every few seconds; when it was not written for `EXPIRES_S`, whoever waits
takes over. Ages are differences of times of the store, so no clocks are compared. A holder that finds another one, for
example because it was cut off for longer, has lost the lease, and stops.
"""

import contextlib
import json
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psutil

from raydistill.errors import RaydistillError
from raydistill.object_store import StorageError, StoredFolder, without_options

FOLDER = "leases"
BEAT_S, EXPIRES_S = 10.0, 60.0
"""How often the holder writes its object, and after which time it is taken for dead."""


class LeaseLostError(RaydistillError):
    """Another command has taken the runs folder over."""


@dataclass(frozen=True)
class _Other:
    """The object of another command."""

    mtime_ns: int
    about: Mapping[str, Any]

    @property
    def holds(self) -> bool:
        """Whether it has the lease, and not only asks for it."""
        return bool(self.about.get("holds"))

    def __str__(self) -> str:
        return f"process {self.about.get('pid')} on {self.about.get('host')} since {self.about.get('since')}"


class Lease:
    """The lease of a folder, once it was acquired."""

    def __init__(self, store: StoredFolder):
        self._store, self._name = store, f"{FOLDER}/{secrets.token_hex(16)}.json"
        about = {"pid": os.getpid(), "host": socket.gethostname(), "started": psutil.Process().create_time()}
        self._about = about | {"since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
        self._ended = threading.Event()
        self._lost_to = ""

    def acquire(self, tell: Callable[[str], None], wait: Callable[[float], object] = time.sleep) -> None:
        """Take the lease. A holder that may be dead is waited for until its lease ends; a living one is not.

        Raises:
            RaydistillError: another command has it.
            StorageError: the store refuses, or cannot be reached.
        """
        first_seen: dict[str, int] = {}
        told = False
        while True:
            self._write(holds=False)
            others = self._others()
            if not others:
                self._write(holds=True)
                return
            self._store.delete(self._name)
            for name, other in others.items():
                if other.holds and first_seen.setdefault(name, other.mtime_ns) != other.mtime_ns:
                    raise self._refusal(other)
                if other.holds and not told:
                    tell(f"waiting for up to {EXPIRES_S:g} s: {other} has used these runs, and may have ended")
                    told = True
            # Two that ask at the same time would see each other again if they waited equally long.
            wait(random.uniform(0.2, 0.6) * BEAT_S)

    def beat(self) -> None:
        """Write the heartbeat, and see whether another command has taken over since the last one."""
        try:
            self._write(holds=True)
            holder = next((other for other in self._others().values() if other.holds), None)
            if holder:
                self._lost_to = str(holder)
                self._store.delete(self._name)
        except StorageError:  # tried again; jobs notice by themselves
            pass

    def keep(self) -> None:
        """Write heartbeats until the lease is released or lost; in a thread of its own."""
        while not self._ended.wait(BEAT_S) and not self._lost_to:
            self.beat()

    def check(self) -> None:
        """Raise LeaseLostError if another command has the lease now."""
        if self._lost_to:
            raise LeaseLostError(
                f"{without_options(self._store.uri)}: {self._lost_to} has taken these runs over, while this command "
                "did not reach them; it continues the work, and what was finished is kept"
            )

    def release(self) -> None:
        """Let others have the lease."""
        self._ended.set()
        with contextlib.suppress(StorageError):
            self._store.delete(self._name)

    def _write(self, holds: bool) -> None:
        self._store.write(self._name, json.dumps(self._about | {"holds": holds}).encode(), 0.0)

    def _others(self) -> dict[str, _Other]:
        """The objects of other commands that may be alive; those of dead ones are deleted."""
        found = self._store.list(FOLDER, 0.0)
        now = max((file.mtime_ns for file in found.values()), default=0)  # that of the own object, just written
        others = {name: _Other(file.mtime_ns, self._read(name)) for name, file in found.items() if name != self._name}
        dead = [n for n, other in others.items() if now - other.mtime_ns > EXPIRES_S * 1e9 or _has_ended(other.about)]
        for name in dead:
            self._store.delete(name)
        return {name: other for name, other in others.items() if name not in dead}

    def _read(self, name: str) -> dict:
        try:
            about = json.loads(self._store.read(name, 0.0) or b"{}")
        except ValueError:
            return {}
        return about if isinstance(about, dict) else {}

    def _refusal(self, holder: _Other) -> RaydistillError:
        return RaydistillError(
            f"{without_options(self._store.uri)}: another raydistill process is using these runs ({holder}); wait for "
            "it to finish, or name another address with --runs"
        )


def _has_ended(about: Mapping[str, Any]) -> bool:
    """Whether a process was one of this machine, and has ended."""
    if about.get("host") != socket.gethostname():
        return False
    try:
        # Another process may have been given its number.
        return abs(psutil.Process(int(about["pid"])).create_time() - float(about["started"])) > 5.0
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False


_held: dict[str, Lease] = {}
"""Address -> the lease that this process has."""


@contextlib.contextmanager
def held(uri: str, tell: Callable[[str], None]) -> Iterator[None]:
    """Have the lease of a folder in an object store.

    Args:
        tell: shows a line while a dead holder's lease runs out.
    Raises:
        RaydistillError: another command has it, or the store refuses.
    """
    lease = Lease(StoredFolder(uri))
    lease.acquire(tell)
    _held[uri] = lease
    threading.Thread(target=lease.keep, name="lease", daemon=True).start()
    try:
        yield
    finally:
        del _held[uri]
        lease.release()


def check(uri: str) -> None:
    """Raise LeaseLostError if this process had the lease of an address, and another one has it now."""
    if uri in _held:
        _held[uri].check()


def is_held(uri: str) -> bool:
    """Whether a command has the lease of an address, or was killed while it had it."""
    store = StoredFolder(uri)
    contents = [store.read(name, 0.0) for name in store.list(FOLDER, 0.0)]
    return any(b'"holds": true' in content for content in contents if content)
