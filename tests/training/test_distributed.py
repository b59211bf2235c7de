"""Ray Train: any number of workers, and any place of their segments, sees the same batches and learns the same."""

import dataclasses
import re
import threading

import numpy as np
import pytest
import torch

from raydistill.cluster.room import Machine, Room
from raydistill.config.engine import EngineConfig
from raydistill.config.objectives import Distillation, MaskedAutoencoding
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import TrainingError
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.files import load_model, save_model
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.training import distributed as training_distributed
from raydistill.training.assemble import TrainingTask
from raydistill.training.distributed import DistributedTraining, Outcome, train_on_workers
from raydistill.training.history import read_history
from tests.small import SETTINGS, make_spec
from tests.training.conftest import RECIPE

INGEST = IngestConfig(bin_width_ms=20, splits=Splits(segment_s=0.5, parent_s=1))
SIZES = (("a", 1500, 8), ("b", 2100, 20), ("c", 1000, 5), ("d", 700, 12))


def make_store(folder):
    """Sessions of different size and patch count, so that shards and segments are uneven."""
    store = Store(str(folder))
    random = np.random.default_rng(0)
    for name, n_bins, units in SIZES:
        spikes = random.poisson(0.5, (n_bins, units))
        store.write(Session.from_arrays(name, subject=name, bin_width_ms=20, spikes=spikes), INGEST, name * 64)
    store.publish()
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


def distributed(store, folder, workers, max_failures=3, **changes):
    folder.mkdir()
    entries = store.entries()
    sessions = {e.session: -(-e.n_units // 8) for e in entries}
    settings = dataclasses.replace(SETTINGS, dropout=0.2)
    task = TrainingTask(
        spec=dataclasses.replace(make_spec("spikes", "count", settings=settings), sessions=sessions),
        objective=MaskedAutoencoding(mask_ratio=0.6),
        recipe=dataclasses.replace(RECIPE, batch=8),
        seed=0,
        store=store.uri,
        entries=tuple(entries),
        folder=folder,
    )
    task = dataclasses.replace(task, **changes)
    return DistributedTraining(task=task, workers=(workers, workers), use_gpu=False, max_failures=max_failures)


def trained(training):
    """How far it came."""
    [(_, outcome)] = train_on_workers([training], training.task.folder.parent / "ray")
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@pytest.fixture(scope="module")
def alone(local_ray, store, tmp_path_factory):
    """One worker that keeps its segments."""
    training = distributed(store, tmp_path_factory.mktemp("alone") / "job", 1)
    reached = trained(training)
    assert reached["epoch"] == 5 and reached["workers"] == 1 and reached["segments"]["place"] == "host"
    return training


@pytest.mark.parametrize(("workers", "memory"), [(4, "host"), (2, "stream")])
def test_workers_of_any_number_and_memory_learn_what_one_learns(alone, store, tmp_path, workers, memory):
    engine = EngineConfig(memory=memory, micro_batch=3, reading="ray_data")
    training = distributed(store, tmp_path / "job", workers, engine=engine)
    training = dataclasses.replace(training, workers=(1, workers))  # one machine has room for the most
    reached = trained(training)
    assert reached["workers"] == workers and reached["segments"]["place"] == memory
    for one, other in zip(*(read_history(t.task.folder) for t in (alone, training)), strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], abs=1e-5)
        assert one["valid_loss"] == pytest.approx(other["valid_loss"], abs=1e-5)
    expected = load_model(alone.task.folder).state_dict()
    for name, value in load_model(training.task.folder).state_dict().items():
        torch.testing.assert_close(value, expected[name], atol=1e-4, rtol=1e-3)


def test_teacher_that_is_unfrozen_on_two_workers_learns_what_it_learns_on_one(local_ray, store, tmp_path):
    torch.manual_seed(1)
    sessions = {e.session: -(-e.n_units // 8) for e in store.entries()}
    teacher = CrossModalModel(dataclasses.replace(make_spec("spikes", "count"), sessions=sessions))
    (tmp_path / "teacher").mkdir()
    save_model(teacher, tmp_path / "teacher")
    trainings = [
        distributed(
            store,
            tmp_path / f"on_{workers}",
            workers,
            spec=dataclasses.replace(make_spec("spikes", "count", ("readout",)), sessions=sessions),
            objective=Distillation(alignment=5.0, unfreeze_epoch=2),
            recipe=dataclasses.replace(RECIPE, batch=8, epochs=4),
            teachers=dict.fromkeys(sessions, tmp_path / "teacher"),
        )
        for workers in (1, 2)
    ]
    outcomes = [outcome for _, outcome in train_on_workers(trainings, tmp_path / "ray")]
    assert [outcome["workers"] for outcome in outcomes] == [1, 2]
    for one, two in zip(*(read_history(t.task.folder) for t in trainings), strict=True):
        assert one["train_loss"] == pytest.approx(two["train_loss"], rel=1e-5)
        assert one["valid_loss"] == pytest.approx(two["valid_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("workers", "message"),
    [(100, "only 5 shards, too few for 100 workers"), (4, "4 workers and their reading tasks need")],
)
def test_workers_that_cannot_be_had_are_refused(local_ray, store, tmp_path, monkeypatch, workers, message):
    small = Room((Machine(cpus=3.0, gpus=0.0, pool=""),), ())
    monkeypatch.setattr("raydistill.training.distributed.room", lambda: small)
    with pytest.raises(TrainingError, match=message):
        trained(distributed(store, tmp_path / "many", workers))


def test_range_of_workers_is_kept_on_a_cluster_and_settled_on_one_machine(store, tmp_path, monkeypatch):
    training = distributed(store, tmp_path / "job", 1)
    counts = {}
    for name, is_local in (("cluster", False), ("machine", True)):
        monkeypatch.setattr(training_distributed, "is_local", lambda is_local=is_local: is_local)
        monkeypatch.setattr(training_distributed, "room", lambda: Room((Machine(3), Machine(1))))
        for workers in ((2, 2), (1, 8)):
            counts[name, workers] = training_distributed._worker_count(dataclasses.replace(training, workers=workers))
    assert counts["cluster", (1, 8)] == (1, 3) and counts["machine", (1, 8)] == 3  # one CPU is left for reading
    assert counts["cluster", (2, 2)] == counts["machine", (2, 2)] == 2


def test_outcome_that_a_network_disk_shows_late_is_waited_for(store, tmp_path, monkeypatch):
    task = distributed(store, tmp_path / "job", 1).task
    told = Outcome(tmp_path, task)
    late = threading.Timer(0.5, told.write, ({"reached": {"epoch": 5}},))
    late.start()
    assert told.late() == {"epoch": 5}
    late.join()
    told.delete()
    monkeypatch.setattr("raydistill.training.distributed.LATE_S", 0.1)
    never = told.late()
    assert isinstance(never, TrainingError) and "does not see" in str(never) and "share this folder" in str(never)


def test_trainings_one_after_another_come_to_the_same_and_stop_none_but_themselves(local_ray, tmp_path):
    store = make_store(tmp_path / "store")
    part = tmp_path / "store" / store.entry("b").parts[0].path
    training = lambda name, **changes: distributed(store, tmp_path / name, 2, max_failures=0, **changes)  # noqa: E731
    without_b = tuple(e for e in store.entries() if e.session != "b")
    good, again = (training(name, entries=without_b) for name in ("good", "again"))
    recipe = dataclasses.replace(RECIPE, batch=8, learning_rate=1e12, warmup_start=1.0, clip=None)
    hopeless = training("hopeless", entries=without_b, recipe=recipe)
    # The first of these has the workers start anew, for which the second has no chance left.
    corrupt, too = dataclasses.replace(training("corrupt"), max_failures=1), training("too")
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])

    wanted = [hopeless, corrupt, good, too, again]
    ended = list(train_on_workers(wanted, tmp_path / "ray"))
    assert [training.task.folder.name for training, _ in ended] == [training.task.folder.name for training in wanted]
    diverged, *unread = (outcome for training, outcome in ended if training in (hopeless, corrupt, too))
    assert isinstance(diverged, TrainingError) and re.search(r"over sessions .*lower `learning_rate`", str(diverged))
    assert all(isinstance(err, TrainingError) for err in unread) and len(unread) == 2
    assert all(re.search(r"session=b/.* is missing or corrupt .*ingest session b", str(err)) for err in unread)
    first, last = ended[2][1], ended[4][1]
    assert first == last and first["epoch"] == 5
    for file in ("model.safetensors", "history.jsonl"):
        assert (good.task.folder / file).read_bytes() == (again.task.folder / file).read_bytes()
    assert not (tmp_path / "ray").exists()

    part.write_bytes(whole)
    assert trained(corrupt)["epoch"] == 5
