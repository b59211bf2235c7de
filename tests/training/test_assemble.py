"""What a training reads from the store: the signals that its model, and its teacher, need."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from raydistill.config.objectives import Distillation, MaskedAutoencoding
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.feed.reading import read_directly
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.families import build_model
from raydistill.models.files import save_model
from raydistill.models.realm.config import PRESETS as REALM_PRESETS
from raydistill.models.realm.config import configure
from raydistill.models.spec import ModelSpec
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


def weights_before_and_after(store, folder, **changes):
    """The weights of the value embedding of a causal student at its start and after its training, and the teacher's."""
    settings = dataclasses.replace(REALM_PRESETS["tiny"], lfp_patch=8)
    sizes = {"family": "realm", "sessions": {"a": 1}}
    torch.manual_seed(1)
    teacher = build_model(ModelSpec(config=configure(settings, "lfp", "gated"), **sizes))
    (folder / "teacher").mkdir(parents=True)
    save_model(teacher, folder / "teacher")
    causal = dataclasses.replace(settings, causal=True)
    spec = ModelSpec(config=configure(causal, "lfp", "gated", readout=True), **sizes)
    objective = Distillation(alignment=1.0, align="residual", readout_share=0.3)
    task = make_task(store, folder / "job", ("readout",), objective=objective, **changes)
    task = dataclasses.replace(task, spec=spec, teachers={"a": folder / "teacher"})
    assembled = assemble(task, lambda task, share: read_directly(store, list(task.entries), share.signals))
    before = copy.deepcopy(assembled.model.tokenizer.value.state_dict())
    encoder = copy.deepcopy(assembled.model.encoder.state_dict())
    assembled.run()
    assert any(not torch.equal(w, encoder[name]) for name, w in assembled.model.encoder.state_dict().items())
    return before, assembled.model.tokenizer.value.state_dict(), teacher.tokenizer.value.state_dict()


def test_student_inherits_the_value_embedding_and_goes_on_training_it(store, tmp_path):
    before, after, teacher = weights_before_and_after(store, tmp_path, inherit="tokenizer")
    assert all(torch.equal(before[name], teacher[name]) for name in teacher)
    assert any(not torch.equal(after[name], teacher[name]) for name in teacher)


def test_frozen_value_embedding_is_the_shifted_one_of_the_teacher_at_the_end(store, tmp_path):
    before, after, teacher = weights_before_and_after(store, tmp_path, inherit="shifted_tokenizer", freeze="tokenizer")
    assert all(torch.equal(before[name], after[name]) for name in teacher)
    kernel = teacher["features.weight"][:, 0]
    assert torch.equal(before["features.weight"][:, 0], torch.stack([0 * kernel[:, 0], kernel[:, 0], kernel[:, 1]], 1))
    assert all(torch.equal(before[name], teacher[name]) for name in teacher if name != "features.weight")
