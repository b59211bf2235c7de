"""The end of a local Ray: a head that was lost is told from one that was stopped, and no thread ends the process."""

import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field

from raydistill.cluster import connected
from raydistill.cluster import processes as watched

ASKING = """
import os, time, psutil, ray
from raydistill.cluster import connected
from raydistill.cluster.threads import in_a_thread
from raydistill.interrupts import handled

ray.shutdown = lambda: print("shutting Ray down")
try:
    with handled(), connected(cpus=1):
        reference = ray.remote(lambda: time.sleep(600)).remote()
        in_a_thread(lambda: ray.wait([reference]))
        print("ready", flush=True)
        time.sleep(600)
except KeyboardInterrupt as err:
    left = [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    print(f"{err}, and {len(left)} processes left", flush=True)
    os._exit(err.code)
"""


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


def test_interrupt_while_a_thread_asks_ray_kills_its_processes_and_does_not_shut_it_down():
    """A thread that asks Ray while it is shut down would end the process before its clean-up."""
    process = subprocess.Popen([sys.executable, "-c", ASKING], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert (process.returncode, printed) == (130, "interrupted, and 0 processes left\n")
