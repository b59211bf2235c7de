"""Small batches of tokens for the models."""

import numpy as np

from raydistill.feed.tokens import Inputs, pack
from raydistill.models.crossmodal.config import ModelConfig
from raydistill.models.crossmodal.model import ModelSpec
from raydistill.store.session import Segment

CONFIG = ModelConfig(
    width=32, layers=2, heads=2, dropout=0.0, spikes_patch=8, lfp_patch=8, predictor_width=24, predictor_heads=2
)
COLUMNS = {"a": 8, "b": 20}
"""Units and channels of each session: one patch, and three of which the last has four padded slots."""


def make_segments(sessions, lengths, seed=0):
    random = np.random.default_rng(seed)
    return [
        Segment(
            name,
            number,
            "train",
            0.0,
            random.poisson(0.7, (length, COLUMNS[name])).astype(np.uint8),
            random.normal(size=(length, COLUMNS[name])).astype(np.float32),
            None,
        )
        for number, (name, length) in enumerate(zip(sessions, lengths, strict=True))
    ]


def make_batch(sessions, lengths, modality="lfp", seed=0):
    inputs = Inputs(modality=modality, widths=(8,))
    return pack([inputs.tokenize(s) for s in make_segments(sessions, lengths, seed)])


def make_spec(modality="lfp", value="linear", heads=("predictor",)):
    return ModelSpec(config=CONFIG, modality=modality, value=value, heads=heads, sessions={"a": 1, "b": 3})
