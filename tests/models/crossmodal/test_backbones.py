"""LSTM, CNN and Mamba: the transformer's size, nothing across segments, nothing from later bins if causal."""

import dataclasses

import pytest
import torch

from raydistill.feed.noise import token_noise
from raydistill.models.crossmodal.backbones import BACKBONES
from raydistill.models.crossmodal.config import PRESETS, configure
from raydistill.models.layers.attention import Packing
from tests.small import SETTINGS

BIN_BACKBONES = [name for name, cls in BACKBONES.items() if cls.reads == "bins"]


@pytest.fixture(params=BIN_BACKBONES)
def name(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["both_ways", "causal"])
def causal(request):
    return request.param


def config_of(name, causal, settings=SETTINGS):
    return configure(dataclasses.replace(settings, backbone=name, causal=causal), "lfp", "linear").backbone


def make_backbone(name, causal=False, dropout=0.0):
    torch.manual_seed(0)
    return config_of(name, causal).build(SETTINGS.width, dropout)


def run(model, x, bins, noise=None):
    return model(x, torch.cat([torch.arange(n) for n in bins]), Packing(bins, noise=noise))


@pytest.mark.parametrize("preset", PRESETS)
def test_backbone_is_as_large_as_the_transformer_and_as_the_formula_says(name, causal, preset):
    width = PRESETS[preset].width
    config = config_of(name, causal, PRESETS[preset])
    with torch.device("meta"):
        model = config.build(width, 0.0)
    n_parameters = sum(p.numel() for p in model.parameters())
    assert n_parameters == config.parameters(width)
    transformer = config_of("transformer", causal, PRESETS[preset]).parameters(width)
    assert abs(n_parameters / transformer - 1) < (0.005 if preset != "tiny" else 0.1)


@pytest.mark.parametrize("bins", [(7, 7, 7), (7, 30, 1, 7)], ids=["equal", "ragged"])
def test_backbone_of_packed_segments_equals_each_alone_with_gradients(name, causal, bins):
    model = make_backbone(name, causal)
    x = torch.randn(sum(bins), SETTINGS.width, requires_grad=True)
    together = run(model, x, bins)
    alone = torch.cat([run(model, piece, (len(piece),)) for piece in x.split(bins)])
    assert together.shape == x.shape
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(x)
    grads = [torch.autograd.grad((out * weights).sum(), x)[0] for out in (together, alone)]
    torch.testing.assert_close(*grads, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bins", [(12, 12), (5, 12, 4)], ids=["equal", "ragged"])
def test_backbone_when_a_bin_changes_leaves_other_segments_alone(name, causal, bins):
    model = make_backbone(name, causal).eval()
    x = torch.randn(sum(bins), SETTINGS.width)
    before = run(model, x, bins)
    x[bins[0]] += 1.0  # the first bin of the second segment
    changed = (run(model, x, bins) - before).abs().sum(1).nonzero().flatten()
    assert bins[0] <= changed.min() and changed.max() < bins[0] + bins[1]


def test_backbone_sees_later_bins_unless_causal(name, causal):
    model = make_backbone(name, causal).eval()
    x = torch.randn(40, SETTINGS.width)
    before = run(model, x, (40,))
    x[20] += 1.0
    changed = (run(model, x, (40,)) - before).abs().sum(1).nonzero().flatten().tolist()
    assert min(changed) == 20 if causal else min(changed) < 20
    assert max(changed) > 20


def test_convolutional_reaches_as_far_as_it_says(causal):
    model = make_backbone("cnn", causal).eval()
    x = torch.randn(600, SETTINGS.width)
    before = run(model, x, (600,))
    x[300] += 1.0
    changed = (run(model, x, (600,)) - before).abs().sum(1).nonzero().flatten().tolist()
    within = (300, 300 + 248) if causal else (300 - 124, 300 + 124)
    assert within[0] <= min(changed) and max(changed) <= within[1]


@pytest.mark.parametrize("bins", [(10, 10), (10, 4, 10)], ids=["equal", "ragged"])
def test_backbone_dropout_acts_in_training_alone_and_the_same_in_any_batch(name, bins):
    model = make_backbone(name, dropout=0.5)
    x, segments = torch.randn(sum(bins), SETTINGS.width), len(bins)
    noise = token_noise(("a",) * segments, tuple(range(segments)), bins, seed=0, epoch=0)
    dropped = run(model, x, bins, noise)
    first = run(model, x[: bins[0]], bins[:1], noise[: bins[0]])
    torch.testing.assert_close(dropped[: bins[0]], first, atol=1e-5, rtol=1e-5)
    model.eval()
    assert torch.equal(run(model, x, bins), run(model, x, bins, noise)) and not torch.allclose(
        run(model, x, bins), dropped
    )


def test_backbone_under_bfloat16_autocast_stays_near_float32(name):
    model = make_backbone(name)
    x = torch.randn(16, SETTINGS.width)
    with torch.autocast("cpu", torch.bfloat16):
        half = run(model, x, (10, 6))
    torch.testing.assert_close(half.float(), run(model, x, (10, 6)), atol=0.1, rtol=0.05)
