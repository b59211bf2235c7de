"""Numbers of parameters of the shared layers, from their sizes alone; imports no torch, for planning."""


def linear_parameters(inputs: int, outputs: int) -> int:
    """A linear map with bias."""
    return inputs * outputs + outputs


def transformer_parameters(width: int, layers: int, mlp_ratio: int) -> int:
    """`layers` pre-norm blocks with a gated MLP, and a final norm."""
    hidden = mlp_ratio * width
    attention = linear_parameters(width, 3 * width) + linear_parameters(width, width)
    mlp = 2 * linear_parameters(width, hidden) + linear_parameters(hidden, width)
    return layers * (2 * width + attention + mlp) + width  # two norms per block, one at the end
