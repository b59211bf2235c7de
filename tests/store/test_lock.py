"""Two processes never write one session at the same time, and a store is whole after two ingests of it."""

import multiprocessing
import random
import time

import pytest

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import DataError
from raydistill.store.lock import writing
from raydistill.store.store import Store
from tests.store.test_store import CONFIG, make_session

SECOND = IngestConfig(bin_width_ms=20, splits=Splits(segment_s=2, parent_s=2))
WAYS = ((CONFIG, "a" * 64), (SECOND, "b" * 64))


def write(uri, way, seed):
    config, fingerprint = WAYS[way]
    time.sleep(random.Random(seed).uniform(0, 0.02))
    try:
        Store(uri).write(make_session(), config, fingerprint)
    except DataError as err:
        assert "is being written by" in str(err)
    Store(uri).publish()


def test_store_is_whole_after_each_of_20_pairs_of_ingests_with_different_settings(tmp_path):
    uri, rounds = str(tmp_path), 20
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        for i in range(rounds):
            pool.starmap(write, [(uri, way, 2 * i + way) for way in (0, 1)])
            store = Store(uri)
            assert store.verify() == [], f"round {i}"
            (entry,) = store.entries()
            assert len(store.read(entry)) == entry.n_segments
            assert entry.fingerprint in {"a" * 64, "b" * 64}


def hold(uri, started, end):
    with writing(Store(uri).folder, "session a_1"):
        started.set()
        end.wait(60)


def test_session_that_another_process_writes_is_left_to_it_with_its_name(tmp_path):
    context = multiprocessing.get_context("forkserver")
    started, end = context.Event(), context.Event()
    process = context.Process(target=hold, args=(str(tmp_path), started, end))
    process.start()
    assert started.wait(60)
    store = Store(str(tmp_path))
    with pytest.raises(DataError, match=rf"session a_1 is being written by process {process.pid} on .* since 20"):
        store.write(make_session(), CONFIG, "f" * 64)
    assert store.write(make_session("b_2"), CONFIG, "f" * 64).session == "b_2"
    end.set()
    process.join(60)
    store.write(make_session(), CONFIG, "f" * 64)
    assert [e.session for e in store.publish()] == ["a_1", "b_2"]


def test_lock_of_a_process_that_was_killed_is_free(tmp_path):
    context = multiprocessing.get_context("forkserver")
    started, end = context.Event(), context.Event()
    process = context.Process(target=hold, args=(str(tmp_path), started, end))
    process.start()
    assert started.wait(60)
    process.kill()
    process.join(60)
    assert Store(str(tmp_path)).write(make_session(), CONFIG, "f" * 64).session == "a_1"
