"""The machines of a Ray cluster: how many pieces of work they have room for, now and when the cluster has grown."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

from raydistill.cluster.growth import POOL, autoscaling_config, is_on_growing_kubernetes, node_types

_MANY = 64
"""Nodes of one type that are looked at, if a cluster may have more."""
_FEW = 8
"""Pieces of work that are asked for even if a cluster that may grow has no node yet."""


@dataclass(frozen=True)
class Need:
    """What one piece of work occupies on one node."""

    cpus: float
    gpus: float = 0.0
    not_in: str = ""
    """Pool whose nodes it may not use."""

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU{'s' * (self.gpus > 1)}" if self.gpus else ""
        return f"{self.cpus:g} CPU{'s' * (self.cpus > 1)}{gpus}"


@dataclass(frozen=True)
class Machine:
    """A machine, or a type of machines that the cluster may start."""

    cpus: float
    gpus: float = 0.0
    pool: str = ""
    """"" if it has no label, or if its label is unknown."""
    most: int = 1
    """How many of this type there may be."""

    def holds(self, need: Need) -> int:
        """How many pieces of work run at the same time on one node."""
        if need.not_in and self.pool == need.not_in:
            return 0
        parts = [(self.cpus, need.cpus), (self.gpus, need.gpus)]
        # 4 shares of 0.25 are 1 GPU, 10 of 0.1 too, whatever rounding says.
        return min((int(has / takes + 1e-9) for has, takes in parts if takes), default=sys.maxsize)


UNKNOWN = Machine(cpus=1e9, gpus=1e9, most=_MANY)
"""For nodes that a cluster may start, and whose size nobody tells: all work is taken to fit."""


@dataclass(frozen=True)
class Room:
    """The nodes of a cluster, and the types of nodes that it starts on demand."""

    nodes: tuple[Machine, ...]
    types: tuple[Machine, ...] = ()

    def now(self, need: Need) -> int:
        """How many pieces of work the present nodes hold, if they do nothing else."""
        return sum(node.holds(need) for node in self.nodes)

    def grown(self, need: Need) -> int:
        """How many pieces of work the cluster holds when it has all nodes that it may start."""
        return max(self.now(need), sum(node.holds(need) * node.most for node in self.types))

    def asked_for(self, need: Need) -> int:
        """How many pieces of work to ask for at the same time, so that the cluster starts all nodes that it may start.

        If nobody tells how far it grows, it is taken to double.
        """
        if UNKNOWN in self.types:
            return 2 * self.now(need) + _FEW
        return max(1, self.grown(need))

    def left_by(self, others: Iterable[tuple[Need, int]], need: Need) -> int:
        """How many pieces of work the cluster holds next to others, when it has all nodes that it may start.

        Args:
            others: need and number of pieces of each other work. Those together go to as few machines as possible.
        Returns:
            -1 if there is no room for the others themselves.
        """
        machines = [replace(kind, most=1) for kind in self.types for _ in range(min(kind.most, _MANY))]
        machines = machines or list(self.nodes)
        for other, left in others:
            machines.sort(key=lambda machine: -machine.holds(other))
            for number, machine in enumerate(machines):
                taken = min(left, machine.holds(other))
                left -= taken
                machines[number] = replace(
                    machine, cpus=machine.cpus - taken * other.cpus, gpus=machine.gpus - taken * other.gpus
                )
            if left:
                return -1
        return sum(machine.holds(need) for machine in machines)

    def __str__(self) -> str:
        listed = "; ".join(f"{node.cpus:g} CPUs and {node.gpus:g} GPUs" for node in self.nodes) or "no node"
        if UNKNOWN in self.types:
            return f"{listed}, and can start others"
        can_start = "; ".join(f"{node.most} x ({node.cpus:g} CPUs and {node.gpus:g} GPUs)" for node in self.types)
        return listed + (f", and can start {can_start}" if can_start else "")


def room() -> Room:
    """The room of the Ray that this process is connected to."""
    import ray

    nodes = [
        Machine(
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            pool=(node.get("Labels") or {}).get(POOL, ""),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    return Room(tuple(nodes), _types())


def _types() -> tuple[Machine, ...]:
    """The types of nodes that the cluster's autoscaler may start."""
    import ray

    types = tuple(
        Machine(cpus=resources.get("CPU", 0), gpus=resources.get("GPU", 0), pool=pool, most=most)
        for resources, pool, most in node_types(autoscaling_config(ray.get_runtime_context().gcs_address))
    )
    return types or ((UNKNOWN,) if is_on_growing_kubernetes() else ())
