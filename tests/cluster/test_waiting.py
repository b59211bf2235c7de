"""What a cluster has no room for is told at once and every minute, and nodes that come and go are told."""

import threading
import time

import pytest

from raydistill.cluster.room import Machine, Need, Room
from raydistill.cluster.waiting import ClusterWatch, Wanted
from raydistill.errors import RaydistillError
from raydistill.interrupts import Interrupted

NO_ROOM, HAS_ROOM = Room((Machine(0),), (Machine(4, 1, most=2),)), Room((Machine(4, 1),))
JOBS = Wanted("jobs on one session", Need(1, 0.25))


class Watched:
    """A watch on a cluster that the test changes, with a clock that the test sets."""

    def __init__(self, monkeypatch, max_wait_s=float("inf"), check=None):
        self.now, self.room, self.nodes, self.lines = 0.0, NO_ROOM, {"a": "10.0.0.1"}, []
        monkeypatch.setattr("raydistill.cluster.waiting.room", lambda: self.room)
        monkeypatch.setattr("raydistill.cluster.waiting.nodes_alive", lambda: dict(self.nodes))
        self.watch = ClusterWatch(self.lines.append, max_wait_s, lambda: self.now, check)

    def during(self, seconds, *wanted):
        """Look ten times per second."""
        for _ in range(10 * seconds):
            self.watch.look(wanted)
            self.now += 0.1


def test_work_without_room_is_told_at_once_and_every_minute_until_there_is_room(monkeypatch):
    watched = Watched(monkeypatch)
    watched.during(115, JOBS)
    assert len(watched.lines) == 2 and watched.lines[0].startswith("waiting since ")
    assert "for 1 CPU and 0.25 GPU, for jobs on one session; now: 0 CPUs and 0 GPUs, and can start" in watched.lines[0]
    watched.room = HAS_ROOM
    watched.during(120, JOBS)
    assert len(watched.lines) == 2


def test_room_that_is_lost_again_is_told_again(monkeypatch):
    watched = Watched(monkeypatch)
    pretraining = Wanted("ms_spike/seed0", Need(1), count=2)
    for is_there in (True, False, True, False):
        watched.room = HAS_ROOM if is_there else NO_ROOM
        watched.during(10, pretraining)
    assert len(watched.lines) == 2 and all("for 2 x 1 CPU, for ms_spike/seed0" in line for line in watched.lines)


def test_waiting_longer_than_allowed_ends_with_what_was_waited_for(monkeypatch):
    watched = Watched(monkeypatch, max_wait_s=120)
    watched.during(100, JOBS)
    watched.room = HAS_ROOM
    watched.during(10, JOBS)
    watched.room = NO_ROOM
    watched.during(100, JOBS)  # counted from the start
    with pytest.raises(Interrupted, match=r"2 minutes \(--max-wait\) .* waiting since .* for jobs on one session"):
        watched.during(30, JOBS)


def test_nodes_that_come_and_go_are_told_once(monkeypatch):
    watched = Watched(monkeypatch)
    watched.room = HAS_ROOM
    watched.during(5)
    watched.nodes = {"a": "10.0.0.1", "b": "10.0.0.2"}
    watched.during(5)
    watched.nodes = {"b": "10.0.0.2"}
    watched.during(5)
    joined, lost = watched.lines
    assert joined == "joined  node 10.0.0.2" and lost.startswith("lost    node 10.0.0.1 ")


def test_node_that_joins_is_checked_and_what_is_wrong_with_it_is_raised(monkeypatch):
    asked, answered = [], threading.Event()

    def check(nodes):
        asked.append(set(nodes))
        answered.wait(10)
        raise RaydistillError("it sees another disk")

    watched = Watched(monkeypatch, check=check)
    watched.room = HAS_ROOM
    watched.during(5)
    watched.nodes = {"a": "10.0.0.1", "b": "10.0.0.2"}
    watched.during(5)  # nobody waits for the answer
    assert asked == [{"b"}]
    answered.set()
    time.sleep(0.1)
    with pytest.raises(RaydistillError, match="it sees another disk"):
        watched.during(5)


def test_local_ray_has_nothing_to_tell(local_ray):
    lines = []
    ClusterWatch(lines.append).look([Wanted("a pretraining", Need(1), 2)])
    assert lines == []
