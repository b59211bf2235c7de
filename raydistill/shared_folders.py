"""Whether all nodes of a cluster reach the folders of a command, which otherwise each piece of its work would find out.

A node with another disk under the same path would write there, and what it has written would be missing without a word.
"""

import os
import secrets
from collections.abc import Collection
from dataclasses import dataclass

from raydistill.cluster.nodes import NodeAnswer, ask_nodes, nodes_alive
from raydistill.errors import RaydistillError
from raydistill.object_store import StorageError, StoredFolder, is_uri, without_options
from raydistill.shared_place import SharedPlace

WAIT_S = 60.0
"""For the answers of all nodes. One that does not answer is taken for one that reaches everything."""
CATALOGUE = "sessions.parquet"
"""A file that an object store is asked about, to see whether it answers; it need not be there."""


@dataclass(frozen=True)
class SharedFolders:
    """Folders that every node must reach: paths, or addresses in an object store."""

    written: tuple[str, ...]
    """Those to which nodes write; they exist here."""
    read: tuple[str, ...] = ()
    """Those from which nodes only read; one that does not exist here is left out."""

    def check(self, nodes: Collection[str] | None = None) -> None:
        """Check that nodes of the cluster reach the folders.

        Args:
            nodes: Ray's names of those that are asked; None: all that are present.
        Raises:
            RaydistillError: a node does not, or this machine cannot write to one of the folders.
        """
        stores = {uri: uri in self.written for uri in (*self.written, *self.read) if is_uri(uri)}
        on_disk = [_path(folder) for folder in self.written if not is_uri(folder)]
        to_read = [_path(folder) for folder in self.read if not is_uri(folder) and os.path.isdir(_path(folder))]
        if nodes is None and len(nodes_alive()) < 2:
            on_disk, to_read = [], []  # the only node is this machine
        if not (stores or on_disk or to_read):
            return
        probe = f".probe-{secrets.token_hex(8)}"
        places = {folder: SharedPlace(folder) for folder in on_disk}
        names = {folder: min(os.listdir(folder), default="") for folder in to_read} | dict.fromkeys(places, probe)
        try:
            for folder, place in places.items():
                if problem := place.write(probe):
                    raise RaydistillError(f"{folder}: cannot be written here ({problem}); name another folder")
            answers = ask_nodes(not_reached, lambda _: {"names": names, "stores": stores}, WAIT_S, nodes)
        finally:
            for place in places.values():
                place.delete([probe])
        _raise_problem(answers, have_joined=nodes is not None)


def _path(folder: str) -> str:
    return os.path.abspath(folder.removeprefix("file://"))


def not_reached(about: dict) -> dict[str, str]:
    """Folder -> why this machine does not reach it, "" if it does not see it; called on each node.

    Args:
        about: `names`: folder on a disk -> name of a file in it, or ""; `stores`: address -> whether nodes write there.
    """
    found = {}
    for folder, name in about["names"].items():
        if not os.path.isdir(folder) or not SharedPlace(folder).waits_for(name):
            found[folder] = ""
    for uri, is_written in about["stores"].items():
        try:
            if is_written:
                StoredFolder(uri).check()
            else:
                StoredFolder(uri).about([CATALOGUE], patience_s=0)
        except StorageError as err:
            found[uri] = str(err).removeprefix(f"{without_options(uri)}: ")
    return found


def _raise_problem(answers: list[NodeAnswer], have_joined: bool) -> None:
    """Raise RaydistillError about the first folder that some nodes do not reach, naming all of these.

    Args:
        have_joined: whether only nodes that have joined later were asked.
    """
    for folder in dict.fromkeys(folder for answer in answers for folder in answer.value or ()):
        blind = [answer for answer in answers if folder in (answer.value or ())]
        names = ", ".join(dict.fromkeys(answer.node for answer in blind))
        if have_joined:
            which = f"{_nodes(len(blind))} that joined the cluster just now ({names})"
        else:
            which = f"{len(blind)} of {_nodes(len(answers))} of the cluster ({names})"
        if reason := blind[0].value[folder]:
            raise RaydistillError(
                f"{without_options(folder)}: {which} cannot use it: {reason}. Nodes do not have the credentials of "
                "this command: give them a role of the cloud, or set the variables where their Ray is started"
            )
        raise RaydistillError(
            f"{folder}: {which} cannot see this folder as this machine does; let all machines mount the same disk "
            "there, or keep it in an object store (s3://BUCKET/FOLDER)"
        )


def _nodes(count: int) -> str:
    return f"{count} node{'s' * (count > 1)}"
