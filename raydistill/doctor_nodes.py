"""Checks of every node of a cluster before a sweep: versions, shared storage, devices, free disk and clocks."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from raydistill.cluster.connection import connected
from raydistill.cluster.nodes import NodeAnswer, ask_nodes
from raydistill.doctor import GIB, ROOMY, Check, devices
from raydistill.errors import RaydistillError, one_line
from raydistill.store.store import Store
from raydistill.sweep.planning.code import present_code

CLOCK_S = 2.0
"""Difference of clocks that is told of: `--max-hours` and the order of events in MLflow depend on them."""
SEEN_WITHIN_S = 5.0
"""Time in which a file of one machine must be seen on another; network disks keep what they saw for some seconds."""


def examine_cluster(address: str, runs: Path, store: str | None = None) -> list[Check]:
    """One line per problem of a node, or one line for a node without.

    Nodes that the cluster could still start are not examined. No file is left behind.

    Args:
        runs: the runs folder, which all nodes must share.
        store: the session store; None: it is not looked at.

    Raises:
        RaydistillError: there is no cluster at the address, or the runs folder cannot be written here.
    """
    runs, existed = runs.absolute(), runs.exists()
    probe = f".doctor-{secrets.token_hex(8)}"
    if store and "://" not in store:
        store = os.path.abspath(store)  # nodes have other working folders
    about = {"runs": str(runs), "store": store, "probe": probe}
    with connected(address):
        try:
            _write_probe(runs / probe)
            here = look({**about, "gpus": 0, "own": f"{probe}-driver"})
            answers = ask_nodes(
                look, lambda node: {**about, "gpus": int(node["Resources"].get("GPU", 0)), "own": _own(probe, node)}
            )
            seen = {answer.node: _is_seen(runs, answer) for answer in answers}
        finally:
            for file in runs.glob(f"{probe}*"):
                file.unlink(missing_ok=True)
            if not existed and runs.exists():
                runs.rmdir()
    return [check for answer in answers for check in _checks(answer, here, about, seen[answer.node])]


def look(about: dict) -> dict:
    """What a node finds about itself; called on each node, and here.

    Args:
        about: `runs`, `store`, `probe` (a file that the driver has written), `own` (the file to write), and `gpus`,
            as many as Ray counts.
    """
    runs = Path(about["runs"])
    versions = {name: value for name, value in present_code().items() if name != "git"}
    return {
        "versions": {"python": ".".join(map(str, sys.version_info[:3])), **versions},
        "sees": _wait_for(runs / about["probe"]),
        "wrote": about["own"],
        "cannot_write": _write_error(runs / about["own"]),
        "free": shutil.disk_usage(runs).free if runs.exists() else 0,
        "store": _store_error(about["store"]),
        "devices": _devices(about["gpus"]),
    }


def device_lines() -> dict:
    """Number of GPUs that torch sees, and the device and attention in words."""
    import torch

    return {"gpus": torch.cuda.device_count(), **{check.name: check.detail for check in devices()}}


def _devices(counted: int) -> dict:
    """`device_lines`; where Ray counts GPUs, of a process to which it has not hidden them."""
    if not counted:
        return device_lines()
    variables = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    program = "import json; from raydistill.doctor_nodes import device_lines; print(json.dumps(device_lines()))"
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=100)
    return (
        json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {"gpus": 0, "device": done.stderr[-200:]}
    )


def _write_probe(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as err:
        raise RaydistillError(
            f"--runs {file.parent}: cannot be written here ({err.strerror}); name another one"
        ) from None


def _own(probe: str, node: dict) -> str:
    return f"{probe}-{node['NodeID'][:12]}"


def _wait_for(file: Path) -> bool:
    """Whether a file is there, after some time if need be."""
    end = time.monotonic() + SEEN_WITHIN_S
    while not file.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def _write_error(file: Path) -> str:
    """Write an empty file; returns why this is not possible. A missing folder is not made: it would hide the fault."""
    try:
        file.touch()
    except OSError as err:
        return err.strerror or type(err).__name__
    return ""


def _store_error(store: str | None) -> str:
    if store is None:
        return ""
    try:
        Store(store).entries()
    except Exception as err:
        return one_line(err)
    return ""


def _is_seen(runs: Path, answer: NodeAnswer) -> bool:
    return bool(answer.value) and not answer.value["cannot_write"] and _wait_for(runs / answer.value["wrote"])


def _checks(answer: NodeAnswer, here: dict, about: dict, seen: bool) -> list[Check]:
    name = f"node {answer.node}"
    if answer.error:
        mend = "install the same raydistill there, or end this node"
        return [Check(name, "missing", f"cannot be asked ({answer.error}): {mend}")]
    if problems := list(problems_of(answer, here, about, seen)):
        return [Check(name, "missing", problem) for problem in problems]
    found, versions = answer.value, answer.value["versions"]
    what = f"raydistill {versions['raydistill']}, {found['devices']['device']}; {found['free'] / GIB:.1f} GiB free"
    return [Check(name, "ok", f"{what}; attention: {found['devices'].get('attention', 'unknown')}")]


def problems_of(answer: NodeAnswer, here: dict, about: dict, seen: bool) -> Iterator[str]:
    """What is wrong with a node that has answered, each in one line with the way to mend it.

    Args:
        here: what `look` found on this machine.
        about: what the node was asked about.
        seen: whether the file that it wrote is seen here.
    """
    found, runs = answer.value, about["runs"]
    other = {name: text for name, text in found["versions"].items() if text != here["versions"].get(name)}
    for name, text in other.items():
        has = f"the sources of raydistill ({text})" if name == "code" else f"{name} {text}"
        yield f"has {has}, but the driver {here['versions'].get(name)}: install the same version on both"
    if not found["sees"]:
        yield f"does not see what the driver writes to {runs}: mount the same disk there, or give --runs on one"
    elif found["cannot_write"]:
        yield f"cannot write to {runs} ({found['cannot_write']}): give its user the right to, or mount it writable"
    elif not seen:
        yield f"writes to {runs}, but the driver does not see it in {SEEN_WITHIN_S:g} s: mount the same disk on both"
    if found["store"]:
        mend = "mount it there, or give the node its credentials"
        yield f"cannot read the store {about['store']} ({found['store']}): {mend}"
    if found["devices"]["gpus"] < answer.gpus:
        sees = f"torch sees {found['devices']['gpus']} ({found['devices']['device']})"
        mend = "install a driver that fits torch, or start Ray there with as many --num-gpus"
        yield f"Ray counts {answer.gpus} GPU{'s' * (answer.gpus > 1)}, but {sees}: {mend}"
    if found["sees"] and found["free"] < ROOMY["disk"]:
        yield f"{found['free'] / GIB:.1f} GiB free in {runs}: delete what is not needed, for example by `raydistill gc`"
    if abs(answer.ahead_s) - answer.doubt_s > CLOCK_S:
        direction = "ahead of" if answer.ahead_s > 0 else "behind"
        mend = "switch on its time service (timedatectl set-ntp true)"
        yield f"its clock is {abs(answer.ahead_s):.1f} s {direction} the driver's: {mend}"
