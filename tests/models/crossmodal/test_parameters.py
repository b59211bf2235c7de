"""The published numbers of parameters, from the configuration alone."""

import dataclasses
import subprocess
import sys

import pytest

from raydistill.models.crossmodal.backbones import BACKBONES, MambaBackbone
from raydistill.models.crossmodal.config import PRESETS, configure
from raydistill.models.crossmodal.parameters import embedding_parameters, parameters, predictor_parameters

PAPER = PRESETS["paper"]


def config_of(modality="lfp", embedding="linear", settings=PAPER, **outputs):
    return configure(settings, modality, embedding, **outputs)


def encoder_parameters(settings):
    return config_of(settings=settings).backbone.parameters(settings.width)


@pytest.mark.parametrize(
    ("layers", "count"), [(1, 1_052_672), (2, 2_105_088), (4, 4_209_920), (8, 8_419_584), (10, 10_524_416)]
)
def test_encoder_is_as_large_as_published(layers, count):
    assert encoder_parameters(dataclasses.replace(PAPER, layers=layers)) == count


@pytest.mark.parametrize(
    ("patch", "count"),
    [(64, 2_437_120), (32, 2_435_040), (288, 2_451_680), (96, 2_439_200), (352, 2_455_840)],
)
def test_predictor_is_as_large_as_published(patch, count):
    assert predictor_parameters(config_of(predictor=True), patch) == count
    assert predictor_parameters(config_of(), patch) == 0


@pytest.mark.parametrize(
    ("embedding", "patch", "count"),
    [
        ("count", 64, 28),
        ("linear", 32, 8_448),
        ("linear", 288, 73_984),
        ("linear", 96, 24_832),
        ("linear", 352, 90_368),
        ("conv", 32, 24_832),
        ("conv", 288, 221_440),
        ("conv", 96, 73_984),
        ("conv", 352, 270_592),
        ("mlp", 32, 148_224),
        ("mlp", 288, 279_296),
    ],
)
def test_value_embedding_is_as_large_as_published(embedding, patch, count):
    modality = "spikes" if embedding == "count" else "lfp"
    assert embedding_parameters(config_of(modality, embedding), patch) == count


def test_distilled_models_are_as_large_as_published():
    student = config_of(embedding="conv")
    for bands, total in ((1, 10_550_016), (9, 10_746_624)):
        assert parameters(student, patches=3, bands=bands) == total
        assert parameters(student, patches=3, bands=bands, n_behavior=2) == total + 514
    with_readout = config_of(embedding="conv", readout=True)
    assert parameters(with_readout, patches=3) == 10_550_016 + 256 * 32 + 32
    pooled = config_of(embedding="conv", readout=True, settings=dataclasses.replace(PAPER, readout="pooled"))
    assert parameters(pooled, patches=3) == 10_550_016 + 256 * 96 + 96


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("layers", [1, 2, 10])
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_is_about_as_large_as_the_transformer(backbone, layers, preset, causal):
    settings = dataclasses.replace(PRESETS[preset], layers=layers, causal=causal)
    budget = encoder_parameters(settings)
    assert abs(encoder_parameters(dataclasses.replace(settings, backbone=backbone)) / budget - 1) < 0.1


def test_paper_size_lstm_and_cnn_have_these_sizes():
    hidden = lambda **changes: config_of(settings=dataclasses.replace(PAPER, **changes)).backbone.hidden  # noqa: E731
    assert (hidden(backbone="lstm"), hidden(backbone="cnn")) == (534, 684)
    assert hidden(backbone="lstm", causal=True) == 884


def test_mamba_layers_of_realm_have_the_published_number_of_parameters():
    """REALM's encoder without tokenizer and final norm: 10 causal layers, and 10 layers in both directions."""
    sizes = {"expand": 2, "states": 64, "head": 64}
    causal = MambaBackbone(layers=10, causal=True, **sizes).parameters(256)
    assert causal == 4_857_365 - 197_413
    both = MambaBackbone(layers=10, causal=False, **sizes).parameters(256)
    assert both == 10_830_085 - 197_413


def test_counting_parameters_needs_no_torch():
    code = "import sys, raydistill.models.families; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
