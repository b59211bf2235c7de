"""Dropout: the right share, scaled, decided by the noise of each token alone, and at rest in evaluation."""

import pytest
import torch
from torch import nn

from raydistill.feed.noise import token_noise
from raydistill.models.layers.dropout import Dropout, number_dropout_layers

NOISE = token_noise(("a", "b"), (0, 1), (500, 499), seed=0, epoch=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_drops_the_wanted_share_everywhere_and_scales_the_rest(p, dtype):
    x = torch.ones(999, 401, dtype=dtype, requires_grad=True)
    out = Dropout(p)(x, NOISE)
    torch.testing.assert_close(out.detach().unique(), torch.tensor([0.0, 1 / (1 - p)], dtype=dtype), atol=0, rtol=0.01)
    assert torch.equal(torch.autograd.grad(out.sum(), x)[0], out)  # of ones: the mask itself
    dropped = (out == 0).double()
    assert abs(dropped.mean() - p) < 4 * (p * (1 - p) / dropped.numel()) ** 0.5
    deviation = (p * (1 - p)) ** 0.5
    assert (dropped.mean(0) - p).abs().max() < 5 * deviation / 999**0.5
    assert (dropped.mean(1) - p).abs().max() < 5 * deviation / 401**0.5


def test_dropout_of_a_segment_is_the_same_in_any_batch():
    dropout, x = Dropout(0.3), torch.randn(999, 8)
    packed = dropout(x, NOISE)
    alone = dropout(x[500:], token_noise(("b",), (1,), (499,), seed=0, epoch=0))
    assert torch.equal(packed[500:], alone)


def test_dropout_layers_of_a_model_draw_masks_of_their_own():
    model = nn.ModuleList([Dropout(0.5), nn.Sequential(Dropout(0.5)), Dropout(0.5)])
    number_dropout_layers(model)
    x = torch.ones(999, 64)
    masks = [layer(x, NOISE) > 0 for layer in (model[0], model[1][0], model[2])]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        agreement = (masks[a] == masks[b]).double().mean()
        assert abs(agreement - 0.5) < 0.01


def test_dropout_in_evaluation_or_of_zero_does_nothing():
    x = torch.randn(50, 7)
    assert torch.equal(Dropout(0.3).eval()(x, None), x) and torch.equal(Dropout(0.0)(x, None), x)


def test_dropout_in_training_without_noise_is_refused():
    with pytest.raises(ValueError, match=r"set `Batch.noise`"):
        Dropout(0.3)(torch.randn(50, 7), None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_dropout_on_a_gpu_draws_the_masks_of_the_cpu():
    x = torch.ones(999, 33)
    assert torch.equal(Dropout(0.3)(x.cuda(), NOISE.cuda()).cpu(), Dropout(0.3)(x, NOISE))
