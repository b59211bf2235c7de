"""Objectives: exact masking, losses that padding cannot touch, a teacher that receives no gradient."""

import dataclasses

import pytest
import torch

from raydistill.models.neural import NeuralModel
from raydistill.objectives import Draw, distillation, drop_tokens, masked_autoencoding

from .models.conftest import make_batch, make_spec

DRAW = Draw(seed=0, epoch=3)


def test_drop_tokens_drops_exactly_the_floor_of_each_segment():
    batch = make_batch(["a", "b", "a"], [7, 5, 11])
    visible, dropped, lengths = drop_tokens(batch, 0.6, DRAW)
    assert lengths == (7 - 4, 15 - 9, 11 - 6)
    assert sorted(torch.cat([visible, dropped]).tolist()) == list(range(33))


def test_drop_tokens_depends_on_segment_and_epoch_not_on_the_batch():
    alone = drop_tokens(make_batch(["a"], [20]), 0.6, DRAW)[1]
    first = drop_tokens(make_batch(["a", "b"], [20, 6]), 0.6, DRAW)[1][:12]
    later = drop_tokens(make_batch(["a"], [20]), 0.6, Draw(0, 4))[1]
    assert torch.equal(alone, first) and not torch.equal(alone, later)


@pytest.mark.parametrize(("modality", "value"), [("spikes", "count"), ("lfp", "linear")])
def test_masked_autoencoding_loss_never_sees_padded_slots(modality, value):
    torch.manual_seed(0)
    model = NeuralModel(make_spec(modality, value))
    batch = make_batch(["b", "b"], [6, 6], modality)
    objective = masked_autoencoding(0.6)
    term = objective(model, batch, DRAW)["reconstruction"]
    term.total.backward()
    gradient = model.predictor.leave.bias.grad.clone()
    if modality == "spikes":  # counts in padded slots are read as padding, whatever they hold
        dirty = dataclasses.replace(batch, values=torch.where(batch.valid, batch.values, 3))
        assert torch.equal(objective(model, dirty, DRAW)["reconstruction"].total, term.total)
    dropped = drop_tokens(batch, 0.6, DRAW)[1]
    assert term.count == batch.slots[dropped].sum()
    assert gradient.abs().sum() > 0


def test_masked_autoencoding_of_spikes_is_the_poisson_likelihood():
    torch.manual_seed(0)
    model = NeuralModel(make_spec("spikes", "count"))
    batch = make_batch(["a"], [10], "spikes")
    visible, dropped, lengths = drop_tokens(batch, 0.6, DRAW)
    eta = model.reconstruct(batch, visible, dropped, lengths)
    expected = torch.nn.functional.poisson_nll_loss(eta, batch.values[dropped].clamp(max=5).float(), reduction="sum")
    torch.testing.assert_close(masked_autoencoding(0.6)(model, batch, DRAW)["reconstruction"].total, expected)


def distillation_batch():
    batch = make_batch(["a", "b"], [6, 4])
    return dataclasses.replace(batch, target=torch.randn(10, 32, generator=torch.Generator().manual_seed(1)))


def test_distillation_is_equation_1():
    torch.manual_seed(0)
    model = NeuralModel(make_spec("lfp", "conv", "readout"))
    batch = distillation_batch()
    terms = distillation(5.0)(model, batch, DRAW)
    tokens = model.encode(batch)
    mse = ((model.readout(tokens) - batch.values)[batch.valid] ** 2).mean()
    cosine = torch.nn.functional.cosine_similarity(model.pool(tokens, batch), batch.target).mean()
    total = sum(t.weight * t.total / t.count for t in terms.values())
    torch.testing.assert_close(total, (mse + 5 * (1 - cosine)).to(total.dtype))


def test_distillation_without_alignment_reconstructs_alone():
    terms = distillation(0.0)(NeuralModel(make_spec("lfp", "conv", "readout")), distillation_batch(), DRAW)
    assert terms["alignment"].weight == 0 and terms["reconstruction"].total > 0


def test_unused_session_gets_no_gradient():
    model = NeuralModel(make_spec())
    masked_autoencoding(0.6)(model, make_batch(["a"], [10]), DRAW)["reconstruction"].total.backward()
    gradient = model.tokenizer.space.table.weight.grad
    assert gradient[0].abs().sum() > 0 and gradient[1:].abs().sum() == 0
