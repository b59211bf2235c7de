"""A family that is fitted without the training loop: least squares from the mean patch of a bin to behavior."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from raydistill.models.families import Family
from raydistill.models.layers.parameters import linear_parameters
from raydistill.models.layers.pooling import mean_per_bin
from raydistill.models.model import Model, check_one_bin


@dataclass(frozen=True, kw_only=True)
class LinearSettings:
    patch: int = 8


@dataclass(frozen=True, kw_only=True)
class PatchInput:
    patch: int

    def widths(self, bands):
        return (self.patch * bands,)


@dataclass(frozen=True, kw_only=True)
class LinearConfig:
    causal: ClassVar[bool] = True
    modality: str
    inputs: PatchInput

    @property
    def width(self):
        return self.inputs.patch


class LinearModel(Model):
    """The latents of a bin are its mean patch."""

    def __init__(self, spec):
        super().__init__(spec)
        self.behavior = nn.Linear(spec.patch, len(spec.behavior))

    def latents(self, batch):
        return mean_per_bin(batch.values.float(), batch)

    def initial_state(self, streams, patches, window):
        return {}

    def step(self, state, batch):
        check_one_bin(batch)
        return {}, self.latents(batch)


def configure(settings, modality, embedding, predictor=False, readout=False):
    assert not predictor and not readout
    return LinearConfig(modality=modality, inputs=PatchInput(patch=settings.patch))


def parameters(config, *, patches, bands=1, n_behavior=0):
    return linear_parameters(config.inputs.patch * bands, n_behavior)


def fit(spec, train, valid, bin_width_ms):
    model = LinearModel(spec)
    ones = torch.ones(sum(train.bins), 1)
    design = torch.cat([model.latents(train), ones], dim=1)  # (n, S + 1)
    solution = (torch.linalg.pinv(design.double()) @ train.behavior.double()).float()  # (S + 1, K); padding has zeros
    with torch.no_grad():
        model.behavior.weight.copy_(solution[:-1].T)
        model.behavior.bias.copy_(solution[-1])
    return model


LINEAR = Family(
    settings=LinearSettings,
    presets=dict.fromkeys(("paper", "small", "tiny"), LinearSettings()),
    config=LinearConfig,
    configure=configure,
    parameters=parameters,
    build=LinearModel,
    fit=fit,
)
