"""Golden losses: 50 steps of three objectives give the losses that are stored next to this file.

On the kind of machine that made them (`machine` in the file) they are equal to the last bit, elsewhere close. A change
that is meant to change them is recorded with `python -m tests.training.test_golden_losses`, and explained in its
commit.
"""

import dataclasses
import json
import platform
import tempfile
from pathlib import Path

import pytest
import torch

from raydistill.config.objectives import Distillation, MaskedAutoencoding, MaskedAutoencodingWithBehavior
from raydistill.feed.feed import Example, Feed, InMemory
from raydistill.feed.order import SegmentPlace, Shards
from raydistill.feed.tokens import Inputs
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.objectives import build_objective
from raydistill.training.history import read_history
from raydistill.training.loop import Training, train
from tests.small import SETTINGS, make_segments, make_spec
from tests.training.conftest import RECIPE

FILE = Path(__file__).with_name("golden_losses.json")
EPOCHS, SEGMENTS, BATCH = 25, 12, 6  # two steps per epoch
BEHAVIOR = ("vx", "vy")
OBJECTIVES = {
    "masked_autoencoding": (MaskedAutoencoding(mask_ratio=0.6), "spikes", "count", ("predictor",), ()),
    "masked_autoencoding_with_behavior": (
        MaskedAutoencodingWithBehavior(mask_ratio=0.6), "lfp", "linear", ("predictor",), BEHAVIOR,
    ),
    "distillation": (Distillation(alignment=5.0), "lfp", "conv", ("readout",), ()),
}  # fmt: skip


def machine() -> str:
    """What the last bits of a loss depend on."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} torch {torch.__version__.partition('+')[0]}"


def examples(modality):
    inputs = Inputs(modality=modality, widths=(8,))
    draw = torch.Generator().manual_seed(7)
    for segment in make_segments(["a", "b"] * (SEGMENTS // 2), [10] * SEGMENTS):
        tokens = dataclasses.replace(inputs.tokenize(segment), behavior=torch.randn(10, 2, generator=draw))
        yield Example(tokens, torch.randn(10, SETTINGS.width, generator=draw))


def losses(name: str, folder: Path) -> list[float]:
    """Training and validation loss of each epoch, one after another."""
    config, modality, embedding, outputs, behavior = OBJECTIVES[name]
    kept = {SegmentPlace(0, i): example for i, example in enumerate(examples(modality))}
    shards = Shards.deal([SEGMENTS], [SEGMENTS])
    feed = Feed(
        source=InMemory({"train": kept, "valid": kept}), train_shards=shards, valid_shards=shards, batch=BATCH, seed=0
    )
    settings = dataclasses.replace(SETTINGS, dropout=0.2)
    torch.manual_seed(0)
    train(
        Training(
            model=CrossModalModel(make_spec(modality, embedding, outputs, behavior, settings)),
            objective=build_objective(config),
            feed=feed,
            recipe=dataclasses.replace(RECIPE, epochs=EPOCHS, batch=BATCH, patience=EPOCHS),
            seed=0,
            folder=folder,
        )
    )
    return [line[f"{fold}_loss"] for line in read_history(folder) for fold in ("train", "valid")]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_of_fifty_steps_are_the_golden_ones(name, tmp_path):
    golden = json.loads(FILE.read_text())
    now, expected = losses_in_one_thread(name, tmp_path), golden["losses"][name]
    assert len(now) == 2 * EPOCHS
    if golden["machine"] == machine():
        assert now == expected
    assert now == pytest.approx(expected, rel=2e-3)


def losses_in_one_thread(name, folder):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return losses(name, folder)
    finally:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    made = {}
    for objective in OBJECTIVES:
        with tempfile.TemporaryDirectory() as directory:
            made[objective] = losses_in_one_thread(objective, Path(directory))
    FILE.write_text(json.dumps({"machine": machine(), "losses": made}, indent=1) + "\n")
