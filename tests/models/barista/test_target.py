"""Prediction of masked tokens: what is compared, what moves the target, and its collapse."""

import dataclasses

import pytest
import torch

from raydistill.config.engine import EngineConfig
from raydistill.config.objectives import MaskedGroups
from raydistill.config.training import Recipe
from raydistill.errors import TrainingError
from raydistill.feed.feed import FeedBatch
from raydistill.feed.masking import Draw
from raydistill.models.barista.layout import layout_of
from raydistill.models.barista.target import momentum_at
from raydistill.models.layers.attention import Packing
from raydistill.models.layers.dropout import Dropout
from raydistill.objectives import build_objective
from raydistill.training.history import read_history
from raydistill.training.loop import Training, train
from tests.models.barista.models import lfp_batch, small_model, small_spec
from tests.small import noise_of
from tests.training.test_loop import DyingFeed, Killed, assert_same_bits

CONFIG = MaskedGroups(mask_ratio=0.3, mask_by="array", momentum=0.9, momentum_epochs=2)
DRAW = Draw(seed=0, epoch=3)


def made(config=CONFIG, **changes):
    model = small_model(space="array", **changes)
    objective = build_objective(config, model.spec)
    torch.manual_seed(1)
    return objective, objective.extend(model)


def test_momentum_rises_linearly_and_stays():
    assert [momentum_at(epoch, 0.996, 10) for epoch in (0, 5, 10, 60)] == [0, pytest.approx(0.498), 0.996, 0.996]


def test_loss_is_the_squared_error_of_masked_tokens_against_the_average_without_names():
    objective, module = made()
    module.eval()
    torch.nn.init.normal_(module.average.linear.weight)  # a target that is not the tokenizer
    batch = lfp_batch(["a"], [12])
    prepared = objective.prepare(FeedBatch(tokens=batch), DRAW)
    masked = prepared.is_masked
    model = module.model
    values = batch.values.squeeze(1).unflatten(0, (3, 4, 8)).transpose(1, 2).flatten(0, 1)[..., None]  # (tokens, 4, 1)
    names = model.tokenizer.space.tables["names"].weight
    rows = torch.tensor([1] * 4 + [2] * 3 + [0]).repeat(3)
    tokens = torch.where(masked[:, None], module.mask, model.tokenizer.value(values)) + names[rows]
    outputs = model.encoder(tokens, torch.arange(3).repeat_interleave(8), Packing((24,)))[masked]
    for linear in module.predictor.hidden:
        outputs = torch.nn.functional.gelu(linear(outputs))
    predicted = torch.nn.functional.gelu(module.predictor.last(outputs))
    expected = (predicted - module.average(values)[masked]).square()
    torch.testing.assert_close(objective.totals(module, prepared, DRAW)["latents"], expected.sum(), rtol=1e-5, atol=0)
    assert objective.counts(prepared)["latents"] == expected.numel() == masked.sum() * 16


def test_visible_tokens_do_not_show_what_is_masked():
    """The error depends on the values of masked channels by the target alone."""
    objective, module = made()
    module.eval()
    batch = lfp_batch(["a"], [12])
    prepared = objective.prepare(FeedBatch(tokens=batch), DRAW)
    of_rows = prepared.is_masked.view(3, 8)[0].repeat(12)  # (T * P,), masks are those of channels
    other = dataclasses.replace(batch, values=torch.where(of_rows[:, None], 5.0, batch.values))
    predicted = []
    module.predictor.register_forward_hook(lambda _, inputs, output: predicted.append(output))
    for given in (batch, other):
        module.error(given, prepared.is_masked)
    assert torch.equal(*predicted)


def test_no_gradient_reaches_the_average_and_all_else_has_one():
    objective, module = made()
    module.train()
    batch = lfp_batch()
    given = FeedBatch(tokens=dataclasses.replace(batch, noise=noise_of(batch)))
    objective(module, given, DRAW)["latents"].total.backward()
    assert all(p.grad is None and not p.requires_grad for p in module.average.parameters())
    others = {name: p.grad for name, p in module.named_parameters() if not name.startswith("average.")}
    assert all(gradient is not None and gradient.any() for gradient in others.values())


def test_average_follows_the_tokenizer_by_the_momentum_of_the_epoch():
    objective, module = made()
    value, average = module.model.tokenizer.value.linear.weight, module.average.linear.weight
    old = average.clone()
    with torch.no_grad():
        value.add_(1.0)
    objective.after_step(module, 1)  # half of the momentum of 0.9
    torch.testing.assert_close(average, old + 0.55)
    objective.after_step(module, 0)
    assert torch.equal(average, value)


def test_model_keeps_the_average_as_its_tokenizer():
    objective, module = made()
    with torch.no_grad():
        module.model.tokenizer.value.linear.weight.add_(1.0)
    objective.finish(module)
    assert_same_bits(module.model.tokenizer.value.state_dict(), module.average.state_dict())


def test_dropout_of_the_predictor_has_numbers_of_its_own():
    _, module = made(dropout=0.1)
    numbers = [layer.layer for layer in module.modules() if isinstance(layer, Dropout)]
    assert numbers == [*range(1, len(numbers) + 1)]


def test_spread_of_the_target_is_its_standard_deviation_over_all_validated_tokens():
    objective, module = made()
    module.eval()
    targets, total = [], lambda values: values

    def validated(seed, sums, others=0):
        objective.totals(module, objective.prepare(FeedBatch(tokens=lfp_batch(seed=seed)), DRAW), DRAW)
        return objective.watch(module, lambda values: sums.append(values) or values + others)

    for seed in (0, 1):
        batch = lfp_batch(seed=seed)
        prepared = objective.prepare(FeedBatch(tokens=batch), DRAW)
        objective.totals(module, prepared, DRAW)
        targets.append(module.average(batch.values[layout_of(batch, 4).rows])[prepared.is_masked])
    sd = torch.cat(targets).double().std(0, correction=0)
    spread = objective.watch(module, total)
    assert spread == {
        "target_sd_least": pytest.approx(float(sd.min()), rel=1e-5),
        "target_sd_mean": pytest.approx(float(sd.mean()), rel=1e-5),
    }
    assert validated(0, []) != spread
    first = []
    validated(0, first)  # one of two workers, with half of the tokens
    assert validated(1, [], others=first[0]) == pytest.approx(spread)


def test_collapsed_target_is_an_error():
    objective, module = made()
    module.eval()
    with torch.no_grad():
        module.average.linear.weight[3:5] *= 1e-4
    objective.totals(module, objective.prepare(FeedBatch(tokens=lfp_batch()), DRAW), DRAW)
    with pytest.raises(TrainingError, match="the target has collapsed: 2 of its 16 dimensions") as caught:
        objective.watch(module, lambda values: values)
    assert caught.value.everywhere, "all workers stop"


RECIPE = Recipe(
    epochs=3, batch=4, learning_rate=3e-3, warmup_epochs=1, patience=1, precision="fp32", weight_decay_of="all"
)


class TwoBatches:
    """A feed of the same segments in every epoch, two steps each, and one batch of validation."""

    steps = 2

    def train(self, epoch, start=0):
        for step in range(start, self.steps):
            yield [FeedBatch(tokens=lfp_batch(seed=step))]

    def valid(self):
        yield FeedBatch(tokens=lfp_batch(seed=9))

    def sessions(self, epoch, step):
        return ["a", "b"]


def training(folder, feed=None):
    objective, module = made(dropout=0.1)
    engine = EngineConfig(checkpoint_every=1 / 2)
    return Training(
        model=module,
        objective=objective,
        feed=feed or TwoBatches(),
        recipe=RECIPE,
        engine=engine,
        seed=0,
        folder=folder,
    )


def test_training_that_was_killed_and_resumed_has_the_same_average_to_the_last_bit(tmp_path):
    whole = training(tmp_path / "whole")
    train(whole)
    moved = whole.model.average.state_dict()
    assert not torch.equal(moved["linear.weight"], whole.model.model.tokenizer.value.linear.weight)
    for at in [(1, 1), (2, 0)]:
        folder = tmp_path / "killed-{}-{}".format(*at)
        with pytest.raises(Killed):
            train(training(folder, DyingFeed(TwoBatches(), *at)))
        resumed = training(folder)
        train(resumed)
        assert_same_bits(whole.model.state_dict(), resumed.model.state_dict())
        assert (folder / "history.jsonl").read_bytes() == (whole.folder / "history.jsonl").read_bytes()


def test_training_keeps_its_last_epoch_and_logs_the_spread_of_the_target(tmp_path):
    run = training(tmp_path)
    state = train(run)
    history = read_history(tmp_path)
    losses = [line["valid_loss"] for line in history]
    assert state.best_epoch == RECIPE.epochs - 1 and state.best_loss == losses[-1]
    assert losses[-1] > min(losses) or len(losses) == RECIPE.epochs, "patience of one epoch has stopped nothing"
    assert all(line["valid_target_sd_mean"] >= line["valid_target_sd_least"] > 1e-3 for line in history)


def test_objective_of_a_model_for_one_scale_masks_by_another():
    spec = small_spec(space="none")
    objective = build_objective(CONFIG, spec)
    masked = objective.prepare(FeedBatch(tokens=lfp_batch(["a"], [12])), DRAW).is_masked.view(3, 8)
    assert torch.equal(masked, masked[:1].expand(3, -1))
    arrays = [set(masked[0, :4].tolist()), set(masked[0, 4:7].tolist()), set(masked[0, 7:].tolist())]
    assert all(len(values) == 1 for values in arrays), "whole arrays; the unknown channel is one of its own"
    assert masked[0].sum() >= 0.3 * 8
