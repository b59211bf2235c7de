"""Objectives: exact masking, losses that padding cannot touch, a teacher that receives no gradient."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.config.objectives import (
    OBJECTIVES,
    Augmentation,
    BehaviorRegression,
    Blocks,
    Distillation,
    DistillationWithBehavior,
    JointDistillation,
    MaskedAutoencoding,
    MaskedAutoencodingWithBehavior,
)
from raydistill.feed.feed import FeedBatch
from raydistill.feed.masking import Draw, draw_bins, mask_tokens
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.layers.attention import Packing
from raydistill.models.layers.pooling import mean_per_bin
from raydistill.models.realm.config import PRESETS as REALM_PRESETS
from raydistill.models.realm.config import configure as configure_realm
from raydistill.models.spec import ModelSpec
from raydistill.objectives import (
    StudentAndTeacher,
    behavior_regression,
    build_objective,
    distillation,
    distillation_with_behavior,
    masked_autoencoding,
    reconstruction,
    together,
    unfrozen,
)
from tests.small import SETTINGS, make_batch, make_feed_batch, make_segments, make_spec, noise_of

DRAW = Draw(seed=0, epoch=3)


@pytest.mark.parametrize(("modality", "embedding"), [("spikes", "count"), ("lfp", "linear")])
def test_masked_autoencoding_loss_never_sees_padded_slots(modality, embedding):
    torch.manual_seed(0)
    model = CrossModalModel(make_spec(modality, embedding))
    batch = make_batch(["b", "b"], [6, 6], modality)
    objective = masked_autoencoding(0.6)
    term = objective(model, FeedBatch(tokens=batch), DRAW)["reconstruction"]
    term.total.backward()
    gradient = model.predictor.leave.bias.grad.clone()
    if modality == "spikes":  # counts in padded slots are read as padding, whatever they hold
        dirty = FeedBatch(tokens=dataclasses.replace(batch, values=torch.where(batch.valid, batch.values, 3)))
        assert torch.equal(objective(model, dirty, DRAW)["reconstruction"].total, term.total)
    masked = mask_tokens(batch, 0.6, DRAW).masked
    assert term.count == batch.slots[masked].sum()
    assert gradient.abs().sum() > 0


def test_masked_autoencoding_of_spikes_is_the_poisson_likelihood():
    torch.manual_seed(0)
    model = CrossModalModel(make_spec("spikes", "count"))
    batch = make_feed_batch(["a"], [10], "spikes")
    prepared = masked_autoencoding(0.6).prepare(batch, DRAW)
    truth = batch.tokens.values[prepared.masking.masked].clamp(max=5).float()
    predicted = model.reconstruct(prepared.batch, prepared.masking)
    expected = torch.nn.functional.poisson_nll_loss(predicted, truth, reduction="sum")
    torch.testing.assert_close(masked_autoencoding(0.6)(model, batch, DRAW)["reconstruction"].total, expected)


def distillation_batch():
    latents = torch.randn(10, 32, generator=torch.Generator().manual_seed(1))
    return make_feed_batch(["a", "b"], [6, 4], teacher_latents=latents)


def test_distillation_is_equation_1():
    torch.manual_seed(0)
    model = CrossModalModel(make_spec("lfp", "conv", ("readout",)))
    given = distillation_batch()
    batch = given.tokens
    terms = distillation(5.0)(model, given, DRAW)
    tokens = model.encode(batch)
    mse = ((model.readout(tokens) - batch.values)[batch.valid] ** 2).mean()
    cosine = torch.nn.functional.cosine_similarity(mean_per_bin(tokens, batch), given.teacher_latents).mean()
    total = sum(t.weight * t.total / t.count for t in terms.values())
    torch.testing.assert_close(total, (mse + 5 * (1 - cosine)).to(total.dtype))


def test_distillation_from_pooled_latents_is_equation_1_as_printed():
    """f maps the latents of a bin, which the cosine compares, to all channels of the session of this bin."""
    torch.manual_seed(0)
    settings = dataclasses.replace(SETTINGS, readout="pooled")
    model = CrossModalModel(make_spec("lfp", "conv", ("readout",), settings=settings))
    given = distillation_batch()  # 6 bins of a, with 8 channels in one patch, and 4 of b, with 20 in three
    terms = distillation(5.0)(model, given, DRAW)
    latents, errors = model.latents(given.tokens), []
    weight, bias = model.pooled_readout.weight, model.pooled_readout.bias.unflatten(0, (4, 8))
    segments = make_segments(["a", "b"], [6, 4])
    for segment, h, rows in zip(segments, latents.split([6, 4]), ([0], [1, 2, 3]), strict=True):
        f = torch.cat([weight[row] for row in rows]), torch.cat([bias[row] for row in rows])
        predicted = (h @ f[0].T + f[1])[:, : segment.lfp.shape[1]]  # (T, n): padded slots do not count
        errors.append((predicted - torch.from_numpy(segment.lfp)).square().flatten())
    cosine = torch.nn.functional.cosine_similarity(latents, given.teacher_latents).mean()
    total = sum(t.weight * t.total / t.count for t in terms.values())
    torch.testing.assert_close(total, (torch.cat(errors).mean() + 5 * (1 - cosine)).to(total.dtype))
    alone = reconstruction()(model, given, DRAW)["reconstruction"]
    assert alone.total == terms["reconstruction"].total and alone.count == terms["reconstruction"].count


def test_distillation_without_alignment_reconstructs_alone():
    terms = distillation(0.0)(CrossModalModel(make_spec("lfp", "conv", ("readout",))), distillation_batch(), DRAW)
    assert terms["alignment"].weight == 0 and terms["reconstruction"].total > 0


def test_distillation_without_a_teacher_is_refused():
    with pytest.raises(ValueError, match="needs the latents of a teacher"):
        distillation(5.0).prepare(make_feed_batch(["a"], [5]), DRAW)


def test_unused_session_gets_no_gradient():
    model = CrossModalModel(make_spec())
    masked_autoencoding(0.6)(model, make_feed_batch(["a"], [10]), DRAW)["reconstruction"].total.backward()
    gradient = model.tokenizer.space.table.weight.grad
    assert gradient[0].abs().sum() > 0 and gradient[1:].abs().sum() == 0


BLOCKS = Blocks(shortest=2, longest=3)


def realm(causal=True, sessions=("a", "b"), behavior=(), session_embedding=False, **outputs):
    torch.manual_seed(0)
    changes = {"lfp_patch": 24, "causal": causal, "session_embedding": session_embedding}
    config = configure_realm(dataclasses.replace(REALM_PRESETS["tiny"], **changes), "lfp", "gated", **outputs)
    spec = ModelSpec(family="realm", config=config, sessions=dict.fromkeys(sessions, 1), behavior=behavior)
    return CrossModalModel(spec)


def one_patch_batch(lengths=(20, 12), **teacher):
    inputs = Inputs(modality="lfp", widths=(24,))
    return FeedBatch(tokens=pack([inputs.tokenize(s) for s in make_segments(["a", "b"], lengths)]), **teacher)


def test_masked_bins_are_replaced_and_reconstructed_from_all_others():
    model, given = realm(predictor=True), one_patch_batch()
    objective = masked_autoencoding(0.6, BLOCKS)
    prepared, batch = objective.prepare(given, DRAW), given.tokens
    masked = prepared.masking.masked
    tokens = model.tokenizer(batch).index_copy(0, masked, model.bins_predictor.mask.expand(len(masked), -1))
    x, packing = model.encoder(tokens, batch.time, Packing(batch.bins)), Packing(batch.bins)
    predictor, rows = model.bins_predictor, []
    for of_segment in x.split(packing.lengths):
        mixed = predictor.norm2(of_segment + predictor.block(predictor.norm1(of_segment[None]))[0])
        rows.append(predictor.readout.linear(mixed + predictor.mlp(mixed)))
    error = (torch.cat(rows) - batch.values)[masked][batch.valid[masked]].square()
    term = objective(model, given, DRAW)["reconstruction"]
    torch.testing.assert_close(term.total, error.sum())
    assert term.count == len(error) == batch.slots[masked].sum()


def test_augmented_input_is_compared_with_what_was_recorded_and_in_training_only():
    model, given = realm(predictor=True), one_patch_batch()
    objective = masked_autoencoding(0.6, BLOCKS, Augmentation(channel_dropout=0.3, gain_jitter=0.2, noise=0.1))
    prepared = objective.prepare(given, DRAW)
    assert prepared.recorded is given.tokens.values and not torch.equal(prepared.batch.values, given.tokens.values)
    predicted, masked = model.reconstruct(prepared.batch, prepared.masking), prepared.masking.masked
    error = (predicted - given.tokens.values[masked])[given.tokens.valid[masked]].square().sum()
    torch.testing.assert_close(objective.totals(model, prepared, DRAW)["reconstruction"], error)
    assert objective.prepare(given, Draw(0, 0, "valid")).batch is given.tokens


def test_distillation_of_residuals_aligns_and_reads_out_what_lies_before_the_final_norm():
    model = realm(readout=True)
    target = torch.randn(32, 64, generator=torch.Generator().manual_seed(1))
    given = one_patch_batch(teacher_latents=target)
    objective = build_objective(Distillation(alignment=2.0, reconstruction=0.5, align="residual", readout_share=0.3))
    terms, batch = objective(model, given, DRAW), given.tokens
    residual = model.residual(batch)
    torch.testing.assert_close(model.encoder.norm(residual), model.latents(batch))
    rows = draw_bins(batch, 0.3, DRAW)
    assert len(rows) == 6 + 3  # floor(0.3 * 20) and floor(0.3 * 12)
    readout = model.shared_readout
    values = readout.linear(torch.nn.functional.gelu(readout.hidden(residual)))
    mse = (values - batch.values)[rows][batch.valid[rows]].square().mean()
    cosine = torch.nn.functional.cosine_similarity(residual, target).mean()
    total = sum(t.weight * t.total / t.count for t in terms.values())
    torch.testing.assert_close(total, (0.5 * mse + 2 * (1 - cosine)).to(total.dtype))
    alone = build_objective(Distillation(alignment=0.0, readout_share=0.3, align="residual"))(model, given, DRAW)
    torch.testing.assert_close(alone["reconstruction"].total, terms["reconstruction"].total)
    assert alone["reconstruction"].weight == 1 and alone["reconstruction"].count == terms["reconstruction"].count


def test_session_embedding_is_added_to_all_bins_of_pretraining_and_to_no_latents():
    model, plain = realm(predictor=True, session_embedding=True), realm(predictor=True)
    plain.load_state_dict({name: value for name, value in model.state_dict().items() if name in plain.state_dict()})
    batch = one_patch_batch().tokens
    masking = masked_autoencoding(0.6, BLOCKS).prepare(FeedBatch(tokens=batch), DRAW).masking
    rows = model.bins_predictor.session.table.weight
    bins = model.tokenizer(batch).index_copy(
        0, masking.masked, model.bins_predictor.mask.expand(len(masking.masked), -1)
    )
    bins = bins + torch.cat([rows[:1].expand(20, -1), rows[1:].expand(12, -1)])  # of a, then of b
    expected = model.bins_predictor(model._encode_bins(bins, batch), batch)[masking.masked]
    torch.testing.assert_close(model.reconstruct(batch, masking), expected)
    assert not torch.allclose(plain.reconstruct(batch, masking), expected)
    assert torch.equal(model.latents(batch), plain.latents(batch))
    more = model.transplanted(dataclasses.replace(model.spec, sessions={"aa": 1, "b": 1}))
    kept = more.bins_predictor.session.table.weight
    assert torch.equal(kept[1], rows[1]) and not torch.equal(kept[0], rows[0])


def test_distillation_of_two_layers_weighs_the_last_one_twice_and_reads_it_out():
    model, target = realm(readout=True), np.random.default_rng(1).normal(size=(32, 128)).astype(np.float32)
    given = one_patch_batch(teacher_latents=torch.from_numpy(target))
    config = Distillation(alignment=1.0, align="residual", align_layers=2)
    terms = build_objective(config)(model, given, DRAW)
    x, batch = model.tokenizer(given.tokens), given.tokens
    layers = []
    for layer in model.encoder.layers:
        x = torch.cat([layer(of_segment[None], None)[0] for of_segment in x.split([20, 12])])
        layers.append(x.detach().numpy().astype(np.float64))
    torch.testing.assert_close(model.residual(batch), x)
    apart = [
        1 - (own * of).sum(1) / np.linalg.norm(own, axis=1) / np.linalg.norm(of, axis=1)
        for own, of in zip(layers, (target[:, :64], target[:, 64:]), strict=True)
    ]
    np.testing.assert_allclose(terms["alignment"].total.item(), (apart[0] / 3 + 2 * apart[1] / 3).sum(), rtol=1e-5)
    once = build_objective(Distillation(alignment=1.0, align="residual"))
    last = once(model, dataclasses.replace(given, teacher_latents=torch.from_numpy(target[:, 64:])), DRAW)
    torch.testing.assert_close(terms["reconstruction"].total, last["reconstruction"].total)


def test_joint_distillation_adds_behavior_to_equation_1():
    model = realm(readout=True, behavior=("vx", "vy"))
    given = behaving(one_patch_batch(teacher_latents=torch.randn(32, 64)))
    settings = {"alignment": 2.0, "reconstruction": 0.1, "align": "residual"}
    terms = build_objective(JointDistillation(**settings))(model, given, DRAW)
    alone = build_objective(Distillation(**settings))(model, given, DRAW)
    behavior = behavior_regression()(model, given, DRAW)
    assert {name: t.weight for name, t in terms.items()} == {"reconstruction": 0.1, "alignment": 2.0, "behavior": 1.0}
    for name, expected in (alone | behavior).items():
        torch.testing.assert_close(terms[name].total, expected.total)
        assert terms[name].count == expected.count
    assert set(build_objective(JointDistillation(**settings | {"alignment": 0.0})).weights) == {
        "reconstruction",
        "behavior",
    }


@pytest.mark.parametrize(
    ("config", "outputs"),
    [
        (MaskedAutoencoding(mask_ratio=0.6, blocks=BLOCKS), {"predictor": True}),
        (MaskedAutoencoding(mask_ratio=0.6, blocks=BLOCKS), {"predictor": True, "session_embedding": True}),
        (Distillation(alignment=1.0, align="residual", readout_share=0.3), {"readout": True}),
        (Distillation(alignment=0.0, align="residual"), {"readout": True}),
    ],
)
def test_every_weight_that_is_trained_gets_a_gradient_as_several_workers_need(config, outputs):
    objective = build_objective(config)
    module = objective.extend(realm(**outputs))
    terms = objective(module, one_patch_batch(teacher_latents=torch.randn(32, 64)), DRAW)
    sum(t.weight * t.total / t.count for t in terms.values()).backward()
    assert [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None] == []


def model_with(*outputs, modality="lfp", embedding="linear"):
    torch.manual_seed(0)
    behavior = ("vx", "vy") if "behavior" in outputs else ()
    return CrossModalModel(make_spec(modality, embedding, outputs, behavior))


def behaving(batch):
    """The batch with behavior, of which the first bins are lost."""
    behavior = torch.randn(sum(batch.tokens.bins), 2, generator=torch.Generator().manual_seed(2))
    behavior[:3, 0] = torch.nan
    return with_behavior(batch, behavior)


def with_behavior(batch, behavior):
    return dataclasses.replace(batch, tokens=dataclasses.replace(batch.tokens, behavior=behavior))


def test_behavior_regression_is_the_error_over_what_was_recorded():
    model, batch = model_with("behavior"), behaving(make_feed_batch(["a", "b"], [6, 4]))
    term = behavior_regression()(model, batch, DRAW)["behavior"]
    behavior = batch.tokens.behavior
    expected = ((model.behavior(model.latents(batch.tokens)) - behavior)[behavior.isfinite()] ** 2).sum()
    torch.testing.assert_close(term.total, expected)
    assert term.count == 17
    term.total.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_behavior_lost_throughout_a_batch_counts_for_nothing():
    batch = behaving(make_feed_batch(["a"], [6]))
    lost = with_behavior(batch, torch.full_like(batch.tokens.behavior, torch.nan))
    term = behavior_regression()(model_with("behavior"), lost, DRAW)["behavior"]
    assert term.total == 0 and term.count == 0


def test_joint_supervision_adds_behavior_to_masked_autoencoding_unscaled():
    model, batch = model_with("predictor", "behavior"), behaving(make_feed_batch(["a"], [10]))
    terms = together(masked_autoencoding(0.6), behavior_regression())(model, batch, DRAW)
    assert set(terms) == {"reconstruction", "behavior"} and {t.weight for t in terms.values()} == {1.0}
    alone = masked_autoencoding(0.6)(model, batch, DRAW)["reconstruction"]
    assert torch.equal(terms["reconstruction"].total, alone.total)


def test_distillation_with_behavior_is_equation_3():
    model = model_with("behavior", embedding="conv")
    batch = behaving(distillation_batch())
    terms = distillation_with_behavior(5.0)(model, batch, DRAW)
    latents, behavior = model.latents(batch.tokens), batch.tokens.behavior
    mse = ((model.behavior(latents) - behavior)[behavior.isfinite()] ** 2).mean()
    cosine = torch.nn.functional.cosine_similarity(latents, batch.teacher_latents).mean()
    total = sum(t.weight * t.total / t.count for t in terms.values())
    torch.testing.assert_close(total, (mse + 5 * (1 - cosine)).to(total.dtype))


def test_distillation_of_large_weight_turns_the_latents_to_the_teacher():
    model, batch = model_with("readout", embedding="conv"), distillation_batch()
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
        model_with("readout", embedding="conv"), model_with("predictor", modality="spikes", embedding="count")
    )
    batch = make_feed_batch(["a", "b"], [6, 4], teacher_tokens=make_batch(["a", "b"], [6, 4], "spikes"))
    terms = unfrozen(distillation(5.0), 2)(pair, batch, Draw(0, epoch))
    sum(t.weight * t.total / t.count for t in terms.values()).backward()
    return pair, batch, terms


@pytest.mark.parametrize("epoch", [0, 1])
def test_frozen_teacher_gets_no_gradient_and_gives_what_was_kept(epoch):
    pair, batch, terms = taught(epoch)
    assert all(p.grad is None for p in pair.teacher.parameters())
    latents = pair.teacher.latents(batch.teacher_tokens).detach()
    expected = distillation(5.0)(pair.student, dataclasses.replace(batch, teacher_latents=latents), DRAW)
    assert all(torch.equal(terms[name].total, expected[name].total) for name in expected)


def test_unfrozen_teacher_learns_from_its_epoch_on_and_never_drops_out():
    pair, _, _ = taught(2)
    learning = {n for n, p in pair.teacher.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert any(n.startswith("encoder.") for n in learning) and any(n.startswith("tokenizer.") for n in learning)
    assert pair.train().student.training and not pair.teacher.training


def test_two_objectives_together_draw_different_dropout_masks():
    batch = behaving(make_feed_batch(["a"], [10]))
    noise = noise_of(batch.tokens)
    batch = dataclasses.replace(batch, tokens=dataclasses.replace(batch.tokens, noise=noise))
    masked, plain = together(masked_autoencoding(0.6), behavior_regression()).prepare(batch, DRAW)
    assert torch.equal(masked.batch.noise, noise) and not torch.isin(plain.noise, noise).any()


@pytest.mark.parametrize(
    "config",
    [
        MaskedAutoencoding(mask_ratio=0.6),
        BehaviorRegression(),
        MaskedAutoencodingWithBehavior(mask_ratio=0.6),
        Distillation(alignment=5.0),
        Distillation(alignment=5.0, unfreeze_epoch=2),
        DistillationWithBehavior(alignment=5.0),
        JointDistillation(alignment=5.0),
    ],
    ids=lambda c: c.name,
)
def test_every_objective_trains_the_outputs_that_it_needs(config):
    needs = config.needs
    outputs = [name for name in ("predictor", "readout", "behavior") if getattr(needs, name)]
    model = model_with(*outputs, embedding="conv")
    batch = behaving(distillation_batch())
    objective = build_objective(config)
    trained = model
    if getattr(config, "unfreeze_epoch", None) is not None:
        batch = dataclasses.replace(batch, teacher_tokens=make_batch(["a", "b"], [6, 4], "spikes"))
        trained = StudentAndTeacher(model, model_with("predictor", modality="spikes", embedding="count"))
    terms = objective(trained, batch, DRAW)
    sum(t.weight * t.total / t.count for t in terms.values()).backward()
    assert set(terms) == set(objective.weights)
    assert all(getattr(model, name).weight.grad is not None for name in outputs if name != "predictor")
    assert all(p.grad is not None for p in model.encoder.parameters())


def test_every_objective_has_one_line_in_the_table():
    assert {name: cls.__dataclass_fields__["name"].default for name, cls in OBJECTIVES.items()} == {
        name: name for name in OBJECTIVES
    }
