"""The number of parameters of a cross-modal model, from its configuration alone (docs/methods.md, Model).

This file imports no torch, because planning prints these numbers.
"""

from itertools import pairwise

from raydistill.models.crossmodal.config import (
    ConvEmbedding,
    CountEmbedding,
    CrossModalConfig,
    MlpEmbedding,
    SpikesInput,
)
from raydistill.models.layers.parameters import linear_parameters, transformer_parameters

BOTTLENECK = 64
"""Width of the layer between the predictor's transformer and the reconstructed patch."""


def parameters(config: CrossModalConfig, *, patches: int, bands: int = 1, n_behavior: int = 0) -> int:
    """Number of parameters of the complete model.

    Args:
        patches: patches per bin, summed over the sessions for which the model has space embeddings.
        bands: LFP features per electrode.
        n_behavior: number of behavior columns that the model predicts.
    """
    patch = sum(config.inputs.widths(bands))
    total = config.backbone.parameters(config.width) + embedding_parameters(config, patch) + patches * config.width
    total += predictor_parameters(config, patch)
    if config.readout:
        total += linear_parameters(config.width, patch) * (patches if config.readout_of == "pooled" else 1)
    return total + (linear_parameters(config.width, n_behavior) if n_behavior else 0)


def predictor_parameters(config: CrossModalConfig, patch: int) -> int:
    """Number of parameters of the predictor, 0 without one: mask token, linear maps and transformer."""
    if config.predictor is None:
        return 0
    p = config.predictor
    maps = linear_parameters(config.width, p.width) + linear_parameters(p.width, BOTTLENECK)
    maps += linear_parameters(BOTTLENECK, patch)
    return config.width + maps + transformer_parameters(p.width, p.layers, p.mlp_ratio)


def embedding_parameters(config: CrossModalConfig, patch: int) -> int:
    """Number of parameters of the value embedding of a patch of `patch` slots."""
    match config.embedding:
        case CountEmbedding():
            assert isinstance(config.inputs, SpikesInput)
            return (config.inputs.max_count + 2) * (config.width // patch)  # one row is for padded slots
        case ConvEmbedding():
            return linear_parameters(patch * config.embedding.kernel, config.width)
        case MlpEmbedding():
            sizes = (patch, *config.embedding.hidden, config.width)
            return sum(linear_parameters(a, b) for a, b in pairwise(sizes))
    return linear_parameters(patch, config.width)
