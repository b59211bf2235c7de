"""Reading that a library never ends, or that ends its process: what happened, as one line for its recording.

A library that hangs in C code may never give Python its turn, so nothing written in Python can stop it. `faulthandler`
can: a thread of its own ends the process unless Python puts the end off, which it does every second. If a library
crashes, `faulthandler` writes the kind of crash before the process ends. Both are written to a file of this machine
under the key of the reading. Ray starts a task again whose process has ended, because that may be the fault of the
machine. The second attempt finds the file, and raises its cause in place of a second crash or wait.
"""

import contextlib
import dataclasses
import faulthandler
import os
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from raydistill.cluster.folder import folder_of_node
from raydistill.errors import DataError
from raydistill.recordings.recording import local_bytes
from raydistill.recordings.remote import Remote

STUCK_S = 300.0
_SLOWEST_BYTES = 2e6  # a second; one call may read a whole file from a slow disk of the network
_ALIVE_S = 1.0
_FATAL = "Fatal Python error: "
WAY_OUT = "the file is probably damaged: copy it again, or look into it with the program that wrote it"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """What the reading of one recording may take. Nothing of it enters the fingerprint of a session."""

    memory_gb: float | None = None
    """Memory in GB above what the process holds before; None: see `MemoryLimit.of`."""
    stuck_s: float = STUCK_S
    """Seconds that one call of a library may take without giving Python its turn, and more for a large file."""
    key: str = ""
    """Names the reading, so that its second attempt finds how the first one ended; empty: it is not watched."""

    folder: str = ""
    """Where an attempt leaves how it ended; empty: see `folder_of_node`."""

    def fresh(self, folder: str = "") -> "Guard":
        """The same limits for a reading that is watched."""
        return dataclasses.replace(self, key=uuid.uuid4().hex, folder=folder)

    @property
    def _trace(self) -> Path:
        return Path(self.folder or folder_of_node()) / f"raydistill-{self.key}.trace"

    def forget(self) -> None:
        """Remove what an attempt on this machine left, if it was killed."""
        self._trace.unlink(missing_ok=True)

    @contextlib.contextmanager
    def over(self, paths: Sequence[Path | Remote]) -> Iterator[None]:
        """Watch what is done inside, in a process that does one reading at a time.

        Args:
            paths: what is read; the first is named in messages.

        Raises:
            DataError: an attempt before this one ended its process.
        """
        if not self.key:
            yield
            return
        if cause := self.cause(paths):
            raise DataError(cause)
        was_enabled, limit_s, is_over = faulthandler.is_enabled(), self._limit_s(paths), threading.Event()
        with open(os.open(self._trace, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w") as trace:

            def put_off() -> None:
                faulthandler.dump_traceback_later(limit_s, exit=True, file=trace)

            def keep_putting_off() -> None:
                while not is_over.wait(_ALIVE_S):
                    put_off()

            faulthandler.enable(trace, all_threads=False)
            put_off()
            thread = threading.Thread(target=keep_putting_off, daemon=True)
            thread.start()
            try:
                yield
            finally:
                is_over.set()
                thread.join()
                faulthandler.cancel_dump_traceback_later()
                faulthandler.disable()
                if was_enabled and sys.__stderr__ is not None:
                    faulthandler.enable(sys.__stderr__, all_threads=False)
                self.forget()

    def cause(self, paths: Sequence[Path | Remote]) -> str:
        """How an attempt on this machine ended its process, in one line; empty: that is not known. It is asked once."""
        try:
            first = self._trace.read_text(errors="replace").partition("\n")[0]
        except OSError:
            return ""
        self.forget()
        if first.startswith("Timeout"):
            return (
                f"{paths[0]}: a library was stopped that had read in it for {self._limit_s(paths):.0f} s without an "
                f"end; {WAY_OUT}"
            )
        if first.startswith(_FATAL):
            return f"{paths[0]}: a library crashed while it read it ({first.removeprefix(_FATAL).lower()}); {WAY_OUT}"
        return ""

    def _limit_s(self, paths: Sequence[Path | Remote]) -> float:
        return self.stuck_s + local_bytes(paths) / _SLOWEST_BYTES


UNWATCHED = Guard()
"""The default limits, for a process whose end nobody waits for."""


def ended(path: Path | Remote) -> str:
    """The line for a reading whose process ended, if nothing says how."""
    return (
        f"{path}: the process that read it was ended from outside, perhaps because memory was short; use fewer "
        f"`--workers`. If it happens again, {WAY_OUT}"
    )
