"""The time limit of a run: after it, no job starts, and those that train stop at a checkpoint."""

import math
import time
from dataclasses import dataclass

from raydistill.interrupts import Interrupted

GRACE_S = 300.0
"""Seconds after the limit in which jobs may end by themselves: a training saves a checkpoint, a fit runs to its end."""


@dataclass(frozen=True)
class Deadline:
    """A time limit that the user gave; without one, it is never reached."""

    hours: float = math.inf
    at: float = math.inf
    """Unix time, which processes on other machines can compare with their own clock."""

    @classmethod
    def after(cls, hours: float | None) -> "Deadline":
        """The limit so many hours from now; None: no limit."""
        return cls() if hours is None else cls(hours, time.time() + hours * 3600)

    @property
    def stop_at(self) -> float | None:
        """The time at which jobs stop; None without a limit."""
        return None if math.isinf(self.at) else self.at

    @property
    def is_reached(self) -> bool:
        """Whether the time is over."""
        return time.time() >= self.at

    def check(self, grace_s: float = 0.0) -> None:
        """Raise Interrupted if the time has been over for `grace_s` seconds."""
        if time.time() >= self.at + grace_s:
            raise Interrupted(f"the limit of {self.hours:g} hours (--max-hours) is reached")
