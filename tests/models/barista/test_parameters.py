"""The published numbers of parameters of BaRISTA, from the configuration and from the built modules."""

import dataclasses

import pytest

from raydistill.errors import ConfigError
from raydistill.models.barista.config import (
    PRESETS,
    BaristaSettings,
    configure,
    encoder_parameters,
    space_parameters,
    tokenizer_parameters,
)
from raydistill.models.families import build_model, count_parameters
from raydistill.models.spec import LabelOutputs, ModelSpec
from raydistill.store.channels import channel_table
from tests.models.barista.models import small_spec

PUBLISHED = {"position": (0, 38_400, 869_800), "parcels": (120, 7_744, 839_144), "lobes": (20, 1_344, 832_744)}
"""Scale -> named regions, parameters of the space embedding, and of the whole model."""


def size(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(("scale", "n_names", "space", "whole"), [(s, *n) for s, n in PUBLISHED.items()])
def test_model_is_as_large_as_published(scale, n_names, space, whole):
    settings = dataclasses.replace(PRESETS["paper"], token_bins=512, space="region" if n_names else "position")
    config, names = configure(settings, "lfp", "dilated"), tuple(f"parcel {i}" for i in range(n_names))
    assert encoder_parameters(config) == 798_016
    assert config.embedding.parameters(bands=1) == 616
    assert tokenizer_parameters(config) == 616 + 32_768
    assert space_parameters(config, names=n_names) == space
    table = channel_table(1, region=names[:1] or [""], x_um=[0.0])
    spec = ModelSpec(family="barista", config=config, sessions={"s": 1}, channels={"s": table}, place_names=names)
    model = build_model(spec)
    parts = (model.encoder, model.tokenizer.value.blocks, model.tokenizer.value.linear, model.tokenizer.space)
    assert tuple(size(part) for part in parts) == (798_016, 616, 32_768, space)
    assert size(model) == count_parameters(spec) == whole


def test_model_of_a_label_has_a_map_per_bin_and_one_output_per_class():
    spec = small_spec()
    labelled = dataclasses.replace(spec, label=LabelOutputs(name="side", classes=("left", "right", "none")))
    model, width, bins = build_model(labelled), spec.config.width, spec.config.token_bins
    assert size(model) == count_parameters(labelled)
    assert size(model.bins, model.classes) == width + bins * width**2 + 3 * (width + 1)
    assert size(model) - size(model.bins, model.classes) == size(build_model(spec)) == count_parameters(spec)


def test_electrode_with_bands_has_one_token_and_larger_convolutions():
    spec = dataclasses.replace(small_spec(behavior=("vx",)), bands=9)
    model = build_model(spec)
    assert model.tokenizer.value.blocks[0].first.in_channels == 9
    assert size(model) == count_parameters(spec)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (("spikes", "dilated"), "reads LFP alone, but the job's model reads spikes"),
        (("multimodal", "dilated"), "the job's model reads spikes and LFP"),
        (("lfp", "linear"), "has `embedding: dilated`, but got linear"),
        (("lfp", "dilated", True), "predicts tokens and reconstructs no LFP"),
        (("lfp", "dilated", False, True), "predicts tokens and reconstructs no LFP"),
    ],
)
def test_use_that_the_family_does_not_have_is_refused(use, message):
    with pytest.raises(ConfigError, match=message):
        configure(BaristaSettings(), *use)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"dilations": ()}, "needs one dilation or more"),
        ({"heads": 3}, r"a multiple of twice `heads` .* got \(width=64, heads=3\)"),
        ({"token_bins": 1}, "`token_bins` must be at least 2, but got 1"),
    ],
)
def test_size_that_cannot_work_is_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        BaristaSettings(**setting)
