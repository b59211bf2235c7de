"""Checks of every node of a cluster before a sweep: versions, shared storage, devices, free disk and clocks."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from raydistill.cluster.connection import connected
from raydistill.cluster.nodes import NodeAnswer, ask_nodes
from raydistill.doctor import GIB, ROOMY, Check, devices
from raydistill.errors import RaydistillError, one_line
from raydistill.object_store import is_uri, without_options
from raydistill.shared_place import SEEN_WITHIN_S, SharedPlace
from raydistill.store.store import Store
from raydistill.sweep.planning.code import present_code

CLOCK_S = 2.0
"""Difference of clocks that is told of: `--max-hours` and the order of events in MLflow depend on them."""


def examine_cluster(address: str, runs: str, store: str | None = None) -> list[Check]:
    """One line per problem of a node, or one line for a node without.

    Nodes that the cluster could still start are not examined. No file is left behind.

    Args:
        runs: the runs folder, which all nodes must share, or its address in an object store.
        store: the session store; None: it is not looked at.

    Raises:
        RaydistillError: there is no cluster at the address, or the runs folder cannot be written here.
    """
    runs = runs if is_uri(runs) else os.path.abspath(runs)
    place, existed = SharedPlace(runs), Path(runs).exists()
    probe = f".doctor-{secrets.token_hex(8)}"
    if store and "://" not in store:
        store = os.path.abspath(store)  # nodes have other working folders
    about = {"runs": runs, "store": store, "probe": probe}
    answers: list[NodeAnswer] = []
    with connected(address):
        try:
            if not place.store:
                _make(place.folder)
            if problem := place.write(probe):
                raise RaydistillError(f"--runs {runs}: cannot be written here ({problem}); name another one")
            here = look({**about, "gpus": 0, "own": f"{probe}-driver"})
            answers = ask_nodes(
                look, lambda node: {**about, "gpus": int(node["Resources"].get("GPU", 0)), "own": _own(probe, node)}
            )
            seen = {answer.node: _is_seen(place, answer) for answer in answers}
        finally:
            place.delete([probe, f"{probe}-driver", *(a.value["wrote"] for a in answers if a.value)])
            if not place.store and not existed and place.folder.exists():
                place.folder.rmdir()
    return [check for answer in answers for check in _checks(answer, here, about, seen[answer.node])]


def look(about: dict) -> dict:
    """What a node finds about itself; called on each node, and here.

    Args:
        about: `runs`, `store`, `probe` (a file that the driver has written), `own` (the file to write), and `gpus`,
            as many as Ray counts.
    """
    place = SharedPlace(about["runs"])
    versions = {name: value for name, value in present_code().items() if name != "git"}
    return {
        "versions": {"python": ".".join(map(str, sys.version_info[:3])), **versions},
        "sees": place.waits_for(about["probe"]),
        "wrote": about["own"],
        "cannot_write": place.write(about["own"]),
        "free": place.free(),
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


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise RaydistillError(f"--runs {folder}: cannot be written here ({err.strerror}); name another one") from None


def _own(probe: str, node: dict) -> str:
    return f"{probe}-{node['NodeID'][:12]}"


def _store_error(store: str | None) -> str:
    if store is None:
        return ""
    try:
        Store(store).entries()
    except Exception as err:
        return one_line(err)
    return ""


def _is_seen(place: SharedPlace, answer: NodeAnswer) -> bool:
    return bool(answer.value) and not answer.value["cannot_write"] and place.waits_for(answer.value["wrote"])


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
    if is_uri(runs):
        if not found["sees"] or found["cannot_write"]:
            why = f" ({found['cannot_write']})" if found["cannot_write"] else ""
            yield f"cannot read and write {without_options(runs)}{why}: give the node credentials or a role that may"
    elif not found["sees"]:
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
