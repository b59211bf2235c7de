"""Numbers of parameters of the shared layers, from their sizes alone. Planning uses them, so no torch is imported."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskedCount:
    """What reads all tokens to reconstruct the masked ones, while the encoder reads the others alone."""

    parameters: int
    width: int
    layers: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenCount:
    """How many tokens a transformer reads, from which the time of a training follows."""

    per_bin: float
    attended: float
    """Tokens to which each attends, as a mean over the layers."""
    layers: int
    masked_side: MaskedCount | None = None
    """None: the encoder reads all tokens, in place of masked ones what stands for them."""


def linear_parameters(inputs: int, outputs: int) -> int:
    """Number of parameters of a linear map with bias."""
    return inputs * outputs + outputs


def transformer_parameters(width: int, layers: int, mlp_ratio: int) -> int:
    """Number of parameters of `layers` pre-norm blocks with a gated MLP, and of a final norm."""
    hidden = mlp_ratio * width
    attention = linear_parameters(width, 3 * width) + linear_parameters(width, width)
    mlp = 2 * linear_parameters(width, hidden) + linear_parameters(hidden, width)
    return layers * (2 * width + attention + mlp) + width  # two norms per block, one at the end


def mamba_parameters(width: int, expand: int, states: int, head: int) -> int:
    """Number of parameters of a state-space block in one direction of time (models/layers/mamba.py)."""
    inner = expand * width
    heads = inner // head
    convolution = 5 * inner  # four weights and a bias per column
    maps = 2 * width * inner + 2 * states * inner + linear_parameters(inner, heads) + inner * width
    return maps + convolution + 2 * heads


def bidirectional_parameters(width: int, expand: int, states: int, head: int) -> int:
    """Number of parameters of a block in each direction of time, and of the linear map and norm that merge them."""
    return 2 * mamba_parameters(width, expand, states, head) + linear_parameters(2 * width, width) + 2 * width
