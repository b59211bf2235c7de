"""The loop: exact on resume, fair in validation, clear when it cannot go on."""

import dataclasses
import itertools
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from raydistill.config.engine import EngineConfig
from raydistill.errors import TimeLimitReached, TrainingError
from raydistill.marker import write_marker
from raydistill.training import loop
from raydistill.training.history import append_history, read_history
from raydistill.training.loop import train, validate
from tests.test_marker import flip
from tests.training.conftest import ENGINE, RECIPE, make_examples, make_feed, make_training


def weights(training):
    return training.model.state_dict()


def assert_same_bits(a, b):
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Killed(Exception):
    pass


class DyingFeed:
    """A feed that ends the process, as far as the loop can tell, at some step of an epoch."""

    def __init__(self, feed, epoch, step):
        self.feed, self.epoch, self.step = feed, epoch, step

    def __getattr__(self, name):
        return getattr(self.feed, name)

    def train(self, epoch, start=0):
        for step, share in enumerate(self.feed.train(epoch, start), start):
            if (epoch, step) == (self.epoch, self.step):
                raise Killed
            yield share


@pytest.mark.parametrize("every", [1, 3, 1 / 3])
def test_training_killed_anywhere_and_resumed_ends_with_the_same_bits(tmp_path, every):
    engine = EngineConfig(checkpoint_every=every)
    whole = make_training(tmp_path / "whole", engine=engine)
    train(whole)
    for at in [(0, 1), (1, 2), (2, 1), (3, 0), (4, 2)]:
        folder = tmp_path / "killed-{}-{}".format(*at)
        with pytest.raises(Killed):
            train(make_training(folder, engine=engine, feed=DyingFeed(make_feed(), *at)))
        resumed = make_training(folder, engine=engine)
        train(resumed)
        assert_same_bits(weights(whole), weights(resumed))
        histories = [(t.folder / "history.jsonl").read_bytes() for t in (whole, resumed)]
        assert histories[0] == histories[1] and len(read_history(folder)) == RECIPE.epochs


def test_training_up_to_an_epoch_continues_to_the_same_bits(tmp_path):
    whole = make_training(tmp_path / "whole")
    train(whole)
    for until in (2, 3, None):
        stopped = dataclasses.replace(make_training(tmp_path / "parts"), until=until)
        assert train(stopped).epoch == (until or RECIPE.epochs)
    assert_same_bits(weights(whole), weights(stopped))


@pytest.mark.parametrize("checks", [0, 2, 4, 7])
def test_training_stopped_by_its_time_limit_saves_where_it_is_and_continues_to_the_same_bits(
    tmp_path, monkeypatch, checks
):
    whole = make_training(tmp_path / "whole")
    train(whole)
    clock = itertools.count()  # one tick per look at the time, of which there is one per step and one per epoch
    monkeypatch.setattr(loop.time, "time", lambda: float(next(clock)))
    stopped = dataclasses.replace(make_training(tmp_path / "stopped"), stop_at=float(checks))
    with pytest.raises(TimeLimitReached):
        train(stopped)
    monkeypatch.undo()
    saved = [path.name for path in (stopped.folder / "checkpoints").glob("epoch-*")]
    assert bool(saved) == bool(checks)
    resumed = make_training(stopped.folder)
    train(resumed)
    assert_same_bits(weights(whole), weights(resumed))
    assert (whole.folder / "history.jsonl").read_bytes() == (resumed.folder / "history.jsonl").read_bytes()


def test_training_saves_within_an_epoch_and_continues_from_there(tmp_path):
    engine = EngineConfig(checkpoint_every=1 / 3, checkpoint_keep=100)
    with pytest.raises(Killed):
        train(make_training(tmp_path, engine=engine, feed=DyingFeed(make_feed(), 1, 2)))
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    steps = [(0, 1), (0, 2), (1, 0), (1, 1)]
    assert names[:4] == [f"epoch-{epoch:06d}-step-{step:06d}" for epoch, step in steps]


def test_training_keeps_as_many_checkpoints_as_asked(tmp_path):
    train(make_training(tmp_path, engine=EngineConfig(checkpoint_every=1, checkpoint_keep=3)))
    assert [p.name[:12] for p in sorted((tmp_path / "checkpoints").iterdir())] == [f"epoch-{e:06d}" for e in (3, 4, 5)]


def test_training_with_a_corrupt_newest_checkpoint_continues_from_the_one_before(tmp_path):
    whole = make_training(tmp_path / "whole")
    train(whole)
    train(make_training(tmp_path / "cut", recipe=dataclasses.replace(RECIPE, epochs=4)))
    newest = tmp_path / "cut" / "checkpoints" / "epoch-000004-step-000000"
    (newest / "optimizer.pt").write_bytes((newest / "optimizer.pt").read_bytes()[:100])
    resumed = make_training(tmp_path / "cut")
    train(resumed)
    assert_same_bits(weights(whole), weights(resumed))
    assert (newest.parent / f"corrupt-{newest.name}").is_dir()


@pytest.mark.parametrize("name", ["model.safetensors", "best.safetensors", "optimizer.pt"])
def test_training_does_not_continue_from_a_checkpoint_with_a_flipped_bit(tmp_path, name):
    whole = make_training(tmp_path / "whole")
    train(whole)
    train(make_training(tmp_path / "cut", recipe=dataclasses.replace(RECIPE, epochs=4)))
    newest = tmp_path / "cut" / "checkpoints" / "epoch-000004-step-000000"
    flip(newest / name, (newest / name).stat().st_size // 2)
    resumed = make_training(tmp_path / "cut")
    train(resumed)
    assert_same_bits(weights(whole), weights(resumed))
    assert (newest.parent / f"corrupt-{newest.name}").is_dir()


@pytest.mark.parametrize("micro_batch", [1, 3])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_micro_batches_learn_what_whole_batches_learn(tmp_path, micro_batch, dropout):
    whole = make_training(tmp_path / "whole", dropout=dropout)
    cut = make_training(tmp_path / "cut", feed=make_feed(micro_batch=micro_batch), dropout=dropout)
    train(whole), train(cut)
    for one, other in zip(*(read_history(t.folder) for t in (whole, cut)), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)
        assert one["valid_loss"] == pytest.approx(other["valid_loss"], rel=1e-5)


def test_training_lowers_the_loss_and_keeps_the_best_epoch(tmp_path):
    training = make_training(tmp_path, recipe=dataclasses.replace(RECIPE, epochs=30, learning_rate=1e-2))
    progress = train(training)
    losses = [line["valid_loss"] for line in read_history(tmp_path)]
    assert losses[-1] < losses[0] and progress.best_loss == min(losses)
    assert validate(training)["loss"] == pytest.approx(min(losses), abs=1e-12)


def test_training_without_improvement_stops_after_its_patience(tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=50, patience=3, learning_rate=1.0, warmup_start=1.0, clip=None)
    progress = train(make_training(tmp_path, recipe=recipe))
    assert progress.epoch == progress.best_epoch + 1 + 3 < 50


@pytest.mark.parametrize(
    ("name", "changed", "problem"),
    [
        ("optimizer.pt", lambda tree: [group.pop("rate") for group in tree["param_groups"]], "no `rate`"),
        ("model.safetensors", lambda tree: tree.pop(min(tree)), "Missing key"),
    ],
)
def test_checkpoint_of_another_version_is_refused_with_its_file_and_the_way_out(tmp_path, name, changed, problem):
    train(make_training(tmp_path, recipe=dataclasses.replace(RECIPE, epochs=4)))
    path = sorted((tmp_path / "checkpoints").iterdir())[-1]
    is_pickle = name.endswith(".pt")
    tree = torch.load(path / name, weights_only=True) if is_pickle else load_file(path / name)
    changed(tree)
    (torch.save if is_pickle else save_file)(tree, path / name)
    write_marker(path)
    with pytest.raises(TrainingError, match=problem) as caught:
        train(make_training(tmp_path))
    message = str(caught.value)
    assert str(path) in message and f"delete {path.parent}" in message and "\n" not in message
    shutil.rmtree(path.parent)
    assert train(make_training(tmp_path)).epoch > 4


def test_training_with_infinite_loss_names_the_batch_and_keeps_the_last_checkpoint(tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=2)
    train(make_training(tmp_path, recipe=recipe))
    examples = make_examples()
    examples[0].tokens.values[0, 0] = float("inf")
    feed = make_feed(parts=12, examples=examples)
    step = next(i for i in range(feed.steps) if "part0" in feed.sessions(2, i))
    with pytest.raises(TrainingError, match=rf"epoch 2, step {step}:.*sessions .*part0,") as raised:
        train(make_training(tmp_path, feed=feed))
    assert raised.value.everywhere and "lower `learning_rate`" in str(raised.value)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir())[-1] == "epoch-000002-step-000000"


def test_training_whose_checkpoint_cannot_be_written_says_where_and_continues_after_repair(tmp_path):
    whole = make_training(tmp_path / "whole")
    train(whole)
    folder = tmp_path / "full"
    train(make_training(folder, recipe=dataclasses.replace(RECIPE, epochs=2)))
    checkpoints = folder / "checkpoints"
    checkpoints.rename(folder / "aside")
    checkpoints.write_text("a file where the folder should be")
    with pytest.raises(TrainingError, match=r"cannot save a checkpoint in .*checkpoints"):
        train(make_training(folder))
    checkpoints.unlink()
    (folder / "aside").rename(checkpoints)
    resumed = make_training(folder)
    train(resumed)
    assert_same_bits(weights(whole), weights(resumed))


def test_training_out_of_memory_names_the_setting(tmp_path):
    class Greedy:
        def __getattr__(self, name):
            return getattr(make_feed(), name)

        def train(self, epoch, start=0):
            torch.empty(1 << 60)
            yield

    with pytest.raises(TrainingError, match=r"out of memory on cpu with 4 segments.*micro_batch: 2"):
        train(make_training(tmp_path, feed=Greedy()))


def test_training_history_torn_line_is_dropped(tmp_path):
    train(make_training(tmp_path, recipe=dataclasses.replace(RECIPE, epochs=3)))
    with open(tmp_path / "history.jsonl", "a") as file:
        file.write('{"epoch": 3, "tra')
    train(make_training(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3, 4]


def test_history_says_what_was_learned_and_what_it_took(tmp_path):
    train(make_training(tmp_path))
    assert {"tokens_per_s", "data_wait_s", "checkpoint_stall_s", "time", "train_loss"} <= set(read_history(tmp_path)[0])
    assert "time" not in json.loads((tmp_path / "history.jsonl").read_text().splitlines()[0])
    append_history(tmp_path, {"epoch": 5}, {"epoch": 5, "time": 1.0})
    assert read_history(tmp_path)[5] == {"epoch": 5, "time": 1.0}


def test_validation_draws_the_same_masks_every_time(tmp_path):
    training = make_training(tmp_path)
    assert validate(training) == validate(training)


@pytest.mark.parametrize("there", [False, True])
def test_training_in_bf16_runs_in_fp32_where_the_hardware_has_none(tmp_path, monkeypatch, there):
    monkeypatch.setattr("raydistill.training.loop.has_bf16", lambda device: there)
    losses = {}
    for precision in ("fp32", "bf16"):
        recipe = dataclasses.replace(RECIPE, precision=precision, epochs=1)
        train(make_training(tmp_path / precision, recipe=recipe, engine=ENGINE, dropout=0.0))
        losses[precision] = read_history(tmp_path / precision)[0]["train_loss"]
    assert (losses["bf16"] == losses["fp32"]) is not there
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


def test_history_leaves_out_an_epoch_that_one_of_its_files_does_not_have_yet(tmp_path):
    for epoch in (0, 1):
        append_history(tmp_path, {"epoch": epoch, "train_loss": 1.0}, {"epoch": epoch, "time": 0.5})
    timing = tmp_path / "timing.jsonl"
    timing.write_text(timing.read_text().splitlines()[0] + "\n")
    assert [line["epoch"] for line in read_history(tmp_path)] == [0]
