"""The machine on which a process computes, as model.json and job.json record it."""

import dataclasses
import platform

import torch

from raydistill.models.layers.precision import has_bf16
from raydistill.models.spec import ModelSpec


def computed_here(spec: ModelSpec) -> ModelSpec:
    """The specification of a model that is computed on the machine of this process."""
    return dataclasses.replace(spec, provenance=spec.provenance | hardware())


def hardware() -> dict:
    """Version of Python, kind of machine, GPU if there is one, threads, and whether it multiplies in bfloat16."""
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    cuda = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    bf16 = has_bf16("cuda" if cuda else "cpu")
    return machine | cuda | {"threads": torch.get_num_threads(), "bf16": bf16}
