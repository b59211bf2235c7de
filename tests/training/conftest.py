"""A small training on two sessions, cheap enough to run many times."""

import dataclasses

import numpy as np
import torch

from raydistill.config.model import TrainingConfig
from raydistill.models.neural import NeuralModel
from raydistill.objectives import masked_autoencoding
from raydistill.store.batches import Feed
from raydistill.store.order import Row
from raydistill.store.tokens import Inputs
from raydistill.training.loop import Training

from ..models.conftest import CONFIG, make_segments, make_spec

RECIPE = TrainingConfig(epochs=5, batch=4, warmup_epochs=2, precision="fp32", checkpoint_every=1, learning_rate=3e-3)


def make_feed(n=12, batch=4, parts=2):
    """`parts` part files of a's and b's segments, all held by one worker."""
    segments = make_segments(["a", "b"] * (n // 2), [10] * n)
    tokens = [Inputs(modality="lfp", widths=(8,)).tokenize(s) for s in segments]
    groups = np.array_split(np.arange(n), parts)
    held = {Row(p, r): tokens[i] for p, group in enumerate(groups) for r, i in enumerate(group)}
    valid = {Row(0, i): t for i, t in enumerate(tokens[:4])}
    return Feed({"train": [len(g) for g in groups], "valid": [4]}, {"train": held, "valid": valid}, batch, seed=0)


def make_training(folder, *, recipe=RECIPE, feed=None, seed=0, dropout=0.2):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    spec = dataclasses.replace(make_spec(), config=dataclasses.replace(CONFIG, dropout=dropout))
    return Training(
        model=NeuralModel(spec),
        objective=masked_autoencoding(0.6),
        feed=feed or make_feed(),
        recipe=recipe,
        seed=seed,
        folder=folder,
    )
