"""The published number of parameters, from the configuration and from the module, which is never allocated."""

import dataclasses

import pytest
import torch

from raydistill.errors import ConfigError
from raydistill.models.brant.config import BANDS_HZ, PRESETS, BrantSettings, configure, settings_of
from raydistill.models.families import build_model, count_parameters
from raydistill.models.spec import ModelSpec

PUBLISHED = 505_682_396


def spec_of(settings, is_masked=True, behavior=()):
    config = configure(settings, "lfp", "linear", predictor=is_masked)
    return ModelSpec(family="brant", config=config, sessions={"a": 5}, behavior=behavior)


def module_size(spec):
    with torch.device("meta"):
        model = build_model(spec)
    assert all(weight.is_meta for weight in model.parameters())
    return sum(weight.numel() for weight in model.parameters())


def test_published_sizes_have_the_published_number_of_parameters():
    spec = spec_of(PRESETS["paper"])
    assert count_parameters(spec) == module_size(spec) == PUBLISHED


@pytest.mark.parametrize(
    ("masked_by", "is_masked", "behavior", "more"),
    [
        ("learned", True, (), 1500 + 2048),
        ("zeros", False, (), -(2048 * 1500 + 1500)),
        ("zeros", True, ("vx", "vy"), 2 * 1500 * 2048 + 2 * 2049),
    ],
    ids=["learned masks", "without masking", "with behavior"],
)
def test_parts_of_a_model_change_its_number_of_parameters(masked_by, is_masked, behavior, more):
    spec = spec_of(dataclasses.replace(PRESETS["paper"], masked_by=masked_by), is_masked, behavior)
    assert count_parameters(spec) == module_size(spec) == PUBLISHED + more


@pytest.mark.parametrize("preset", ["small", "tiny"])
def test_small_presets_are_counted_as_they_are_built(preset):
    spec = spec_of(PRESETS[preset], behavior=("vx",))
    assert count_parameters(spec) == module_size(spec)


@pytest.mark.parametrize(("bin_width_ms", "bands"), [(4, 8), (5, 7), (10, 4), (20, 3), (30, 3), (50, 2)])
def test_bands_exist_that_begin_below_half_the_bin_rate(bin_width_ms, bands):
    settings = BrantSettings(bin_width_ms=bin_width_ms, patch_bins=50)
    assert settings.bands_hz == BANDS_HZ[:bands]
    assert configure(settings, "lfp", "linear").bands == bands


def test_settings_of_a_configuration_give_it_again():
    settings = dataclasses.replace(PRESETS["small"], masked_by="learned", patches=7)
    config = configure(settings, "lfp", "linear", predictor=True)
    assert dataclasses.replace(PRESETS["paper"], **settings_of(config)) == settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bin_width_ms": 125}, "bins of 125 ms are too slow for the lowest band of BRANT, 4 to 8 Hz"),
        ({"bin_width_ms": 4, "patch_bins": 25}, "has no frequency in the band 4 to 8 Hz; give more `patch_bins`"),
        ({"heads": 3}, r"`heads` must divide `width`, but got \(width=128, heads=3\)"),
    ],
)
def test_settings_that_cannot_work_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(PRESETS["tiny"], **changes)


@pytest.mark.parametrize(
    ("modality", "embedding", "readout", "message"),
    [
        ("spikes", "linear", False, "`family: brant` reads LFP alone, but the job's model reads spikes"),
        ("lfp", "conv", False, "has `embedding: linear`, but got conv"),
        ("lfp", "linear", True, "reconstructs only what is masked"),
    ],
)
def test_models_that_brant_does_not_have_are_refused(modality, embedding, readout, message):
    with pytest.raises(ConfigError, match=message):
        configure(PRESETS["tiny"], modality, embedding, readout=readout)
