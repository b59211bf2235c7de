"""A cluster of several Ray nodes on this machine, in a process of its own.

    python -m tests.cluster.nodes

prints the address of a head without CPUs. Each line of standard input adds a node with one CPU and one GPU, which
exists for Ray alone; the end of the input stops the cluster. A process in which a local Ray runs would give the nodes
its loopback address, at which no other process looks for them.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.paths import ROOT


class Nodes:
    """The cluster as a test sees it."""

    def __init__(self, process: subprocess.Popen):
        self._process = process
        self.address = self._line()

    def add(self) -> None:
        """Add a node, and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.write("add\n")
        self._process.stdin.flush()
        self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the cluster did not start"
        return line


@contextmanager
def running() -> Iterator[Nodes]:
    """A cluster that is stopped at the end."""
    command = [sys.executable, "-m", "tests.cluster.nodes"]
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
    for _ in sys.stdin:
        cluster.add_node(num_cpus=1, num_gpus=1)
        print("added", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
