"""Connecting to Ray, in the same way for every command: to a cluster by its address, or to a local Ray."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raydistill.interrupts import kept
from raydistill.ray_processes import supervised

# Ray reads these when it is imported or when its processes start.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
# A thread that still works when Ray is shut down must not start another one.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
# Ray Train's controller checks its workers every 2 s by default, and a run ends only at the next check.
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")

# glibc would return the memory of each training step to the system and fault it in again: with two workers on two
# cores, 6% of the time of the steps (`raydistill bench workers`). Every process reads these when it starts; another
# C library ignores them.
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


@contextlib.contextmanager
def connected(address: str | None = None, cpus: int | None = None) -> Iterator[None]:
    """Connect to Ray and disconnect at the end. An existing connection is used and stays open.

    Args:
        address: of a cluster; None: a local Ray is started, and stopped at the end.
        cpus: number of CPUs of a local Ray; by default one more than this machine has.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if address:
        with kept():  # Ray sets its own handler of SIGTERM
            ray.init(address=address, runtime_env={"env_vars": _KEEP_MEMORY}, **quiet)
        try:
            yield
        finally:
            ray.shutdown()
        return
    # A local Ray is never preempted. Without the watcher, a training starts one process less.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    for name, value in _KEEP_MEMORY.items():
        os.environ.setdefault(name, value)

    def start() -> None:
        # One CPU more than the machine has, because Ray Data needs a free CPU while training workers hold the others.
        ray.init(address="local", num_cpus=cpus or cores() + 1, include_dashboard=False, **quiet)
        _hide_token()

    with supervised(start, ray.shutdown):
        yield


def cores() -> int:
    """Number of CPU cores of this machine."""
    return os.cpu_count() or 1


def _hide_token() -> None:
    """Let only its owner read the file with the token of Ray's ports; Ray lets every user of the machine read it."""
    token = Path.home() / ".ray" / "auth_token"
    if token.exists():
        with contextlib.suppress(PermissionError):
            token.chmod(0o600)
