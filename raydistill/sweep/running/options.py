"""The options of `sweep`, `search` and `run`."""

import math
from dataclasses import dataclass, field

from raydistill.sweep.planning.selection import Selection
from raydistill.sweep.running.deadline import Deadline


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Which jobs are run, and how; no option changes the result of a job."""

    address: str | None = None
    """Address of a Ray cluster; None starts a local Ray."""
    device: str = "auto"
    """cpu, cuda, or auto: cuda if the cluster has a GPU when the jobs start. A cluster that starts its nodes on demand
    has none at that time."""
    selection: Selection = field(default_factory=Selection)
    fail_fast: bool = False
    """Whether the first failure ends the sweep; otherwise it stops only the jobs that depend on the failed one."""
    deadline: Deadline = field(default_factory=Deadline)
    """When jobs stop at a checkpoint, so that the same command continues later."""
    max_wait_s: float = math.inf
    """After so many seconds in which the cluster has no room for a job, the command ends."""
