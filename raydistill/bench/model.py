"""The model that the benchmarks train: masked autoencoding of one signal."""

from typing import Literal

from raydistill.models.crossmodal.config import CrossModalSettings, configure
from raydistill.models.spec import ModelSpec


def masked_model(
    settings: CrossModalSettings, modality: Literal["spikes", "lfp"], sessions: dict[str, int]
) -> ModelSpec:
    """A cross-modal model with a predictor.

    Args:
        sessions: session -> patches per bin.
    """
    config = configure(settings, modality, "count" if modality == "spikes" else "linear", predictor=True)
    return ModelSpec(family="crossmodal", config=config, sessions=sessions)
