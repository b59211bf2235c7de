"""The folders that all machines of a cluster must reach, of jobs that run there."""

import contextlib
from collections.abc import Callable, Iterator

from raydistill.cluster import connected, is_local
from raydistill.cluster.waiting import ClusterWatch
from raydistill.shared_folders import SharedFolders
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.options import RunOptions


@contextlib.contextmanager
def joined(options: RunOptions, runs: RunsFolder, store: str) -> Iterator[None]:
    """A connection to Ray in the block; the nodes of a cluster must reach the runs folder and the store.

    Raises:
        RaydistillError: there is no cluster at the address, or a node does not reach them.
    """
    with connected(options.address):
        if not is_local():
            _folders(runs, store).check()
        yield


def watch(options: RunOptions, runs: RunsFolder, store: str, tell: Callable[[str], None]) -> ClusterWatch:
    """A watch on the Ray that is connected; nodes that join a cluster later must reach the folders too."""
    check = _folders(runs, store).check if not is_local() else None
    return ClusterWatch(tell, options.max_wait_s, check=check)


def _folders(runs: RunsFolder, store: str) -> SharedFolders:
    return SharedFolders(written=(runs.place,), read=(store,))
