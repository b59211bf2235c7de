"""Whether all machines of a cluster see the folders of a sweep, which otherwise each job would find out by itself."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import Any

from raydistill.cluster import connected
from raydistill.cluster.nodes import NodeAnswer, ask_nodes
from raydistill.cluster.room import room
from raydistill.errors import RaydistillError
from raydistill.shared_place import SharedPlace
from raydistill.sweep.planning.runs_folder import RunsFolder

WAIT_S = 60.0
"""For the answers of all nodes. One that does not answer is taken for one that sees everything."""


@contextlib.contextmanager
def joined(address: str | None, runs: RunsFolder, store: str) -> Iterator[None]:
    """A connection to Ray in the block; nodes of a cluster must see the runs folder and the store (`check_shared`)."""
    with connected(address):
        if address:
            check_shared(runs, store)
        yield


def check_shared(runs: RunsFolder, store: str) -> None:
    """Check that every present node of the cluster sees the runs folder and the store, as far as these are on a disk.

    Raises:
        RaydistillError: a node does not.
    """
    on_disk = "" if runs.uri else os.path.abspath(runs.place)
    store = os.path.abspath(store) if os.path.isdir(store) else ""  # it may be an address, or still to be made
    if len(room().nodes) < 2 or not (on_disk or store):
        return
    place, probe = SharedPlace(runs.place), f".probe-{secrets.token_hex(8)}"
    about = {"runs": on_disk, "store": store, "probe": probe}
    if on_disk and (problem := place.write(probe)):
        raise RaydistillError(f"--runs {runs}: cannot be written here ({problem}); name another one")
    try:
        answers = ask_nodes(unseen, lambda node: about, WAIT_S)
    finally:
        if on_disk:
            place.delete([probe])
    for problem in _problems(answers):
        raise RaydistillError(problem)


def unseen(about: dict[str, str]) -> list[str]:
    """The folders that this machine does not see; called on each node.

    Args:
        about: `runs` and `store`, each "" if it is in an object store, and the name of a file in `runs`.
    """
    blind = [about["store"]] if about["store"] and not os.path.isdir(about["store"]) else []
    if about["runs"] and not SharedPlace(about["runs"]).waits_for(about["probe"]):
        blind.append(about["runs"])
    return blind


def _problems(answers: list[NodeAnswer]) -> Iterator[str]:
    folders: dict[str, list[Any]] = {}
    for answer in answers:
        for folder in answer.value or ():
            folders.setdefault(folder, []).append(answer.node)
    for folder, nodes in folders.items():
        which = f"{len(nodes)} of {len(answers)} nodes of the cluster ({', '.join(dict.fromkeys(nodes))})"
        yield (
            f"{folder}: {which} do not see this folder as this machine does; let all machines mount the same disk "
            "there, or keep it in an object store (s3://BUCKET/FOLDER)"
        )
