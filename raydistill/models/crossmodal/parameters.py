"""The number of parameters of a cross-modal model, from its configuration alone (docs/methods.md, Model).

This file imports no torch, because planning prints these numbers.
"""

from itertools import pairwise

from raydistill.models.crossmodal.backbones import TransformerBackbone
from raydistill.models.crossmodal.config import (
    ConvEmbedding,
    CountEmbedding,
    CrossModalConfig,
    GatedEmbedding,
    MlpEmbedding,
    SpikesInput,
)
from raydistill.models.layers.parameters import (
    MaskedCount,
    TokenCount,
    bidirectional_parameters,
    linear_parameters,
    transformer_parameters,
)

BOTTLENECK = 64
"""Width of the layer between the predictor's transformer and the reconstructed patch."""
FEATURES, FEATURE_KERNEL, GATE_KERNEL = 8, 3, 5
"""Of the gated embedding: features of a channel, the bins that they read, and the channels that a gate reads."""


def parameters(config: CrossModalConfig, *, patches: int, bands: int = 1, n_behavior: int = 0) -> int:
    """Number of parameters of the complete model.

    Args:
        patches: patches per bin, summed over the sessions for which the model has space embeddings.
        bands: LFP features per electrode.
        n_behavior: number of behavior columns that the model predicts.
    """
    patch = sum(config.inputs.widths(bands))
    total = config.backbone.parameters(config.width) + embedding_parameters(config, patch)
    total += 0 if config.space == "none" else patches * config.width
    total += config.width if config.lookahead_bins else 0  # what is read after the end of a segment
    total += predictor_parameters(config, patch) + bins_predictor_parameters(config, patch, patches)
    if config.readout:
        total += linear_parameters(config.width, patch) * (patches if config.readout_of == "pooled" else 1)
        total += linear_parameters(config.width, config.width) if config.readout_of == "hidden" else 0
    return total + (linear_parameters(config.width, n_behavior) if n_behavior else 0)


def tokens(config: CrossModalConfig, patches: int, bins: int) -> TokenCount | None:
    """A token per patch and bin; None for the backbones that read the mean over patches."""
    if not isinstance(config.backbone, TransformerBackbone):
        return None
    side, p = None, config.predictor
    if p is not None:
        count = predictor_parameters(config, sum(config.inputs.widths(bands=1)))
        side = MaskedCount(parameters=count, width=p.width, layers=p.layers)
    return TokenCount(per_bin=patches, attended=patches * bins, layers=config.backbone.layers, masked_side=side)


def predictor_parameters(config: CrossModalConfig, patch: int) -> int:
    """Number of parameters of the predictor, 0 without one: mask token, linear maps and transformer."""
    if config.predictor is None:
        return 0
    p = config.predictor
    maps = linear_parameters(config.width, p.width) + linear_parameters(p.width, BOTTLENECK)
    maps += linear_parameters(BOTTLENECK, patch)
    return config.width + maps + transformer_parameters(p.width, p.layers, p.mlp_ratio)


def bins_predictor_parameters(config: CrossModalConfig, patch: int, patches: int) -> int:
    """Number of parameters of the predictor of masked bins, 0 without one.

    Args:
        patches: per bin, summed over the sessions; each has its own read-out, unless no weight belongs to a session.
    """
    if config.bins_predictor is None:
        return 0
    p, width = config.bins_predictor, config.width
    mlp = linear_parameters(width, 2 * width) + 4 * width + linear_parameters(2 * width, width)
    mixed = 2 * width + bidirectional_parameters(width, 1, p.states, p.head) + 2 * width
    return width + mixed + mlp + linear_parameters(width, patch) * (1 if config.space == "none" else patches)


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
        case GatedEmbedding():
            features = FEATURES * FEATURE_KERNEL + FEATURES
            return features + GATE_KERNEL + linear_parameters(FEATURES * patch, config.width) + 2 * config.width
    return linear_parameters(patch, config.width)
