"""Small batches of tokens and small models, for tests of models, objectives and training."""

import dataclasses

import numpy as np
import torch

from raydistill.feed.feed import FeedBatch
from raydistill.feed.noise import token_noise
from raydistill.feed.tokens import Batch, Inputs, pack
from raydistill.models.crossmodal.config import CrossModalSettings, configure
from raydistill.models.spec import ModelSpec
from raydistill.store.channels import channel_table
from raydistill.store.session import Segment

SETTINGS = CrossModalSettings(
    width=32, layers=2, heads=2, dropout=0.0, spikes_patch=8, lfp_patch=8, predictor_width=24, predictor_heads=2
)
COLUMNS = {"a": 8, "b": 20}
"""Units and channels of each session: one patch, and three of which the last has four padded slots."""


def electrodes(count):
    """Two arrays in two regions; of the last electrode nothing is known."""
    first = count // 2
    return channel_table(
        count,
        electrode=[str(i) for i in range(count)],
        array=["M1"] * first + ["S1"] * (count - first - 1) + [""],
        region=["motor"] * first + ["sensory"] * (count - first - 1) + [""],
        x_um=[400.0 * i for i in range(count - 1)] + [None],
        y_um=[0.0] * (count - 1) + [None],
        z_um=[1200.0] * (count - 1) + [None],
    )


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


def make_batch(sessions, lengths, modality="lfp", seed=0) -> Batch:
    inputs = Inputs(modality=modality, widths=(8,))
    return pack([inputs.tokenize(s) for s in make_segments(sessions, lengths, seed)])


def make_feed_batch(sessions, lengths, modality="lfp", seed=0, **teacher) -> FeedBatch:
    """As the feed gives it; `teacher`: its `teacher_latents` or `teacher_tokens`."""
    return FeedBatch(tokens=make_batch(sessions, lengths, modality, seed), **teacher)


def noise_of(batch: Batch, seed=0, epoch=0):
    return token_noise(batch.sessions, batch.numbers, batch.lengths, seed, epoch)


def make_spec(modality="lfp", embedding="linear", outputs=("predictor",), behavior=(), settings=SETTINGS) -> ModelSpec:
    """`outputs`: predictor, readout, or neither."""
    config = configure(settings, modality, embedding, predictor="predictor" in outputs, readout="readout" in outputs)
    return ModelSpec(family="crossmodal", config=config, sessions={"a": 1, "b": 3}, behavior=behavior)


def run_step_by_step(model, segment, inputs: Inputs):
    """The state after the last bin of a segment, and the latents (T, D) of its bins, each from one `step`."""
    state, latents = model.initial_state(1, model.spec.sessions[segment.session], segment.n_bins), []
    for t in range(segment.n_bins):
        one = dataclasses.replace(segment, spikes=segment.spikes[t : t + 1], lfp=segment.lfp[t : t + 1])
        state, of_bin = model.step(state, pack([inputs.tokenize(one)]))
        latents.append(of_bin)
    return state, torch.cat(latents)
