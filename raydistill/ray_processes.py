"""The processes of a local Ray: a watch on its head, and the end of those that are left over."""

import contextlib
import os
import threading
import uuid
from collections.abc import Iterator

import psutil

from raydistill.interrupts import Interrupted, end_at_once, throw

MARK = "RAYDISTILL_DRIVER"
"""Environment variable that all processes of one driver's Ray inherit."""
HEAD = {"gcs_server": "GCS server", "raylet": "raylet"}
"""The processes without which Ray cannot work."""
CHECK_S = 0.5
UNWIND_S = 30.0
"""Seconds in which the driver must end after the head was lost; then it is ended."""


@contextlib.contextmanager
def marked() -> Iterator[None]:
    """Mark the processes that are started from now on, so that `end_left_over` finds them."""
    os.environ[MARK] = uuid.uuid4().hex
    try:
        yield
    finally:
        os.environ.pop(MARK, None)


class HeadWatch:
    """Interrupts the main thread when a process of the local Ray's head has ended.

    Without it, the driver would wait for a minute, and Ray would then abort it.
    """

    def __init__(self):
        from ray._private import worker

        node = worker._global_node
        assert node, "a local Ray was started"
        processes = node.all_processes
        self.processes = {name: processes[name][0].process for name in HEAD if name in processes}
        self.lost = ""
        """Name of the process that has ended, "" while all of them run."""
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def end(self) -> None:
        """Stop watching, because Ray is about to be shut down or the driver ends."""
        self.over.set()

    def _watch(self) -> None:
        while not self.over.wait(CHECK_S):
            if ended := [name for name, process in self.processes.items() if process.poll() is not None]:
                self.lost = HEAD[ended[0]]
                throw(Interrupted(f"the {self.lost} of Ray has ended (was it killed, or is memory short?)", code=1))
                if not self.over.wait(UNWIND_S):
                    end_left_over(wait_s=0)
                    end_at_once(1)
                return


def end_left_over(wait_s: float) -> None:
    """Kill the processes of this driver's Ray that have not ended by themselves after `wait_s` seconds."""
    _, alive = psutil.wait_procs(_marked(os.environ.get(MARK)), timeout=wait_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=3)


def _marked(mark: str | None) -> list[psutil.Process]:
    """The other processes of this user with this mark in their environment."""
    found = []
    for process in psutil.process_iter() if mark else ():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
    return found
