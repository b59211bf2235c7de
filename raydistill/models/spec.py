"""The specification from which a model of any family is built."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Everything that determines the modules of a model; stored as model.json next to the weights."""

    family: str
    """A key of `FAMILIES`."""
    config: Any
    """An instance of the configuration class of the family."""
    sessions: dict[str, int]
    """Session -> patches per bin."""
    bands: int = 1
    """LFP features per electrode."""
    behavior: tuple[str, ...] = ()
    """Behavior columns that the model predicts; empty for a model that is trained without behavior."""
    provenance: dict = field(default_factory=dict)
    """Job, data, protocol and versions from which the model comes; for the record only."""

    @property
    def modality(self) -> str:
        """spikes, lfp or multimodal."""
        return self.config.modality

    @property
    def widths(self) -> tuple[int, ...]:
        """(G,) slots of each signal in a patch."""
        return self.config.inputs.widths(self.bands)

    @property
    def patch(self) -> int:
        """S, slots of a patch."""
        return sum(self.widths)
