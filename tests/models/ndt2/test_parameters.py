"""The published numbers of parameters of NDT2, from the configuration and from the built modules."""

import dataclasses

import pytest

from raydistill.models.families import build_model, count_parameters
from raydistill.models.ndt2.config import PRESETS, configure, context_parameters, decoder_parameters, encoder_parameters
from raydistill.models.spec import ModelSpec

SUBJECTS = {"a_1": "a", "a_2": "a", "b_1": "b"}


def model_of(masked, **changes):
    config = configure(dataclasses.replace(PRESETS["paper"], **changes), "spikes", "count", predictor=masked)
    spec = ModelSpec(family="ndt2", config=config, sessions=dict.fromkeys(SUBJECTS, 2), subjects=SUBJECTS)
    return spec, build_model(spec)


def size(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.mark.parametrize(
    ("layers", "positions", "count"), [(6, 9, 2_440_960), (10, 8, 4_023_808)], ids=["its own settings", "the baseline"]
)
def test_encoder_is_as_large_as_published(layers, positions, count):
    spec, model = model_of(False, layers=layers, positions=positions)
    assert encoder_parameters(spec.config) == count
    assert size(model.encoder, model.tokenizer.places) == count
    assert count_parameters(spec) == size(model)


def test_masked_side_context_and_count_table_are_as_large_as_published():
    spec, model = model_of(True)
    layers, tables, mask, rates = 2 * (6 * 256**2 + 10 * 256), (250 + 8) * 256, 256, 256 * 64 + 64
    assert decoder_parameters(spec.config) == size(model.masked_side) == layers + tables + mask + rates
    assert context_parameters(spec.config, 3, 2) == size(model.context) == 8 * 256 * (3 + 2 + 2)
    assert size(model.tokenizer.value) == (21 + 1) * 256 // 64  # one row is for slots without a unit
    assert count_parameters(spec) == size(model)
    assert round((encoder_parameters(spec.config) + decoder_parameters(spec.config)) / 1e6, 1) == 4.9
