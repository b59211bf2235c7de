"""The published numbers of parameters of REALM, from the configuration and from the built modules."""

import dataclasses

import pytest

from raydistill.models.crossmodal.parameters import bins_predictor_parameters, parameters
from raydistill.models.families import build_model, count_parameters
from raydistill.models.realm.config import PRESETS, configure
from raydistill.models.spec import ModelSpec

PAPER = PRESETS["paper"]


def config_of(layers=10, expand=2, causal=True, **outputs):
    settings = dataclasses.replace(PAPER, layers=layers, expand=expand, causal=causal)
    return configure(settings, "lfp", "gated", **outputs)


@pytest.mark.parametrize(
    ("layers", "expand", "causal", "count"),
    [
        (8, 1, True, 2_055_557),
        (10, 2, True, 4_857_365),
        (22, 2, True, 10_448_693),
        (8, 1, False, 4_963_813),
        (10, 2, False, 10_830_085),
    ],
)
def test_encoder_is_as_large_as_published(layers, expand, causal, count):
    config = config_of(layers, expand, causal)
    assert parameters(config, patches=200) == count
    model = build_model(ModelSpec(family="realm", config=config, sessions={"s": 1}))
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize(
    ("layers", "expand", "causal", "count"),
    [
        (8, 1, True, 2_106_757),
        (10, 2, True, 4_908_565),
        (22, 2, True, 10_499_893),
        (8, 1, False, 5_015_013),
        (10, 2, False, 10_881_285),
    ],
)
def test_encoder_with_vectors_of_200_sessions_is_as_large_as_published(layers, expand, causal, count):
    settings = dataclasses.replace(PAPER, layers=layers, expand=expand, causal=causal, session_embedding=True)
    config = configure(settings, "lfp", "gated", predictor=True)
    spec = ModelSpec(family="realm", config=config, sessions={f"s{i}": 1 for i in range(200)})
    assert count_parameters(spec) - 885_112 == count  # without the predictor
    assert sum(p.numel() for p in build_model(spec).parameters()) == count_parameters(spec)
    student = dataclasses.replace(spec, config=configure(settings, "lfp", "gated", readout=True))
    assert count_parameters(student) == count_parameters(dataclasses.replace(student, sessions={"s": 1}))


def test_predictor_head_and_readout_are_as_large_as_published():
    encoder = parameters(config_of(causal=False), patches=1)
    assert bins_predictor_parameters(config_of(causal=False, predictor=True), 96, patches=34) == 885_112
    assert parameters(config_of(causal=False, predictor=True), patches=34) == encoder + 885_112
    student = parameters(config_of(), patches=1)
    # The published read-out counts a mask token of 256 that it never uses.
    assert parameters(config_of(readout=True), patches=1) == student + 90_720 - 256
    assert parameters(config_of(), patches=1, n_behavior=2) == student + 514
