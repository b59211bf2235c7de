"""Objectives: exact masking, losses that padding cannot touch, a teacher that receives no gradient."""

import dataclasses

import pytest
import torch

from raydistill.models.crossmodal.model import NeuralModel
from raydistill.objectives import (
    Draw,
    StudentAndTeacher,
    behavior_regression,
    distillation,
    distillation_with_behavior,
    drop_tokens,
    masked_autoencoding,
    together,
    unfrozen,
)
from tests.small import make_batch, make_spec

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
    masked = masked_autoencoding(0.6).prepare(batch, DRAW)
    truth = batch.values[masked.dropped].clamp(max=5).float()
    expected = torch.nn.functional.poisson_nll_loss(model.reconstruct(masked), truth, reduction="sum")
    torch.testing.assert_close(masked_autoencoding(0.6)(model, batch, DRAW)["reconstruction"].total, expected)


def distillation_batch():
    batch = make_batch(["a", "b"], [6, 4])
    return dataclasses.replace(batch, target=torch.randn(10, 32, generator=torch.Generator().manual_seed(1)))


def test_distillation_is_equation_1():
    torch.manual_seed(0)
    model = NeuralModel(make_spec("lfp", "conv", ("readout",)))
    batch = distillation_batch()
    terms = distillation(5.0)(model, batch, DRAW)
    tokens = model.encode(batch)
    mse = ((model.readout(tokens) - batch.values)[batch.valid] ** 2).mean()
    cosine = torch.nn.functional.cosine_similarity(model.pool(tokens, batch), batch.target).mean()
    total = sum(t.weight * t.total / t.count for t in terms.values())
    torch.testing.assert_close(total, (mse + 5 * (1 - cosine)).to(total.dtype))


def test_distillation_without_alignment_reconstructs_alone():
    terms = distillation(0.0)(NeuralModel(make_spec("lfp", "conv", ("readout",))), distillation_batch(), DRAW)
    assert terms["alignment"].weight == 0 and terms["reconstruction"].total > 0


def test_unused_session_gets_no_gradient():
    model = NeuralModel(make_spec())
    masked_autoencoding(0.6)(model, make_batch(["a"], [10]), DRAW)["reconstruction"].total.backward()
    gradient = model.tokenizer.space.table.weight.grad
    assert gradient[0].abs().sum() > 0 and gradient[1:].abs().sum() == 0


def model_with(*heads, modality="lfp", value="linear"):
    torch.manual_seed(0)
    spec = dataclasses.replace(make_spec(modality, value, heads), behavior=("vx", "vy") if "behavior" in heads else ())
    return NeuralModel(spec)


def behaving(batch):
    """The batch with behavior, of which the first bins are lost."""
    behavior = torch.randn(sum(batch.bins), 2, generator=torch.Generator().manual_seed(2))
    behavior[:3, 0] = torch.nan
    return dataclasses.replace(batch, behavior=behavior)


def test_behavior_regression_is_the_error_over_what_was_recorded():
    model, batch = model_with("behavior"), behaving(make_batch(["a", "b"], [6, 4]))
    term = behavior_regression()(model, batch, DRAW)["behavior"]
    there = batch.behavior.isfinite()
    expected = ((model.behavior(model.latents(batch)) - batch.behavior)[there] ** 2).sum()
    torch.testing.assert_close(term.total, expected)
    assert term.count == 17
    term.total.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_behavior_lost_throughout_a_batch_counts_for_nothing():
    batch = behaving(make_batch(["a"], [6]))
    lost = dataclasses.replace(batch, behavior=torch.full_like(batch.behavior, torch.nan))
    term = behavior_regression()(model_with("behavior"), lost, DRAW)["behavior"]
    assert term.total == 0 and term.count == 0


def test_joint_supervision_adds_behavior_to_masked_autoencoding_unscaled():
    model, batch = model_with("predictor", "behavior"), behaving(make_batch(["a"], [10]))
    terms = together(masked_autoencoding(0.6), behavior_regression())(model, batch, DRAW)
    assert set(terms) == {"reconstruction", "behavior"} and {t.weight for t in terms.values()} == {1.0}
    alone = masked_autoencoding(0.6)(model, batch, DRAW)["reconstruction"]
    assert torch.equal(terms["reconstruction"].total, alone.total)


def test_distillation_with_behavior_is_equation_3():
    model = model_with("behavior", value="conv")
    batch = behaving(distillation_batch())
    terms = distillation_with_behavior(5.0)(model, batch, DRAW)
    latents = model.latents(batch)
    there = batch.behavior.isfinite()
    mse = ((model.behavior(latents) - batch.behavior)[there] ** 2).mean()
    cosine = torch.nn.functional.cosine_similarity(latents, batch.target).mean()
    total = sum(t.weight * t.total / t.count for t in terms.values())
    torch.testing.assert_close(total, (mse + 5 * (1 - cosine)).to(total.dtype))


def test_distillation_of_large_weight_turns_the_latents_to_the_teacher():
    model, batch = model_with("readout", value="conv"), distillation_batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    far = distillation(1e4)(model, batch, DRAW)["alignment"]
    for _ in range(150):
        optimizer.zero_grad()
        terms = distillation(1e4)(model, batch, DRAW)
        sum(t.weight * t.total / t.count for t in terms.values()).backward()
        optimizer.step()
    near = distillation(1e4)(model, batch, DRAW)["alignment"]
    assert near.total / near.count < 0.1 * far.total / far.count


def taught(epoch):
    """A student, its teacher, and their batch with the teacher's inputs."""
    pair = StudentAndTeacher(
        model_with("readout", value="conv"), model_with("predictor", modality="spikes", value="count")
    )
    batch = dataclasses.replace(make_batch(["a", "b"], [6, 4]), teacher=make_batch(["a", "b"], [6, 4], "spikes"))
    terms = unfrozen(distillation(5.0), 2)(pair, batch, Draw(0, epoch))
    sum(t.weight * t.total / t.count for t in terms.values()).backward()
    return pair, batch, terms


@pytest.mark.parametrize("epoch", [0, 1])
def test_frozen_teacher_gets_no_gradient_and_gives_what_was_kept(epoch):
    pair, batch, terms = taught(epoch)
    assert all(p.grad is None for p in pair.teacher.parameters())
    kept = dataclasses.replace(batch, target=pair.teacher.latents(batch.teacher).detach())
    expected = distillation(5.0)(pair.student, kept, DRAW)
    assert all(torch.equal(terms[name].total, expected[name].total) for name in expected)


def test_unfrozen_teacher_learns_from_its_epoch_on_and_never_drops_out():
    pair, _, _ = taught(2)
    learning = {n for n, p in pair.teacher.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any(n.startswith("encoder.") for n in learning) and any(n.startswith("tokenizer.") for n in learning)
    assert pair.train().student.training and not pair.teacher.training
