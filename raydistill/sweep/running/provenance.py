"""The versions, hardware and data with which a result was computed. None of it enters a job's key."""

import functools
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch

from raydistill.models.layers.precision import has_bf16
from raydistill.store.catalogue import Entry
from raydistill.sweep.planning.job import Job


def provenance() -> dict:
    """Versions of software, and hardware."""
    versions = {name: version(name) for name in ("raydistill", "torch", "ray", "numpy")}
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    cuda = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    bf16 = has_bf16("cuda" if cuda else "cpu")
    return versions | machine | cuda | {"threads": torch.get_num_threads(), "bf16": bf16, "git": _git_state()}


@functools.cache
def _git_state() -> str | None:
    """The commit that the package runs from, marked if files differ from it; None outside of a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def model_provenance(job: Job, entries: list[Entry]) -> dict:
    """The origin of a model, which is stored in its model.json."""
    return {
        "job": job.name,
        "key": job.key,
        "data": {e.session: e.content for e in entries},
        "protocol": " and ".join(sorted({e.protocol for e in entries})),
        "normalisation": {
            e.session: {name: asdict(norm) for name, norm in e.normalisation.items() if name != "behavior"}
            for e in entries
        },
    } | provenance()
