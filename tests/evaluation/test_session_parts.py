"""Scores of a session in the store: only what a decoder reads is read, part by part, with the same result."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.evaluation import folds
from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.folds import StoredFolds, folds_of
from raydistill.evaluation.session_scores import score_baseline, score_model
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.store.session import Session
from raydistill.store.store import Store
from tests.small import make_spec

COLUMNS = ("vy", "vx")


class WatchedStore(Store):
    """A store that notes which signals are read, from which parts, and from which parts spikes or LFP."""

    def __init__(self, uri):
        super().__init__(uri)
        self.read_signals, self.read_paths, self.neural_paths = set(), [], []

    def table(self, part, entry, signals):
        self.read_signals |= set(signals)
        self.read_paths.append(part.path)
        if set(signals) != {"behavior"}:  # which is read again for the comparison with the clock
            self.neural_paths.append(part.path)
        return super().table(part, entry, signals)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A store of one session whose trials begin at an event, with two part files of training segments."""
    store, random = Store(str(tmp_path_factory.mktemp("store"))), np.random.default_rng(0)
    behavior = random.normal(size=(3000, 2)).astype(np.float32)
    session = Session.from_arrays(
        "a",
        subject="a",
        bin_width_ms=20,
        spikes=random.poisson(0.5 + np.abs(behavior[:, :1]), (3000, 8)),
        lfp=behavior[:, :1] + random.normal(size=(3000, 8)),
        behavior=behavior,
        behavior_names=("vx", "vy"),
        behavior_units=("", ""),
        trial=np.repeat(np.arange(120), 25).astype(np.int32),
    )
    store.write(session, IngestConfig(bin_width_ms=20, splits=Splits(by="trials")), "a" * 64)
    store.publish()
    return store.uri


@pytest.mark.parametrize("name", [name for name, b in BASELINES.items() if b.decodes == "behavior"])
def test_baseline_that_reads_large_folds_part_by_part_scores_the_same(uri, name, monkeypatch):
    store = WatchedStore(uri)
    entry = store.entry("a")
    assert sum(part.split == "train" for part in entry.parts) == 2
    once, _ = score_baseline(BASELINES[name], store, entry, COLUMNS)
    assert store.read_signals == {*BASELINES[name].reads, "behavior"}
    assert set(store.read_paths) == {part.path for part in entry.parts}
    assert not store.neural_paths or sorted(store.neural_paths) == sorted(part.path for part in entry.parts)
    n_read = len(store.read_paths)
    monkeypatch.setattr(folds, "KEPT_BYTES", 0)
    assert score_baseline(BASELINES[name], store, entry, COLUMNS)[0] == once
    assert len(store.read_paths) >= 2 * n_read


def test_folds_are_kept_up_to_their_size_in_memory(uri, monkeypatch):
    store = Store(uri)
    entry = store.entry("a")
    stored = StoredFolds(store=store, entry=entry, folds=("valid", "test"), reads=("lfp",), columns=COLUMNS)
    segments = list(stored)
    assert len(stored) == len(segments) == entry.splits["valid"] + entry.splits["test"]
    assert stored.bytes == sum(s.lfp.nbytes + s.behavior.nbytes for s in segments)
    monkeypatch.setattr(folds, "KEPT_BYTES", stored.bytes)
    assert isinstance(folds_of(store, entry, ("valid", "test"), ("lfp",), COLUMNS), list)
    monkeypatch.setattr(folds, "KEPT_BYTES", stored.bytes - 1)
    large = folds_of(store, entry, ("valid", "test"), ("lfp",), COLUMNS)
    assert isinstance(large, StoredFolds)
    for one, other in zip(segments, large, strict=True):
        assert one.spikes is None and one.number == other.number and np.array_equal(one.lfp, other.lfp)
        assert np.array_equal(one.behavior, other.behavior)


@pytest.mark.parametrize("modality", ["spikes", "lfp"])
def test_model_is_scored_from_its_own_signal_and_each_part_is_read_once(uri, modality):
    torch.manual_seed(0)
    spec = make_spec(modality, "count" if modality == "spikes" else "linear", ())
    model, store = CrossModalModel(dataclasses.replace(spec, sessions={"a": 1})), WatchedStore(uri)
    entry = store.entry("a")
    score = score_model(model, store, entry, COLUMNS)
    assert store.read_signals == {modality, "behavior"}
    assert sorted(store.neural_paths) == sorted(part.path for part in entry.parts)
    assert score.decoding.n_test == sum(sum(p.n_bins) for p in entry.parts if p.split == "test")
    assert score.segments.numbers.tolist() == [s.number for s in Store(uri).read(entry, "test")]
