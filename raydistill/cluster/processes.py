"""The processes of a local Ray: a watch on its head, and the end of those that are left over."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from raydistill.cluster.guard import processes_of_ray
from raydistill.cluster.threads import any_running
from raydistill.interrupts import CONTINUES, Interrupted, end_at_once, kept, throw

HEAD = {"gcs_server": "GCS server", "raylet": "raylet"}
"""The processes without which Ray cannot work."""
CHECK_S = 0.5
UNWIND_S = 20.0
"""Seconds in which the driver must end after the head was lost; then it is ended."""


@contextlib.contextmanager
def supervised(start: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """A local Ray, of which no process is left after an interrupt, and whose lost head is an interrupt.

    Args:
        start: starts Ray.
        stop: stops it. It is not called while another thread may use Ray: the processes are killed instead, and this
            process cannot connect to Ray again.
    """
    watch = None
    try:
        with kept():  # Ray sets its own handler of SIGTERM
            _start(start)
        watch = HeadWatch()
        try:
            yield
        finally:
            watch.over.set()
            if watch.lost or any_running():  # without its head, Ray would wait for it and then abort this process
                end_left_over(watch.logs, wait_s=0)
            else:
                stop()
    except KeyboardInterrupt:
        end_left_over(watch.logs if watch else None, wait_s=3)
        raise


def _start(start: Callable[[], None]) -> None:
    try:
        start()
    except Exception as err:
        raise Interrupted(
            f"Ray could not be started ({next(iter(str(err).splitlines()), type(err).__name__)})", code=1
        ) from err


class HeadWatch:
    """Interrupts the main thread when a process of the local Ray's head has ended.

    Without it, the driver would wait for a minute, and Ray would then abort it.
    """

    def __init__(self) -> None:
        from ray._private import worker

        node = worker._global_node
        assert node, "a local Ray was started"
        processes = node.all_processes
        self.processes: dict = {name: processes[name][0].process for name in HEAD if name in processes}
        self.lost: str = ""
        """Name of the process that has ended, "" while all of them run."""
        self.logs: Path = Path(node.get_logs_dir_path())
        """Folder of the files to which all processes of this Ray print."""
        self.over: threading.Event = threading.Event()
        """Set when Ray is about to be stopped."""
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.over.wait(CHECK_S):
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            if ended and not self.over.is_set():  # if it is set now, they were stopped since it was waited for
                self.lost = HEAD[ended[0]]
                message = f"the {self.lost} of Ray has ended (was it killed, or is memory short?)"
                throw(Interrupted(message, code=1))
                if not self.over.wait(UNWIND_S):
                    end_left_over(self.logs, wait_s=0)
                    end_at_once(1, f"{message}; {CONTINUES}")
                return


def end_left_over(logs: Path | None, wait_s: float) -> None:
    """Kill the processes of this driver that have not ended by themselves after `wait_s` seconds.

    Args:
        logs: folder to which the processes of its Ray print, by which those are found whose parent has ended.
    """
    processes = set(psutil.Process().children(recursive=True))
    if logs:
        processes |= set(processes_of_ray(logs, os.getpid()))
    _, alive = psutil.wait_procs(processes, timeout=wait_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=3)
