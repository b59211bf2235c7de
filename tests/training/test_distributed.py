"""Ray Train: any number of workers sees the same batches and learns the same."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import TrainingError
from raydistill.models.files import load_model
from raydistill.models.neural import ModelSpec
from raydistill.objectives import masked_autoencoding
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.training.distributed import DistributedTraining, train_on_workers
from raydistill.training.history import read_history

from ..models.conftest import CONFIG
from .conftest import RECIPE

INGEST = IngestConfig(bin_width_ms=20, splits=Splits(segment_s=0.5, parent_s=1))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three sessions of different size and patch count, so that shards and segments are uneven."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    random = np.random.default_rng(0)
    for name, n_bins, units in (("a", 1500, 8), ("b", 2100, 20), ("c", 1000, 5)):
        spikes = random.poisson(0.5, (n_bins, units))
        store.write(Session.from_arrays(name, subject=name, bin_width_ms=20, spikes=spikes), INGEST, name * 64)
    store.publish()
    return store


def distributed(store, folder, workers):
    folder.mkdir()
    entries = store.entries()
    config = dataclasses.replace(CONFIG, dropout=0.0)
    sessions = {e.session: -(-e.n_units // 8) for e in entries}
    return DistributedTraining(
        spec=ModelSpec(config=config, modality="spikes", value="count", heads=("predictor",), sessions=sessions),
        objective=masked_autoencoding(0.6),
        store=store.uri,
        entries=tuple(entries),
        recipe=dataclasses.replace(RECIPE, epochs=3, batch=8),
        seed=0,
        folder=folder,
        workers=workers,
        use_gpu=False,
    )


def test_one_and_two_workers_learn_the_same(local_ray, store, tmp_path):
    histories, models = [], []
    for workers in (1, 2):
        training = distributed(store, tmp_path / str(workers), workers)
        progress = train_on_workers(training)
        assert progress.epoch == 3
        histories.append(read_history(training.folder / "history.jsonl"))
        models.append(load_model(training.folder).state_dict())
    for one, two in zip(*histories, strict=True):
        assert one["train_loss"] == pytest.approx(two["train_loss"], abs=1e-5)
        assert one["valid_loss"] == pytest.approx(two["valid_loss"], abs=1e-5)
    for name, value in models[0].items():
        torch.testing.assert_close(value, models[1][name], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("workers", "said"), [(100, "share 4 part files"), (4, "need 5 CPUs")])
def test_workers_that_cannot_be_had_are_refused(local_ray, store, tmp_path, workers, said):
    with pytest.raises(TrainingError, match=said):
        train_on_workers(distributed(store, tmp_path / "many", workers))


def test_training_that_cannot_go_on_says_so_without_being_tried_again(local_ray, store, tmp_path):
    training = distributed(store, tmp_path / "hopeless", 1)
    recipe = dataclasses.replace(training.recipe, learning_rate=1e12, warmup_start=1.0, clip=None)
    with pytest.raises(TrainingError, match="lower `learning_rate`"):
        train_on_workers(dataclasses.replace(training, recipe=recipe))
