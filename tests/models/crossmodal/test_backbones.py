"""LSTM and CNN: the transformer's number of parameters, nothing across segments, nothing from later bins if causal."""

import dataclasses

import pytest
import torch

from raydistill.models.crossmodal.backbones import Convolutional, Recurrent
from raydistill.models.crossmodal.config import PRESETS, ModelConfig
from raydistill.models.crossmodal.parameters import encoder_parameters
from tests.small import CONFIG

BACKBONES = {"lstm": Recurrent, "cnn": Convolutional}


@pytest.fixture(params=BACKBONES)
def name(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["both_ways", "causal"])
def causal(request):
    return request.param


def make_config(name, causal, config=CONFIG) -> ModelConfig:
    return dataclasses.replace(config, backbone=name, causal=causal)


def make_backbone(name, causal=False, dropout=0.0):
    torch.manual_seed(0)
    return BACKBONES[name](dataclasses.replace(make_config(name, causal), dropout=dropout))


@pytest.mark.parametrize("preset", PRESETS)
def test_backbone_is_as_large_as_the_transformer_and_as_the_formula_says(name, causal, preset):
    config = make_config(name, causal, PRESETS[preset])
    with torch.device("meta"):
        model = BACKBONES[name](config)
    n_parameters = sum(p.numel() for p in model.parameters())
    assert n_parameters == encoder_parameters(config)
    transformer = encoder_parameters(PRESETS[preset])
    assert abs(n_parameters / transformer - 1) < (0.005 if preset != "tiny" else 0.1)


@pytest.mark.parametrize("bins", [(7, 7, 7), (7, 30, 1, 7)], ids=["equal", "ragged"])
def test_backbone_of_packed_segments_equals_each_alone_with_gradients(name, causal, bins):
    model = make_backbone(name, causal)
    x = torch.randn(sum(bins), CONFIG.width, requires_grad=True)
    together = model(x, bins)
    alone = torch.cat([model(piece, (len(piece),)) for piece in x.split(bins)])
    assert together.shape == x.shape
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(x)
    grads = [torch.autograd.grad((out * weights).sum(), x)[0] for out in (together, alone)]
    torch.testing.assert_close(*grads, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bins", [(12, 12), (5, 12, 4)], ids=["equal", "ragged"])
def test_backbone_when_a_bin_changes_leaves_other_segments_alone(name, causal, bins):
    model = make_backbone(name, causal).eval()
    x = torch.randn(sum(bins), CONFIG.width)
    before = model(x, bins)
    x[bins[0]] += 1.0  # the first bin of the second segment
    changed = (model(x, bins) - before).abs().sum(1).nonzero().flatten()
    assert bins[0] <= changed.min() and changed.max() < bins[0] + bins[1]


def test_backbone_sees_later_bins_unless_causal(name, causal):
    model = make_backbone(name, causal).eval()
    x = torch.randn(40, CONFIG.width)
    before = model(x, (40,))
    x[20] += 1.0
    changed = (model(x, (40,)) - before).abs().sum(1).nonzero().flatten().tolist()
    assert min(changed) == 20 if causal else min(changed) < 20
    assert max(changed) > 20


def test_convolutional_reaches_as_far_as_it_says(causal):
    model = make_backbone("cnn", causal).eval()
    x = torch.randn(600, CONFIG.width)
    before = model(x, (600,))
    x[300] += 1.0
    changed = (model(x, (600,)) - before).abs().sum(1).nonzero().flatten().tolist()
    within = (300, 300 + 248) if causal else (300 - 124, 300 + 124)
    assert within[0] <= min(changed) and max(changed) <= within[1]


def test_backbone_dropout_acts_in_training_alone(name):
    model = make_backbone(name, dropout=0.5)
    x = torch.randn(10, CONFIG.width)
    assert not torch.equal(model(x, (10,)), model(x, (10,)))
    model.eval()
    assert torch.equal(model(x, (10,)), model(x, (10,)))


def test_backbone_under_bfloat16_autocast_stays_near_float32(name):
    model = make_backbone(name)
    x = torch.randn(16, CONFIG.width)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(x, (10, 6))
    torch.testing.assert_close(half.float(), model(x, (10, 6)), atol=0.1, rtol=0.05)
