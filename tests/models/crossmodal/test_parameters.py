"""The published numbers of parameters (spec B5), from the configuration alone."""

import dataclasses
import subprocess
import sys

import pytest

from raydistill.models.crossmodal.config import PRESETS, ModelConfig
from raydistill.models.crossmodal.parameters import (
    behavior_head_parameters,
    conv_hidden,
    encoder_parameters,
    lstm_hidden,
    predictor_parameters,
    readout_parameters,
    space_parameters,
    value_parameters,
)

PAPER = ModelConfig()


@pytest.mark.parametrize(
    ("layers", "parameters"), [(1, 1_052_672), (2, 2_105_088), (4, 4_209_920), (8, 8_419_584), (10, 10_524_416)]
)
def test_encoder_is_as_large_as_published(layers, parameters):
    assert encoder_parameters(ModelConfig(layers=layers)) == parameters


@pytest.mark.parametrize(
    ("patch", "parameters"),
    [(64, 2_437_120), (32, 2_435_040), (288, 2_451_680), (96, 2_439_200), (352, 2_455_840)],
)
def test_predictor_is_as_large_as_published(patch, parameters):
    assert predictor_parameters(PAPER, patch) == parameters


@pytest.mark.parametrize(
    ("value", "patch", "parameters"),
    [
        ("count", 64, 28),
        ("linear", 32, 8_448),
        ("linear", 288, 73_984),
        ("linear", 96, 24_832),
        ("linear", 352, 90_368),
        ("conv", 32, 24_832),
        ("conv", 288, 221_440),
        ("conv", 96, 73_984),
        ("conv", 352, 270_592),  # B5 prints 270 848, with the bias counted twice
        ("mlp", 32, 148_224),
        ("mlp", 288, 279_296),
    ],
)
def test_value_embedding_is_as_large_as_published(value, patch, parameters):
    assert value_parameters(value, patch, PAPER) == parameters


def test_distilled_models_are_as_large_as_published():
    assert behavior_head_parameters(PAPER, 2) == 514
    assert readout_parameters(PAPER, 32) == 256 * 32 + 32
    for patch, total in ((32, 10_550_016), (288, 10_746_624)):
        parts = encoder_parameters(PAPER), value_parameters("conv", patch, PAPER), space_parameters(3, PAPER)
        assert sum(parts) == total


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("layers", [1, 2, 10])
def test_every_backbone_is_about_as_large_as_the_transformer(layers, preset, causal):
    config = dataclasses.replace(PRESETS[preset], layers=layers, causal=causal)
    budget = encoder_parameters(config)
    for backbone in ("lstm", "cnn"):
        assert abs(encoder_parameters(dataclasses.replace(config, backbone=backbone)) / budget - 1) < 0.1


def test_paper_size_lstm_and_cnn_have_these_sizes():
    assert (lstm_hidden(PAPER), conv_hidden(PAPER)) == (534, 684)
    assert lstm_hidden(dataclasses.replace(PAPER, causal=True)) == 884


def test_counting_parameters_needs_no_torch():
    code = "import sys, raydistill.models.crossmodal.parameters; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
