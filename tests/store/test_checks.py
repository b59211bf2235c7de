"""Damage of a store is seen, named, and mended by writing the session again; no other value is ever read."""

import json
import random
import shutil

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.feed.reading import read_directly
from raydistill.store.listing import CATALOGUE
from raydistill.store.store import Store
from tests.store.test_store import CONFIG, make_session

MARKER, SPLIT = "segments/session=a_1/session.json", "segments/session=a_1/split.json"


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


@pytest.fixture
def entry(store):
    entry = store.write(make_session(), CONFIG, "f" * 64)
    store.publish()
    return entry


def flip(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def values(segments):
    return [(s.number, s.split, s.spikes.tobytes(), s.lfp.tobytes(), s.behavior.tobytes()) for s in segments]


def test_no_flipped_bit_of_300_in_a_part_is_ever_read_as_other_values(store, entry):
    part, rng = entry.parts[0], random.Random(0)
    file = store.folder.path / part.path
    whole, n_refused = file.read_bytes(), 0
    for _ in range(300):
        file.write_bytes(flip(whole, rng.randrange(8 * len(whole))))
        with pytest.raises(DataError, match=rf"{part.path} is missing or corrupt .*ingest session a_1 again"):
            store.table(part, entry)
        n_refused += 1
    file.write_bytes(whole)
    assert n_refused == 300 and len(store.read(entry)) == entry.n_segments


def test_flipped_bits_of_marker_folds_and_catalogue_are_refused_or_change_nothing(store, entry):
    split, rng = store.split_file(entry), random.Random(1)
    reads = {MARKER: lambda: store.entry("a_1"), SPLIT: lambda: store.split_file(entry), CATALOGUE: store.entries}
    expected = {MARKER: entry, SPLIT: split, CATALOGUE: [entry]}
    n_refused = dict.fromkeys(reads, 0)
    for name, read in reads.items():
        whole = store.folder.read(name)
        for _ in range(100):
            (store.folder.path / name).write_bytes(flip(whole, rng.randrange(8 * len(whole))))
            try:
                assert read() == expected[name]
            except DataError as err:
                assert "ingest" in str(err) and "\n" not in str(err)
                n_refused[name] += 1
        (store.folder.path / name).write_bytes(whole)
    assert n_refused[MARKER] == n_refused[SPLIT] == 100
    assert n_refused[CATALOGUE] > 10  # most bits are of columns for other programs
    assert store.verify() == []


def test_training_reads_no_damaged_part_through_either_reader(store, entry):
    part = entry.parts[0]
    file = store.folder.path / part.path
    file.write_bytes(flip(file.read_bytes(), 9999))
    with pytest.raises(DataError, match="sha256 is not that of what was written"):
        list(read_directly(store, [entry])([part]))
    with pytest.raises(DataError, match="sha256 is not that of what was written"):
        store.check([part], {part.path: entry})
    store.check(entry.parts[1:], {p.path: entry for p in entry.parts})


def damaged_part(store, entry):
    file = store.folder.path / entry.parts[0].path
    file.write_bytes(flip(file.read_bytes(), 999))
    return [f"{entry.parts[0].path}: its sha256 is not that"]


def short_part(store, entry):
    file = store.folder.path / entry.parts[1].path
    file.write_bytes(file.read_bytes()[:-1])
    return [f"{entry.parts[1].path}: it has {entry.parts[1].size - 1} bytes instead of {entry.parts[1].size}"]


def missing_part(store, entry):
    (store.folder.path / entry.parts[2].path).unlink()
    return [f"{entry.parts[2].path}: it cannot be read"]


def edited_folds(store, entry):
    (store.folder.path / SPLIT).write_text('{"hash": ""}')
    return [f"{SPLIT}: its sha256"]


def edited_marker(store, entry):
    tree = json.loads(store.folder.read(MARKER)) | {"n_bins": 7}
    store.folder.write(MARKER, json.dumps(tree).encode())
    return [f"{MARKER} contains an entry whose sha256"]


def text_as_marker(store, entry):
    store.folder.write(MARKER, b"\xff[[")
    return [f"{MARKER} contains an entry whose sha256"]


def lost_marker(store, entry):
    store.folder.delete(MARKER)
    return [f"{MARKER} is missing"]


@pytest.mark.parametrize(
    "damage",
    [damaged_part, short_part, missing_part, edited_folds, edited_marker, text_as_marker, lost_marker],
    ids=lambda damage: damage.__name__,
)
def test_verify_names_each_damage_and_writing_the_session_again_mends_it(damage, store, entry):
    assert store.verify() == [] == store.damage(entry)
    expected = damage(store, entry)
    found = store.verify()
    assert len(found) == len(expected) and all(text in line for text, line in zip(expected, found, strict=True))
    assert all("ingest session a_1 again" in line for line in found)
    known = store.stored("a_1")
    assert known is None or store.damage(known), "an ingest would skip the session as unchanged"
    assert store.write(make_session(), CONFIG, "f" * 64) == entry
    store.publish()
    assert store.verify() == [] and len(store.read(store.entry("a_1"))) == entry.n_segments


def test_verify_names_a_damaged_catalogue_and_one_that_is_older_than_its_sessions(store, entry):
    whole = store.folder.read(CATALOGUE)
    store.folder.write(CATALOGUE, whole[:-20])
    (line,) = store.verify()
    assert "sessions.parquet is damaged" in line and "compiles it again" in line
    with pytest.raises(DataError, match=r"sessions\.parquet is damaged .*compiles it again"):
        store.entries()
    store.publish()
    store.write(make_session("b_2"), CONFIG, "f" * 64)
    (line,) = store.verify()
    assert "the catalogue is older than the sessions b_2" in line
    store.publish()
    assert store.verify() == []


def test_session_of_another_folder_is_not_taken_for_it(store, entry):
    shutil.copytree(store.folder.path / "segments/session=a_1", store.folder.path / "segments/session=b_2")
    assert [e.session for e in store.complete()] == ["a_1"]
    with pytest.raises(DataError, match=r"b_2/session\.json contains an entry of another session, a_1"):
        store.entry("b_2")


def test_reader_with_the_old_entry_of_a_session_that_was_replaced_is_told_so(store, entry):
    store.write(make_session(seed=1), CONFIG, "e" * 64)
    with pytest.raises(DataError, match="session a_1 was ingested again after it was looked up; run the same command"):
        store.read(entry)
    new = store.entry("a_1")
    assert not np.array_equal(new.normalisation["lfp"].mean, entry.normalisation["lfp"].mean)
    assert len(store.read(new)) == new.n_segments


def test_old_files_stay_until_the_new_marker_is_there(store, entry, monkeypatch):
    before = values(store.read(entry))

    def stop(text):
        raise KeyboardInterrupt

    monkeypatch.setattr("raydistill.store.store.marker_text", stop)
    with pytest.raises(KeyboardInterrupt):
        store.write(make_session(seed=1), CONFIG, "e" * 64)
    assert values(store.read(store.entry("a_1"))) == before
    monkeypatch.undo()
    new = store.write(make_session(seed=1), CONFIG, "e" * 64)
    assert set(store.folder.names("segments")) == {p.path for p in new.parts} | {MARKER, SPLIT}
