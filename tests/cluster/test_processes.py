"""The watch on the head of a local Ray tells a head that was lost from one that was stopped."""

import threading
from dataclasses import dataclass, field

from raydistill.cluster import connected
from raydistill.cluster import processes as watched


@dataclass
class StoppedWhileLookedAt:
    """A process of Ray that the driver stops after the watch has begun to look at it."""

    watch: watched.HeadWatch
    seen: threading.Event = field(default_factory=threading.Event)

    def poll(self) -> int:
        self.watch.over.set()  # as `supervised` does before it stops Ray
        self.seen.set()
        return 0


def test_head_that_is_stopped_while_the_watch_looks_at_it_is_not_lost(monkeypatch):
    monkeypatch.setattr(watched, "CHECK_S", 0.01)
    with connected(cpus=1):
        watch = watched.HeadWatch()
        watch.processes = {"raylet": StoppedWhileLookedAt(watch)}
        assert watch.processes["raylet"].seen.wait(10)
        watch.thread.join(10)
        assert not watch.thread.is_alive()
        assert watch.lost == ""
