"""Starting Ray, in one way for every command: a cluster by its address, or a local one for as long as it is needed."""

import contextlib
import logging
import os
from pathlib import Path

# Read by Ray when it is imported or when its processes start.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
# Ray Train's controller looks at its workers every 2 s by default, and a run ends no sooner than it looks.
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")

# glibc would give the memory of every training step back and fault it in again: with two workers on two cores, 6% of
# the steps' time (`raydistill bench workers`). Read by every process when it starts.
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


@contextlib.contextmanager
def connected(address: str | None = None, cpus: int | None = None):
    """Ray, initialised; one that is there already is used and left running.

    Args:
        cpus: what a local Ray counts with.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if address:
        ray.init(address=address, runtime_env={"env_vars": _KEEP_MEMORY}, **quiet)
    else:
        # Nobody takes this machine away: a process less to start before a training can.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        for name, value in _KEEP_MEMORY.items():
            os.environ.setdefault(name, value)
        # One CPU more than there are: Ray Data needs a free one while training workers hold theirs.
        ray.init(address="local", num_cpus=cpus or cores() + 1, include_dashboard=False, **quiet)
        _hide_token()
    try:
        yield
    finally:
        ray.shutdown()


def cores() -> int:
    return os.cpu_count() or 1


def _hide_token() -> None:
    """Ray writes the token that guards its ports so that everybody on the machine can read it."""
    token = Path.home() / ".ray" / "auth_token"
    if token.exists():
        with contextlib.suppress(PermissionError):
            token.chmod(0o600)
