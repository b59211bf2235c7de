"""The loop: exact on resume, fair in validation, clear when it cannot go on."""

import dataclasses
import json

import pytest
import torch

from raydistill.errors import TrainingError
from raydistill.training.history import read_history
from raydistill.training.loop import train, validate

from .conftest import RECIPE, make_feed, make_training


def weights(training):
    return training.model.state_dict()


def assert_same_bits(a, b):
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Killed(Exception):
    pass


class DyingFeed:
    """A feed that ends the process, as far as the loop can tell, in the middle of an epoch."""

    def __init__(self, feed, epoch):
        self.feed, self.epoch = feed, epoch

    def train(self, epoch):
        for i, batch in enumerate(self.feed.train(epoch)):
            if epoch == self.epoch and i == 1:
                raise Killed
            yield batch

    def split(self, split):
        return self.feed.split(split)


@pytest.mark.parametrize("every", [1, 3])
def test_training_killed_in_any_epoch_and_resumed_ends_with_the_same_bits(tmp_path, every):
    recipe = dataclasses.replace(RECIPE, checkpoint_every=every)
    whole = make_training(tmp_path / "whole", recipe=recipe)
    train(whole)
    for epoch in range(RECIPE.epochs):
        folder = tmp_path / f"killed-{epoch}"
        with pytest.raises(Killed):
            train(make_training(folder, recipe=recipe, feed=DyingFeed(make_feed(), epoch)))
        resumed = make_training(folder, recipe=recipe)
        train(resumed)
        assert_same_bits(weights(whole), weights(resumed))
        lines = [read_history(t.folder / "history.jsonl") for t in (whole, resumed)]
        losses = [[(line["epoch"], line["train_loss"], line["valid_loss"]) for line in ls] for ls in lines]
        assert losses[0] == losses[1]


def test_training_with_a_corrupt_newest_checkpoint_goes_on_from_the_one_before(tmp_path):
    whole = make_training(tmp_path / "whole")
    train(whole)
    cut = make_training(tmp_path / "cut", recipe=dataclasses.replace(RECIPE, epochs=4))
    train(cut)
    newest = tmp_path / "cut" / "checkpoints" / "epoch-000004"
    (newest / "optimizer.pt").write_bytes((newest / "optimizer.pt").read_bytes()[:100])
    resumed = make_training(tmp_path / "cut")
    train(resumed)
    assert_same_bits(weights(whole), weights(resumed))
    assert (newest.parent / "corrupt-epoch-000004").is_dir()


def test_training_lowers_the_loss_and_keeps_the_best_epoch(tmp_path):
    training = make_training(tmp_path, recipe=dataclasses.replace(RECIPE, epochs=30, learning_rate=1e-2))
    progress = train(training)
    lines = read_history(tmp_path / "history.jsonl")
    losses = [line["valid_loss"] for line in lines]
    assert losses[-1] < losses[0] and progress.best_loss == min(losses)
    assert validate(training)["loss"] == pytest.approx(min(losses), abs=1e-12)


def test_training_without_improvement_stops_after_its_patience(tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=50, patience=3, learning_rate=1.0, warmup_start=1.0, clip=None)
    progress = train(make_training(tmp_path, recipe=recipe))
    assert progress.epoch == progress.best_epoch + 1 + 3 < 50


def test_training_with_infinite_loss_says_when_and_what_to_change(tmp_path):
    feed = make_feed()
    next(iter(feed.held["train"].values())).values[0, 0] = float("inf")
    with pytest.raises(TrainingError, match=r"epoch 0.*lower `learning_rate`"):
        train(make_training(tmp_path, feed=feed))


def test_training_history_torn_line_is_dropped(tmp_path):
    train(make_training(tmp_path, recipe=dataclasses.replace(RECIPE, epochs=3)))
    with open(tmp_path / "history.jsonl", "a") as file:
        file.write('{"epoch": 3, "tra')
    train(make_training(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3, 4]


def test_validation_draws_the_same_masks_every_time(tmp_path):
    training = make_training(tmp_path)
    assert validate(training) == validate(training)


@pytest.mark.parametrize("there", [False, True])
def test_training_in_bf16_runs_in_fp32_where_the_hardware_has_none(tmp_path, monkeypatch, there):
    monkeypatch.setattr("raydistill.training.loop.has_bf16", lambda device: there)
    losses = {}
    for precision in ("fp32", "bf16"):
        recipe = dataclasses.replace(RECIPE, precision=precision, epochs=1)
        train(make_training(tmp_path / precision, recipe=recipe, dropout=0.0))
        losses[precision] = read_history(tmp_path / precision / "history.jsonl")[0]["train_loss"]
    assert (losses["bf16"] == losses["fp32"]) is not there
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
