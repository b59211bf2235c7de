"""The families of models: how each is configured, counted and built.

A closed table: to add a family, write its folder under models/ and its line in `FAMILIES` (docs/extending.md). Planning
reads it, so nothing here imports torch before a model is built.

What a built model offers is the same for every family, and tests/models/test_families.py holds every family to it:

- `spec`: its ModelSpec.
- `latents(batch)`: (sum of T, D) latents of every bin, nothing masked.
- `reconstruct(batch, masking)`: (M, S) masked patches, if it is trained by masking.
- `behavior(latents)`: (sum of T, K), if `spec.behavior` names columns.
- `initial_state()` and `step(state, bin)`: one bin at a time, if `config.causal`; equal to `latents`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from raydistill.models.crossmodal import config as crossmodal
from raydistill.models.crossmodal.parameters import parameters as crossmodal_parameters
from raydistill.models.spec import ModelSpec

if TYPE_CHECKING:
    from raydistill.models.crossmodal.model import CrossModalModel


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the models of one family come about."""

    settings: type
    """The dataclass of what `model:` of a sweep may set."""
    presets: Mapping[str, Any]
    """Preset -> settings."""
    config: type
    """The dataclass of what one model uses: the part of a job's identity, and of model.json. It offers `modality`,
    `width` (D of the latents), `causal`, and `inputs.widths(bands)` (slots of each signal in a patch)."""
    configure: Callable[..., Any]
    """(settings, modality, embedding, predictor, readout) -> config; ConfigError where they do not suit each other."""
    parameters: Callable[..., int]
    """(config, patches=, bands=, n_behavior=) -> number of parameters."""
    build: "Callable[[ModelSpec], CrossModalModel]"
    """An untrained model, its weights drawn from torch's random state."""
    fit: Callable[..., Any] | None = None
    """Fits a model that is not trained by the loop; None where it is."""


def _build_crossmodal(spec: ModelSpec) -> "CrossModalModel":
    from raydistill.models.crossmodal.model import CrossModalModel

    return CrossModalModel(spec)


FAMILIES = {
    "crossmodal": Family(
        settings=crossmodal.CrossModalSettings,
        presets=crossmodal.PRESETS,
        config=crossmodal.CrossModalConfig,
        configure=crossmodal.configure,
        parameters=crossmodal_parameters,
        build=_build_crossmodal,
    ),
}
"""Name in `family:` of a job -> the family."""
DEFAULT_FAMILY = "crossmodal"
Settings: Any = Union[tuple(family.settings for family in FAMILIES.values())]  # noqa: UP007 - of any number
"""The union of what `model:` may set; each key is checked against the family of its job."""


def build_model(spec: ModelSpec) -> "CrossModalModel":
    """An untrained model of its family."""
    return FAMILIES[spec.family].build(spec)
