"""A store from a stranger names only files of its own: names and paths that lead elsewhere are refused."""

import dataclasses

import pytest

from raydistill.errors import DataError
from raydistill.store.marker import entry_of_marker, marker_of, marker_text
from raydistill.store.store import Store
from tests.store.test_store import CONFIG, make_session


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def test_marker_gives_the_entry_back(store):
    entry = store.write(make_session(), CONFIG, "f" * 64)
    assert entry_of_marker(marker_text(entry)) == entry


@pytest.mark.parametrize(
    "path",
    [
        "../outside.parquet",
        "/etc/passwd",
        "segments/session=a_1/../../../outside.parquet",
        "segments/session=b_2/part.parquet",
        "segments/session=a_1/..",
        "segments/session=a_1/",
    ],
)
def test_part_outside_of_the_folder_of_its_session_is_refused_however_it_is_reached(path, store):
    entry = store.write(make_session(), CONFIG, "f" * 64)
    evil = dataclasses.replace(entry, parts=(dataclasses.replace(entry.parts[0], path=path), *entry.parts[1:]))
    store.folder.write(marker_of("a_1"), marker_text(evil).encode())
    with pytest.raises(DataError, match=r"outside of segments/session=a_1"):
        store.entry("a_1")
    assert store.complete() == []


@pytest.mark.parametrize("name", ["../../victim", "a/b", "", ".hidden"])
def test_name_of_a_session_that_leads_elsewhere_is_refused(name, store):
    entry = store.write(make_session(), CONFIG, "f" * 64)
    with pytest.raises(DataError, match="is not allowed"):
        store.entry(name)
    with pytest.raises(DataError, match="is not allowed"):
        entry_of_marker(marker_text(dataclasses.replace(entry, session=name)))
