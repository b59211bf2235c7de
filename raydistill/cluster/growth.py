"""The types of nodes that the autoscaler of a cluster may start.

Ray has an interface that tells them, which its own autoscaler does not fill. They are in the file that the autoscaler
reads, on the head's machine, where `ray exec` runs commands too. KubeRay's autoscaler has no such file.
"""

import functools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

POOL = "pool"
"""Label of nodes that are kept for one kind of work (cluster.yaml)."""


@functools.cache
def autoscaling_config(gcs_address: str) -> Mapping[str, Any]:
    """The file of the autoscaler that runs on this machine for a cluster; empty if there is none, or it has no file."""
    from ruamel.yaml import YAML, YAMLError

    for process in psutil.process_iter(["cmdline"]):
        arguments = process.info["cmdline"] or []
        given = dict(argument.split("=", 1) for argument in arguments if argument.startswith("--") and "=" in argument)
        file = given.get("--autoscaling-config")
        if file and given.get("--gcs-address") == gcs_address:
            try:
                return YAML(typ="safe").load(Path(file).expanduser()) or {}
            except (OSError, YAMLError):
                return {}
    return {}


def is_on_growing_kubernetes() -> bool:
    """Whether this machine is in a cluster whose nodes KubeRay starts on demand; nobody tells which, and how many."""
    is_growing = os.environ.get("RAY_enable_autoscaler_v2") == "1"  # noqa: SIM112 - as KubeRay spells it
    return is_growing and "KUBERNETES_SERVICE_HOST" in os.environ


def node_types(config: Mapping[str, Any]) -> list[tuple[Mapping[str, float], str, int]]:
    """Resources, pool ("" if it has none) and largest number of nodes, of each type that an autoscaler may start."""
    types = []
    for name, kind in (config.get("available_node_types") or {}).items():
        is_head = name == config.get("head_node_type")
        most = kind.get("max_workers", 0 if is_head else config.get("max_workers", sys.maxsize))
        if most and kind.get("resources"):
            types.append((kind["resources"], (kind.get("labels") or {}).get(POOL, ""), most))
    return types
