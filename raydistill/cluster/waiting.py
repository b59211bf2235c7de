"""What a command on a cluster waits for, and which nodes come and go: said while it runs, because Ray says nothing."""

import math
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

from raydistill.cluster.nodes import nodes_alive
from raydistill.cluster.room import Need, room
from raydistill.cluster.threads import in_a_thread
from raydistill.errors import RaydistillError
from raydistill.interrupts import Interrupted

TELL_EVERY_S = 60.0
"""Between two lines about what is waited for."""
LOOK_EVERY_S = 2.0
"""Between two looks at the cluster."""


@dataclass(frozen=True)
class Wanted:
    """Work that needs room."""

    what: str
    """In words."""
    need: Need
    """What one piece of it occupies."""
    count: int = 1
    """How many pieces must run at the same time."""


def check_possible(wanted: Wanted) -> None:
    """Check that the cluster can come to hold one piece of the work, which would otherwise be waited for in vain.

    Raises:
        RaydistillError: it cannot.
    """
    there_is = room()
    if not there_is.grown(wanted.need):
        raise RaydistillError(
            f"{wanted.what} could never start, because it needs {wanted.need}, but Ray has {there_is}; add such a node "
            "to the cluster"
        )


class ClusterWatch:
    """Tells at once, and every minute, that a cluster has no room for some work, until it has; and that nodes change.

    Args:
        tell: shows a line.
        max_wait_s: after so many seconds without room, waiting ends.
        clock: returns Unix time.
        check: called in another thread with Ray's names of nodes that have joined; raises what is wrong with them.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        max_wait_s: float = math.inf,
        clock: Callable[[], float] = time.time,
        check: Callable[[Collection[str]], None] | None = None,
    ):
        self.tell, self.max_wait_s, self.clock, self.check = tell, max_wait_s, clock, check
        self._checks: list[Future] = []
        self._nodes = nodes_alive()
        self._since: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._looked = -math.inf

    def look(self, all_wanted: Iterable[Wanted]) -> None:
        """Look at the cluster, at most every two seconds.

        Raises:
            Interrupted: something has been waited for too long.
            Exception: what `check` has raised about a node that has joined.
        """
        now = self.clock()
        if 0 <= now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        self._tell_changes()
        there_is = room()
        lacking = [wanted for wanted in all_wanted if there_is.now(wanted.need) < wanted.count]
        self._since = {wanted.what: self._since.get(wanted.what, now) for wanted in lacking}
        self._told = {what: told for what, told in self._told.items() if what in self._since}
        for wanted in lacking:
            since = self._since[wanted.what]
            pieces = f"{wanted.count} x {wanted.need}" if wanted.count > 1 else str(wanted.need)
            waits = f"since {datetime.fromtimestamp(since):%H:%M} for {pieces}, for {wanted.what}; now: {there_is}"
            if now - since >= self.max_wait_s:
                raise Interrupted(
                    f"the limit of {self.max_wait_s / 60:g} minutes (--max-wait) is reached: waiting {waits}"
                )
            if now - self._told.get(wanted.what, -math.inf) >= TELL_EVERY_S:
                self._told[wanted.what] = now
                self.tell(f"waiting {waits}")

    def _tell_changes(self) -> None:
        before, self._nodes = self._nodes, nodes_alive()
        for node in before.keys() - self._nodes.keys():
            self.tell(f"lost    node {before[node]:<27} what ran there starts again where there is room")
        joined = self._nodes.keys() - before.keys()
        for node in joined:
            self.tell(f"joined  node {self._nodes[node]}")
        if joined and (check := self.check):
            self._checks.append(in_a_thread(lambda: check(joined)))
        ended = [one for one in self._checks if one.done()]
        self._checks = [one for one in self._checks if one not in ended]
        for one in ended:
            one.result()
