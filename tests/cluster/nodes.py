"""A cluster of several Ray nodes on this machine, in a process of its own.

    python -m tests.cluster.nodes

prints the address of a head without CPUs. Each line of standard input adds a node with one CPU and one GPU, which
exists for Ray alone, or kills one; the end of the input stops the cluster. A process in which a local Ray runs would
give the nodes its loopback address, at which no other process looks for them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.paths import ROOT


class Nodes:
    """The cluster as a test sees it."""

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self.address = self._line()

    def add(self, cache: Path | None = None) -> None:
        """Add a node, and wait for it.

        Args:
            cache: where it keeps copies of runs in an object store, as if it shared no disk with the others.
        """
        self._ask(f"add {cache or ''}")

    def kill(self, number: int) -> None:
        """Kill the processes of a node; they are counted from 0 in the order in which they were added."""
        self._ask(f"kill {number}")

    def _ask(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the cluster did not start"
        return line


@contextmanager
def running(hidden: Path | None = None) -> Iterator[Nodes]:
    """A cluster that is stopped at the end.

    Args:
        hidden: a folder of this machine in whose place the nodes see an empty disk (needs root).
    """
    command = [sys.executable, "-m", "tests.cluster.nodes"]
    if hidden is not None:
        command = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hidden), *command]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Nodes(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)


def main() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    print(cluster.address, flush=True)
    nodes = []
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "add":
            if argument:
                os.environ["RAYDISTILL_CACHE"] = argument
            nodes.append(cluster.add_node(num_cpus=1, num_gpus=1))
        else:
            cluster.remove_node(nodes[int(argument)], allow_graceful=False)
        print(command, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
