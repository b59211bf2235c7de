"""What a training reads from the store: the signals that its model, and its teacher, need."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.config.objectives import Distillation, MaskedAutoencoding
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.feed.reading import read_directly
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.files import save_model
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.store.table import SIGNALS
from raydistill.training.assemble import TrainingTask, assemble
from raydistill.training.history import read_history
from tests.small import make_spec
from tests.training.conftest import ENGINE, RECIPE

SHORT = dataclasses.replace(RECIPE, epochs=3)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store, random = Store(str(tmp_path_factory.mktemp("store"))), np.random.default_rng(0)
    session = Session.from_arrays(
        "a",
        subject="a",
        bin_width_ms=20,
        spikes=random.poisson(0.7, (900, 8)),
        lfp=random.normal(size=(900, 8)),
        behavior=random.normal(size=(900, 1)),
        behavior_names=("vx",),
        behavior_units=("",),
    )
    store.write(session, IngestConfig(bin_width_ms=20, splits=Splits(segment_s=0.4, parent_s=0.8)), "a" * 64)
    store.publish()
    return store


def teacher_folder(tmp_path):
    torch.manual_seed(1)
    spec = dataclasses.replace(make_spec("spikes", "count", ("readout",)), sessions={"a": 1})
    (tmp_path / "teacher").mkdir()
    save_model(CrossModalModel(spec), tmp_path / "teacher")
    return tmp_path / "teacher"


def make_task(store, folder, outputs, **changes):
    folder.mkdir()
    spec = dataclasses.replace(make_spec("lfp", "linear", outputs), sessions={"a": 1})
    given = {"objective": MaskedAutoencoding(mask_ratio=0.6)} | changes
    return TrainingTask(
        spec=spec, recipe=SHORT, engine=ENGINE, seed=0, store=store.uri, entries=(store.entry("a"),), folder=folder,
        **given,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "expected"), [("alone", {"lfp"}), ("distilled", {"lfp", "spikes"}), ("unfrozen", {"lfp", "spikes"})]
)
def test_training_reads_the_signals_it_needs_and_learns_what_it_learns_from_all(store, tmp_path, kind, expected):
    changes, outputs = {}, ("predictor",)
    if kind != "alone":
        epoch = 1 if kind == "unfrozen" else None
        changes = {
            "objective": Distillation(alignment=5.0, unfreeze_epoch=epoch),
            "teachers": {"a": teacher_folder(tmp_path)},
        }
        outputs = ("readout",)
    asked, histories = [], []
    for name, signals_of in (("own", lambda share: share.signals), ("all", lambda share: SIGNALS)):
        task = make_task(store, tmp_path / name, outputs, **changes)

        def reader(task, share, signals_of=signals_of):
            asked.append(set(signals_of(share)))
            return read_directly(store, list(task.entries), signals_of(share))

        assemble(task, reader).run()
        losses = [(line["train_loss"], line["valid_loss"]) for line in read_history(task.folder)]
        histories.append(losses)
    assert asked == [expected, set(SIGNALS)]
    assert histories[0] == histories[1] and len(histories[0]) == SHORT.epochs
