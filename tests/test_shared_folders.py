"""Which nodes do not reach a folder is told: of all nodes, or of those that have joined."""

import pytest

from raydistill import shared_folders
from raydistill.cluster.nodes import NodeAnswer
from raydistill.errors import RaydistillError
from raydistill.shared_folders import SharedFolders


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Ask nodes with these addresses, which see another disk; returns what is raised."""

    def check(addresses, nodes=None):
        answers = [NodeAnswer(address, 0, {str(tmp_path): ""}) for address in addresses]
        answers += [NodeAnswer("10.0.0.1", 0, {})] if nodes is None else []
        monkeypatch.setattr(shared_folders, "ask_nodes", lambda *_: answers)
        monkeypatch.setattr(shared_folders, "nodes_alive", lambda: {"a": "", "b": ""})
        with pytest.raises(RaydistillError) as raised:
            SharedFolders((str(tmp_path),)).check(nodes)
        return str(raised.value).removeprefix(f"{tmp_path}: ")

    return check


def test_nodes_that_are_there_are_counted_among_all(check):
    assert check(["10.0.0.2"]).startswith("1 of 2 nodes of the cluster (10.0.0.2) cannot see this folder")


def test_nodes_that_joined_later_are_not_counted_among_those_that_were_asked(check):
    assert check(["10.0.0.2"], {"c"}).startswith("1 node that joined the cluster just now (10.0.0.2) cannot see")
    assert check(["10.0.0.2", "10.0.0.3"], {"c", "d"}).startswith("2 nodes that joined the cluster just now (10.0.0.2,")
