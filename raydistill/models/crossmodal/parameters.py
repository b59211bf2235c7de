"""Numbers of parameters from the configuration alone, without torch: what planning prints (spec B5).

Here are also the sizes that are chosen by their number of parameters: LSTM and CNN get as many as the transformer
encoder in whose place they stand (spec E6). The spec's "640 (~11 M)" is 14.4 M: the size follows from the budget.
"""

from bisect import bisect_left
from collections.abc import Callable

from raydistill.models.crossmodal.config import ModelConfig

LSTM_LAYERS = 2
CONV_BLOCKS, CONV_KERNEL = 10, 5
BOTTLENECK = 64
"""Width between the predictor and its patch-sized output (spec B3)."""
MLP_HIDDEN = 512
"""Hidden units of the published code's value embedding of LFP (spec A6, 5)."""


def encoder_parameters(config: ModelConfig) -> int:
    if config.backbone == "lstm":
        return _lstm(config, lstm_hidden(config))
    if config.backbone == "cnn":
        return _convolutional(config, conv_hidden(config))
    return _transformer(config.width, config.layers, config.mlp_ratio)


def lstm_hidden(config: ModelConfig) -> int:
    """Units of each direction, so that the LSTM is as large as the transformer."""
    return _closest(lambda hidden: _lstm(config, hidden), _transformer(config.width, config.layers, config.mlp_ratio))


def conv_hidden(config: ModelConfig) -> int:
    """Channels within each block, so that the CNN is as large as the transformer."""
    budget = _transformer(config.width, config.layers, config.mlp_ratio)
    return _closest(lambda hidden: _convolutional(config, hidden), budget)


def predictor_parameters(config: ModelConfig, patch: int) -> int:
    width = config.predictor_width
    stack = _transformer(width, config.predictor_layers, config.mlp_ratio)
    around = _linear(config.width, width) + _linear(width, BOTTLENECK) + _linear(BOTTLENECK, patch)
    return config.width + around + stack  # the mask token is of the encoder's width


def value_parameters(value: str, patch: int, config: ModelConfig) -> int:
    """Of a value embedding: count, linear, conv or mlp."""
    sizes = {
        "count": (config.max_count + 2) * (config.width // patch),  # the padding's row included
        "linear": _linear(patch, config.width),
        "conv": _linear(patch * config.conv_kernel, config.width),
        "mlp": _linear(patch, MLP_HIDDEN) + _linear(MLP_HIDDEN, config.width),
    }
    return sizes[value]


def space_parameters(patches: int, config: ModelConfig) -> int:
    """Of the space embeddings of sessions that have so many patches a bin, all together."""
    return patches * config.width


def behavior_head_parameters(config: ModelConfig, n_behavior: int) -> int:
    return _linear(config.width, n_behavior)


def readout_parameters(config: ModelConfig, patch: int) -> int:
    return _linear(config.width, patch)


def _linear(inputs, outputs):
    return inputs * outputs + outputs


def _transformer(width, layers, mlp_ratio):
    hidden = mlp_ratio * width
    attention = _linear(width, 3 * width) + _linear(width, width)
    mlp = 2 * _linear(width, hidden) + _linear(hidden, width)
    return layers * (2 * width + attention + mlp) + width  # two norms a block, one at the end


def _lstm(config, hidden):
    directions = 1 if config.causal else 2
    inputs = [config.width] + [directions * hidden] * (LSTM_LAYERS - 1)
    layers = sum(directions * 4 * hidden * (n + hidden + 2) for n in inputs)  # four gates, two biases each
    return layers + _linear(directions * hidden, config.width) + config.width


def _convolutional(config, hidden):
    block = config.width + _linear(CONV_KERNEL * config.width, hidden) + _linear(hidden, config.width)
    return CONV_BLOCKS * block + config.width


def _closest(count: Callable[[int], int], budget: int) -> int:
    """The size whose count, which grows with it, comes closest to the budget."""
    above = 1 + bisect_left(range(1, budget), budget, key=count)
    return min(max(above - 1, 1), above, key=lambda size: abs(count(size) - budget))
