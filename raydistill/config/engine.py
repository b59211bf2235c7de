"""Execution settings of a training.

They never enter a job's key, because they change results by floating-point rounding at most (docs/methods.md,
Training).
"""

from dataclasses import dataclass
from typing import Literal

from raydistill.config.numbers import Count, Positive, check_limits


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """Where a worker keeps its segments, how many it computes at once, and when it saves checkpoints."""

    memory: Literal["auto", "device", "host", "stream"] = "auto"
    """Where a worker keeps its segments: on the device, in host memory, or nowhere (`stream` reads them again every
    epoch). auto: the first of these that fits its budget."""
    device_gb: Positive | None = None
    """Budget per worker on the device, in GB; by default a third of what the process may use there, as model and
    activations need the rest."""
    host_gb: Positive = 8.0
    """Budget per worker in host memory, in GB."""
    reading: Literal["auto", "ray_data", "worker"] = "auto"
    """What decodes the files of a pretraining: tasks of Ray Data on any free core, or the worker itself. auto: Ray Data
    if the data of a worker are large enough for this to be faster."""
    micro_batch: Count | None = None
    """Segments per forward pass of a worker; gradients are summed to the global batch. By default all at once."""
    checkpoint_every: Positive = 5.0
    """Epochs between checkpoints; 0.25 saves four times per epoch."""
    checkpoint_keep: Count = 2
    """Number of newest checkpoints that are kept."""

    def __post_init__(self):
        check_limits(self)
