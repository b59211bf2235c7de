"""A small training on two sessions, cheap enough to run many times."""

import dataclasses

import numpy as np
import torch

from raydistill.config.engine import EngineConfig
from raydistill.config.training import TrainingConfig
from raydistill.feed.feed import Example, Feed, InMemory
from raydistill.feed.order import SegmentPlace, Shards
from raydistill.feed.tokens import Inputs
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.objectives import masked_autoencoding
from raydistill.training.loop import Training
from tests.small import SETTINGS, make_segments, make_spec

RECIPE = TrainingConfig(epochs=5, batch=4, warmup_epochs=2, precision="fp32", learning_rate=3e-3)
ENGINE = EngineConfig(checkpoint_every=1)


def make_examples(n=12):
    inputs = Inputs(modality="lfp", widths=(8,))
    return [Example(inputs.tokenize(s)) for s in make_segments(["a", "b"] * (n // 2), [10] * n)]


def make_feed(n=12, parts=2, examples=None, **changes):
    """`parts` part files of a's and b's segments, all held by one worker."""
    examples = examples or make_examples(n)
    groups = np.array_split(np.arange(n), parts)
    train = {SegmentPlace(p, r): examples[i] for p, group in enumerate(groups) for r, i in enumerate(group)}
    valid = {SegmentPlace(0, i): e for i, e in enumerate(examples[:4])}
    sizes = [len(g) for g in groups]
    given = {"batch": RECIPE.batch, "seed": 0, "part_sessions": [f"part{p}" for p in range(parts)]} | changes
    return Feed(
        source=InMemory({"train": train, "valid": valid}),
        train_shards=Shards.deal(sizes, sizes),
        valid_shards=Shards.deal([4], [4]),
        **given,
    )


def make_training(folder, *, recipe=RECIPE, engine=ENGINE, feed=None, seed=0, dropout=0.2):
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    spec = make_spec(settings=dataclasses.replace(SETTINGS, dropout=dropout))
    return Training(
        model=CrossModalModel(spec),
        objective=masked_autoencoding(0.6),
        feed=feed or make_feed(),
        recipe=recipe,
        engine=engine,
        seed=seed,
        folder=folder,
    )
