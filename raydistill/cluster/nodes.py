"""Asking every node of a cluster the same question."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from raydistill.errors import one_line

WAIT_S = 120.0
"""For the answers of all nodes; a node that has no worker process starts one, which imports torch."""


@dataclass(frozen=True)
class NodeAnswer:
    """What a node answered."""

    node: str
    """Its address."""
    gpus: int
    """As many as Ray counts there."""
    value: Any = None
    """The result of the question; None if there is an error."""
    error: str = ""
    """In one line; "" if there is none."""
    ahead_s: float = 0.0
    """By how much its clock is ahead of this machine's."""
    doubt_s: float = 0.0
    """By how much `ahead_s` may be wrong: half the time of the question and its answer."""


def nodes_alive() -> dict[str, str]:
    """Ray's name for each living node -> its address."""
    import ray

    return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def ask_nodes(
    question: Callable[[dict], Any],
    about: Callable[[dict], dict],
    wait_s: float = WAIT_S,
    only: Collection[str] | None = None,
) -> list[NodeAnswer]:
    """Call a function once on every living node, at the same time; it takes no CPU or GPU from running work.

    Args:
        question: importable on every node; called with what `about` returns.
        about: called here with Ray's description of each node.
        wait_s: how long all nodes together may take.
        only: Ray's names of the nodes that are asked; None: all.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked: list[tuple[dict, Any, Any]] = []
    nodes = [node for node in ray.nodes() if node["Alive"] and (only is None or node["NodeID"] in only)]
    for node in sorted(nodes, key=lambda node: node["NodeManagerAddress"]):
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asker: Any = ray.remote(_Asker).options(num_cpus=0, scheduling_strategy=here).remote()
        asked.append((node, asker, asker.ask.remote(question, about(node))))
    end, answers = time.monotonic() + wait_s, list[NodeAnswer]()
    for node, asker, reply in asked:
        name, gpus = node["NodeManagerAddress"], int(node["Resources"].get("GPU", 0))
        try:
            value = ray.get(reply, timeout=max(0.1, end - time.monotonic()))
            sent = time.time()
            there: float = ray.get(asker.now.remote(), timeout=10)
            took = time.time() - sent
            answers.append(NodeAnswer(name, gpus, value, ahead_s=there - sent - took / 2, doubt_s=took / 2))
        except ray.exceptions.GetTimeoutError:
            answers.append(NodeAnswer(name, gpus, error=f"no answer within {wait_s:g} s"))
        except Exception as err:
            cause = getattr(err, "cause", None) or err
            answers.append(NodeAnswer(name, gpus, error=f"{type(cause).__name__}: {one_line(cause)}"))
        ray.kill(asker)
    return answers


class _Asker:
    """A process of Ray on one node."""

    def ask(self, question: Callable[[dict], Any], about: dict) -> Any:
        """The answer of this node."""
        return question(about)

    def now(self) -> float:
        """Unix time on this node."""
        return time.time()
