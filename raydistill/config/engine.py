"""How a training is carried out: settings that never change its answer, and so never enter a job's key."""

from dataclasses import dataclass
from typing import Literal

from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConfig:
    """Where a worker keeps its segments, how much it computes at once, when it saves."""

    memory: Literal["auto", "device", "host", "stream"] = "auto"
    """Where a worker's segments lie: on the device, in host memory, or read anew every epoch. auto: the first of these
    that fits its budget."""
    device_gb: float | None = None
    """Budget on the device, a worker; by default a third of its memory, for model and activations need the rest."""
    host_gb: float = 8.0
    """Budget in host memory, a worker."""
    reading: Literal["auto", "ray_data", "worker"] = "auto"
    """Who decodes the files of a pretraining: tasks of Ray Data, wherever a core is free, or the worker itself. auto:
    Ray Data where a worker's segments are many enough for that to pay."""
    micro_batch: int | None = None
    """Segments in one forward pass of a worker; gradients add up to the global batch. By default all at once."""
    checkpoint_every: float = 5.0
    """Epochs between checkpoints; 0.25 saves four times an epoch."""
    checkpoint_keep: int = 2
    """Newest checkpoints that are kept."""

    def __post_init__(self):
        for name in ("device_gb", "host_gb", "micro_batch", "checkpoint_every", "checkpoint_keep"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"`{name}` must be above 0, but got {value}")
