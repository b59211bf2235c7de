"""Small models of BaRISTA and batches for them."""

import dataclasses

import torch

from raydistill.feed.tokens import Batch, Inputs, pack
from raydistill.models.barista.config import PRESETS, BaristaConfig, configure
from raydistill.models.barista.model import BaristaModel
from raydistill.models.barista.places import place_names
from raydistill.models.spec import ModelSpec
from tests.small import COLUMNS, electrodes, make_segments


def small_config(**changes) -> BaristaConfig:
    settings = dataclasses.replace(PRESETS["tiny"], width=16, token_bins=4, dilations=(1, 2), **changes)
    return configure(settings, "lfp", "dilated")


def small_spec(config=None, columns=COLUMNS, behavior=(), **changes) -> ModelSpec:
    config = config or small_config(**changes)
    channels = {session: electrodes(count) for session, count in columns.items()}
    names = place_names(config, channels.values())
    return ModelSpec(
        family="barista", config=config, sessions=columns, behavior=behavior, channels=channels, place_names=names
    )


def small_model(**changes) -> BaristaModel:
    torch.manual_seed(0)
    return BaristaModel(small_spec(**changes)).eval()


def lfp_batch(sessions=("a", "b"), lengths=(12, 9), seed=0) -> Batch:
    inputs = Inputs(modality="lfp", widths=(1,))
    return pack([inputs.tokenize(segment) for segment in make_segments(sessions, lengths, seed)])
