"""Trainings on a GPU: the losses of the CPU, and the same bits each time."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.config.engine import EngineConfig
from raydistill.config.objectives import Distillation, MaskedAutoencoding
from raydistill.feed.placement import choose_placement
from raydistill.feed.reading import read_directly
from raydistill.feed.tokens import pack
from raydistill.models.families import build_model
from raydistill.models.files import save_model
from raydistill.models.layers.precision import compute_exactly
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.training.assemble import TrainingTask, assemble
from raydistill.training.history import read_history
from raydistill.training.loop import train
from tests.models.test_families import model, tokens_of  # noqa: F401 - a fixture
from tests.small import SETTINGS, make_spec
from tests.training.conftest import RECIPE, make_training
from tests.training.test_distributed import INGEST
from tests.training.test_loop import DyingFeed, Killed, assert_same_bits

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

LENGTHS = (200, 150)


@pytest.fixture(scope="module", autouse=True)
def exact():
    compute_exactly("cuda")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two sessions with spikes and LFP; segments of different patch counts make ragged batches."""
    store, random = Store(str(tmp_path_factory.mktemp("store"))), np.random.default_rng(0)
    for name, columns in (("a", 8), ("b", 20)):
        spikes, lfp = random.poisson(0.5, (1200, columns)), random.normal(size=(1200, columns))
        session = Session.from_arrays(name, subject=name, bin_width_ms=20, spikes=spikes, lfp=lfp)
        store.write(session, INGEST, name * 64)
    store.publish()
    return store


def task(store, folder, *, memory="auto", precision="fp32", modality="spikes", teacher=None, **changes):
    folder.mkdir(parents=True)
    entries = store.entries()
    settings = dataclasses.replace(SETTINGS, dropout=0.2)
    embedding = {"spikes": "count", "lfp": "conv"}[modality]
    outputs = ("predictor",) if teacher is None else ("readout",)
    return TrainingTask(
        spec=make_spec(modality, embedding, outputs, settings=settings),
        objective=MaskedAutoencoding(mask_ratio=0.6) if teacher is None else Distillation(alignment=5.0),
        recipe=dataclasses.replace(RECIPE, batch=8, precision=precision),
        engine=EngineConfig(memory=memory, checkpoint_every=1, **changes),
        seed=0,
        store=store.uri,
        entries=tuple(entries),
        folder=folder,
        teachers={e.session: teacher for e in entries} if teacher else {},
    )


def run(task, device="cuda"):
    assembled = assemble(
        task, lambda task, share: read_directly(Store(task.store), list(task.entries), share.signals), device=device
    )
    assembled.run()
    return assembled.model.state_dict()


def losses(task):
    return [line[f"{fold}_loss"] for line in read_history(task.folder) for fold in ("train", "valid")]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("teacher")
    save_model(build_model(make_spec("spikes", "count", ("predictor",))), folder)
    return folder


@pytest.mark.parametrize("kind", ["masked", "distillation"])
def test_training_on_a_gpu_has_the_losses_of_the_cpu(kind, store, teacher, tmp_path):
    options = {} if kind == "masked" else {"modality": "lfp", "teacher": teacher}
    on_cpu, on_gpu = (task(store, tmp_path / name, **options) for name in ("on_cpu", "on_gpu"))
    run(on_cpu, "cpu")
    run(on_gpu)
    assert losses(on_gpu) == pytest.approx(losses(on_cpu), rel=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["masked", "distillation"])
def test_training_on_a_gpu_has_the_same_bits_each_time_wherever_its_segments_are(
    kind, precision, store, teacher, tmp_path
):
    options = {"precision": precision} | ({} if kind == "masked" else {"modality": "lfp", "teacher": teacher})
    first = run(task(store, tmp_path / "first", memory="device", **options))
    for memory in ("device", "host", "stream"):
        again = run(task(store, tmp_path / memory, memory=memory, **options))
        assert_same_bits(first, again)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_on_a_gpu_that_is_killed_and_resumed_ends_with_the_same_bits(tmp_path, precision):
    recipe, engine = dataclasses.replace(RECIPE, precision=precision), EngineConfig(checkpoint_every=1 / 3)
    make = lambda folder: make_training(folder, recipe=recipe, engine=engine)  # noqa: E731
    whole = dataclasses.replace(make(tmp_path / "whole"), device="cuda")
    train(whole)
    for at in [(1, 2), (3, 0)]:
        folder = tmp_path / "killed-{}-{}".format(*at)
        killed = dataclasses.replace(make(folder), device="cuda")
        with pytest.raises(Killed):
            train(dataclasses.replace(killed, feed=DyingFeed(killed.feed, *at)))
        resumed = dataclasses.replace(make(folder), device="cuda")
        train(resumed)
        assert_same_bits(whole.model.state_dict(), resumed.model.state_dict())


def test_latents_of_every_family_on_a_gpu_agree_with_the_cpu(model):  # noqa: F811
    batch = pack(tokens_of(model))
    with torch.no_grad():
        expected = model.latents(batch)
        computed = model.to("cuda").latents(batch.to("cuda")).cpu()
    torch.testing.assert_close(computed, expected, atol=1e-4, rtol=1e-4)


def test_segments_on_a_gpu_may_fill_a_share_of_what_the_process_may_use(store, tmp_path):
    share = task(store, tmp_path / "job").share()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(0.25)
    try:
        reason = choose_placement(share, EngineConfig(), "cuda").reason
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert reason == f"fits {total / 12 / 1e6:.0f} MB of the device"
