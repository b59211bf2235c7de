"""A layout of its own: one reader, one entry in the table, and it is found, read and stored like any other."""

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.layouts import LAYOUTS
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.raw import Counts, Raw
from raydistill.recordings.recording import Layout, Recording, RecordingSource
from raydistill.store.store import Store

# The reader


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvOptions:
    skip_units: int = 0


def find(folder):
    source = RecordingSource(layout=LAYOUT.name, options=CsvOptions(), subject="A")
    files = sorted(folder.rglob("counts_*.csv"))
    return [Recording(name=path.stem, path=path, source=source, config=LAYOUT.config) for path in files]


@contextmanager
def open_raw(path, source, bin_width_ms):
    counts = np.loadtxt(path, delimiter=",", dtype=np.int64)
    if (counts < 0).any():
        raise DataError(f"{path.name}: negative spike counts")
    yield Raw(spikes=Counts(values=counts[:, source.options.skip_units :]), n_bins=len(counts))


LAYOUT = Layout(
    name="csv",
    title="counts in CSV files",
    files="`counts_*.csv`",
    find=find,
    open=open_raw,
    options=CsvOptions,
    config=IngestConfig(bin_width_ms=20, splits=Splits(segment_s=1, parent_s=1)),
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one such file, and the layout in the table."""
    monkeypatch.setitem(LAYOUTS, LAYOUT.name, LAYOUT)
    counts = np.random.default_rng(0).poisson(0.5, (1000, 4))
    np.savetxt(tmp_path / "counts_monday.csv", counts, fmt="%d", delimiter=",")
    return tmp_path


def test_new_layout_is_found_read_and_stored(folder):
    (recording,) = plan_sources(folder, dataset="csv", overrides=["skip_units=1"])
    store = Store(str(folder / "store"))
    assert ingest_one(recording, store.uri, None).state == "stored"
    (entry,) = store.publish()
    assert (entry.session, entry.subject, entry.n_units, entry.bin_width_ms) == ("counts_monday", "A", 3, 20)


def test_options_of_a_new_layout_are_checked(folder):
    with pytest.raises(ConfigError, match='there is no "skip" for csv; known: ingest, links, skip_units'):
        plan_sources(folder, overrides=["skip=1"])
    with pytest.raises(ConfigError, match="`skip_units` must be a whole number"):
        plan_sources(folder, overrides=["skip_units=x"])


def test_other_options_change_the_fingerprint(folder):
    store = Store(str(folder / "store"))
    (recording,) = plan_sources(folder)
    ingest_one(recording, store.uri, None)
    stored = store.entry(recording.name).fingerprint
    assert ingest_one(recording, store.uri, stored).state == "skipped"
    (changed,) = plan_sources(folder, overrides=["skip_units=1"])
    assert ingest_one(changed, store.uri, stored).state == "stored"
