"""A Ray cluster on this machine whose nodes share no disk, for runs in an object store.

The head is in the namespaces of this process. Each other node has namespaces of its own: it sees an empty disk in the
place of the cluster's folder, which holds its home and the files of Ray, only its own processes, and its own name. The
head has one CPU, for jobs on one session and for reading, and each other node one.
"""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.paths import ROOT
from tests.tracking.servers import free_port

RAY = str(Path(sys.executable).with_name("ray"))
_START = [RAY, "start", "--block", "--num-cpus=1", "--disable-usage-stats"]
STARTED = "Ray runtime started"
"""What `ray start` prints when the node has joined."""
_OWN_DISK = """hostname "$1" && mount -t tmpfs tmpfs "$2" && mount -t tmpfs tmpfs /dev/shm && mkdir "$2/home" || exit 1
shift 2
exec "$@"
"""


@dataclass
class Cluster:
    """The cluster as a test sees it."""

    folder: Path
    """What each node has for itself: the home, files of Ray, and what a command writes."""
    address: str
    environment: dict[str, str]
    """For commands on the head's machine."""
    processes: list[subprocess.Popen] = field(default_factory=list)
    """The head, and then the other nodes in the order in which they were added."""

    def add(self) -> None:
        """Start another node; it joins some seconds later."""
        name = f"node{len(self.processes)}"
        own_namespaces = ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
        command = ["sh", "-c", _OWN_DISK, "sh", name, str(self.folder), *_START, f"--address={self.address}"]
        self._start([*own_namespaces, *command])

    def kill(self, number: int) -> None:
        """Kill all processes of a node at once."""
        self.processes[number].kill()  # the namespaces end with their first process
        self.processes[number].wait()

    def disk(self, number: int) -> Path:
        """The folder of a node as the node sees it."""
        (first,) = psutil.Process(self.processes[number].pid).children()
        return Path(f"/proc/{first.pid}/root{self.folder}")

    def start_head(self) -> None:
        """Start the head of a new cluster."""
        port = self.address.rpartition(":")[2]
        head = [*_START, "--head", f"--port={port}", "--labels=pool=sessions", "--include-dashboard=false"]
        self._start(head)

    def wait_for_nodes(self, seconds: float = 300) -> None:
        """Wait until all nodes that run have joined."""
        end = time.monotonic() + seconds
        for number, process in enumerate(self.processes):
            log = self._log(number)
            while process.returncode != -signal.SIGKILL and STARTED not in log.read_text():
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.2)

    def _log(self, number: int) -> Path:
        return self.folder / f"node{number}.txt"

    def _start(self, command: list[str]) -> None:
        log = open(self._log(len(self.processes)), "w")  # noqa: SIM115 - the process keeps it open
        self.processes.append(
            subprocess.Popen(
                [*command, f"--temp-dir={self.folder}/ray"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        )


@contextlib.contextmanager
def running(folder: Path, nodes: int) -> Iterator[Cluster]:
    """A cluster of a head and other nodes; it is killed at the end.

    Args:
        folder: empty, with a short path, because those of sockets are in it.
    """
    (folder / "home").mkdir()
    environment = os.environ | {
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "GLOO_SOCKET_IFNAME": "lo",  # nobody knows the addresses of the nodes' names
    }
    environment.pop("RAYDISTILL_CACHE", None)
    cluster = Cluster(folder, f"127.0.0.1:{free_port()}", environment)
    try:
        cluster.start_head()
        for _ in range(nodes):
            cluster.add()
        cluster.wait_for_nodes()
        yield cluster
    finally:
        for process in cluster.processes:
            for child in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
                with contextlib.suppress(psutil.Error):
                    child.kill()
            process.kill()
            process.wait()
