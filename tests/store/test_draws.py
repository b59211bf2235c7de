"""Repeated draws of the folds: each is a session of its own, of the same values, and they come and go together."""

import dataclasses

import numpy as np
import pytest

from raydistill.config.names import check_name, check_stored_name, draw_name, recorded_and_draw
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import DataError
from raydistill.store.draws import damaged_draws, later_draws, write_draws
from raydistill.store.show import draws_of
from raydistill.store.store import Store
from tests.store.test_store import make_session

CONFIG = IngestConfig(bin_width_ms=20, splits=Splits(segment_s=1, parent_s=2, repeats=3))


def with_repeats(repeats):
    return dataclasses.replace(CONFIG, splits=dataclasses.replace(CONFIG.splits, repeats=repeats))


def folds(store, name):
    return store.split_file(store.entry(name))["units"]


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def test_draws_of_a_session_have_its_values_and_folds_of_successive_seeds(store):
    session = make_session()
    assert write_draws(store, session, CONFIG, "f" * 64).session == "a_1"
    entries = store.publish()
    assert [(e.session, e.recorded, e.draw) for e in entries] == [
        ("a_1", "a_1", 1),
        ("a_1~2", "a_1", 2),
        ("a_1~3", "a_1", 3),
    ]
    for n, entry in enumerate(entries):
        spikes = np.concatenate([s.spikes for s in store.read(entry)])
        assert np.array_equal(spikes, session.spikes)
        alone = dataclasses.replace(with_repeats(1), splits=Splits(segment_s=1, parent_s=2, seed=42 + n))
        other = Store(f"{store.uri}/alone{n}")
        other.write(session, alone, "f" * 64)
        assert folds(store, entry.session) == folds(other, "a_1")
    assert len({str(folds(store, e.session)) for e in entries}) == 3


def test_normalisation_of_each_draw_is_fitted_on_its_own_train_fold(store):
    write_draws(store, make_session(), CONFIG, "f" * 64)
    for entry in store.publish():
        train = np.concatenate([s.lfp for s in store.read(entry, "train")])
        assert np.allclose(train.mean(axis=0), 0, atol=1e-5) and np.allclose(train.std(axis=0), 1, atol=1e-4)


def test_fewer_draws_than_before_delete_the_surplus(store):
    write_draws(store, make_session(), CONFIG, "f" * 64)
    write_draws(store, make_session("a_10"), CONFIG, "f" * 64)
    write_draws(store, make_session(), with_repeats(2), "e" * 64)
    assert {e.session for e in store.publish()} == {"a_1", "a_1~2", "a_10", "a_10~2", "a_10~3"}
    write_draws(store, make_session(), with_repeats(1), "d" * 64)
    assert later_draws(store, "a_1") == [] and later_draws(store, "a_10") == ["a_10~2", "a_10~3"]
    assert not (store.folder.path / "segments/session=a_1~2").exists()


def test_error_in_a_later_draw_stores_none(store):
    """The LFP of one channel varies in three parents alone, all of which a later draw takes from train."""
    config = dataclasses.replace(CONFIG, splits=Splits(segment_s=1, parent_s=2, valid=0.4, test=0.4, repeats=40))
    lfp = np.random.default_rng(0).normal(size=(2000, 5))
    lfp[200:, 2] = 1.0
    with pytest.raises(DataError, match="LFP channel 2 is constant over the train segments"):
        write_draws(store, make_session(lfp=lfp), config, "f" * 64)
    assert store.complete() == []


def test_first_draw_is_written_last_so_that_its_fingerprint_stands_for_all(store, monkeypatch):
    written = []
    monkeypatch.setattr(Store, "write_planned", lambda self, session, plan, fingerprint: written.append(session.name))
    write_draws(store, make_session(), CONFIG, "f" * 64)
    assert written == ["a_1~2", "a_1~3", "a_1"]


@pytest.mark.parametrize("n_before", [0, 1])
def test_draws_that_an_interrupt_left_are_named_and_deleted_by_the_next_ingest(store, monkeypatch, n_before):
    """Without this, the session counts draws of another configuration, and every sweep of the store refuses it."""
    if n_before:
        write_draws(store, make_session(), with_repeats(1), "e" * 64)
    with monkeypatch.context() as patch:
        write = Store.write_planned

        def interrupted(self, session, plan, fingerprint):
            if session.name == "a_1~4":
                raise KeyboardInterrupt
            return write(self, session, plan, fingerprint)

        patch.setattr(Store, "write_planned", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_draws(store, make_session(), with_repeats(5), "f" * 64)
    assert {e.session for e in store.complete()} == {"a_1~2", "a_1~3"} | ({"a_1"} if n_before else set())
    assert draws_of(store.complete()) == ({"a_1": 1} if n_before else {})
    lines = damaged_draws(store, "a_1", with_repeats(1), "e" * 64)
    assert lines[-1] == "an interrupted ingest left 2 further draws of the folds of session a_1"
    write_draws(store, make_session(), with_repeats(1), "e" * 64)
    assert [e.session for e in store.publish()] == ["a_1"]
    assert damaged_draws(store, "a_1", with_repeats(1), "e" * 64) == []


def test_missing_and_damaged_draws_are_named(store):
    write_draws(store, make_session(), CONFIG, "f" * 64)
    assert damaged_draws(store, "a_1", CONFIG, "f" * 64) == []
    store.delete("a_1~3")
    (store.folder.path / store.entry("a_1~2").parts[0].path).write_bytes(b"")
    lines = damaged_draws(store, "a_1", CONFIG, "f" * 64)
    assert lines == ["draw 2 of the folds of session a_1 is missing", "draw 3 of the folds of session a_1 is missing"]


def test_exported_session_cannot_be_drawn_again(store):
    exported = dataclasses.replace(make_session(), exported=object())
    with pytest.raises(DataError, match=r"keeps the folds that it was exported with.*`splits.repeats: 1`"):
        write_draws(store, exported, CONFIG, "f" * 64)


def test_names_of_draws_belong_to_no_recording():
    assert [draw_name("m1", n) for n in (1, 2, 12)] == ["m1", "m1~2", "m1~12"]
    assert [recorded_and_draw(name) for name in ("m1", "m1~2")] == [("m1", 1), ("m1", 2)]
    assert check_stored_name("m1~12") == "m1~12"
    with pytest.raises(DataError, match="m1~2"):
        check_name("m1~2")
    for wrong in ("m1~1", "m1~0", "m1~", "m1~x", "m1~2~3", "m1~02", "../a~2", "m1~2/.."):
        with pytest.raises(DataError, match="is not allowed"):
            check_stored_name(wrong)
