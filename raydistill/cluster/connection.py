"""Connecting to Ray, in the same way for every command: to a cluster by its address, or to a local Ray."""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raydistill.cluster.address import check_address
from raydistill.cluster.cpus import cores
from raydistill.cluster.folder import ray_folder
from raydistill.cluster.isolation import SAFE_PATH, job_config
from raydistill.cluster.processes import supervised
from raydistill.cluster.threads import any_running
from raydistill.errors import RaydistillError, one_line
from raydistill.interrupts import end_at_once, kept

JOIN_S = 60.0
"""A cluster must have taken this process in within this time."""

# Ray reads these when it is imported or when its processes start.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
# A thread that still works when Ray is shut down must not start another one.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
# Ray Train's controller checks its workers every 2 s by default, and a run ends only at the next check.
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
# By default, Ray Tune lets one trial wait at a time, so that a cluster starts its nodes one after another, and its
# workers too. More than this many would hold up a pretraining that becomes ready, which waits behind them.
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "16")

# glibc would return the memory of each training step to the system and fault it in again: with two workers on two
# cores, 6% of the time of the steps (`raydistill bench workers`). Every process reads these when it starts; another
# C library ignores them.
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


# A local Ray serves this machine alone. By this variable, meant for macOS and Windows, Ray listens on loopback only.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Workers of a training find each other through the interface of the machine's name, unless one is named here.
_LOOPBACK_OF_WORKERS = {"GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0"}


@contextlib.contextmanager
def connected(address: str | None = None, cpus: int | None = None) -> Iterator[None]:
    """Connect to Ray and disconnect at the end. An existing connection is used and stays open.

    Args:
        address: of a cluster; None: a local Ray is started, and stopped at the end. It listens on the loopback
            interface alone.
        cpus: number of CPUs of a local Ray; by default one more than this process may use.
    Raises:
        RaydistillError: there is no cluster at the address.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        if address:
            with kept():  # Ray sets its own handler of SIGTERM
                _join(address)
            stack.callback(_leave)
        else:
            folder = stack.enter_context(ray_folder())
            stack.enter_context(supervised(lambda: _start(cpus or cores() + 1, folder), ray.shutdown))
        yield


def _leave() -> None:
    """Disconnect from a cluster, unless another thread may use it: then the end of this process disconnects it."""
    import ray

    if not any_running():
        ray.shutdown()


def is_local() -> bool:
    """Whether this process has started the Ray that it is connected to, which then never has a second machine.

    A cluster that was joined by its address may get more, even if it has only one now.
    """
    from ray._private import worker

    return worker._global_node is not None and bool(worker._global_node.head)


def _join(address: str) -> None:
    import ray

    check_address(address)
    try:
        with _for_a_limited_time(address):
            ray.init(address=address, runtime_env={"env_vars": _KEEP_MEMORY | SAFE_PATH}, **_options())
    except Exception as err:
        raise RaydistillError(
            f"--address {address}: cannot join a Ray cluster there ({type(err).__name__}: {one_line(err)}); check the "
            "address, that its version of Ray and Python is this one's, and that RAY_AUTH_MODE=token is set if it "
            "asks for a token"
        ) from err


@contextlib.contextmanager
def _for_a_limited_time(address: str) -> Iterator[None]:
    """End the process if joining takes too long: by itself, Ray would try for a quarter of an hour."""
    message = (
        f"--address {address}: the cluster has not answered for {JOIN_S:g} s; is its head reached at the same "
        "address from this machine as from its own nodes, and does RAY_AUTH_MODE with its token fit?"
    )
    timer = threading.Timer(JOIN_S, end_at_once, (2, message))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _start(cpus: int, folder: Path) -> None:
    import ray

    # A local Ray is never preempted. Without the watcher, a training starts one process less.
    for name, value in (_KEEP_MEMORY | {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}).items():
        os.environ.setdefault(name, value)
    with _on_loopback(), _environment(SAFE_PATH | _LOOPBACK | _LOOPBACK_OF_WORKERS):
        # One CPU more than the machine has, because Ray Data needs a free CPU while training workers hold the others.
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, _temp_dir=str(folder), **_options())
    _hide_token()


def _options() -> dict[str, Any]:
    return {"logging_level": "ERROR", "log_to_driver": False, "job_config": job_config()}


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started meanwhile, unless they are set."""
    added = [name for name in values if name not in os.environ]
    os.environ |= {name: values[name] for name in added}
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Let Ray take 127.0.0.1 for this machine's address. It has read the variable when it was imported."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _hide_token() -> None:
    """Let only its owner read the file with the token of Ray's ports; Ray lets every user of the machine read it."""
    token = Path.home() / ".ray" / "auth_token"
    if token.exists():
        with contextlib.suppress(PermissionError):
            token.chmod(0o600)
