"""Labels of sessions in the store: their codes come back, and whether they belong to segments or bins is known."""

import dataclasses

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import ConfigError, DataError
from raydistill.store.labels import StoredLabel
from raydistill.store.session import Session
from raydistill.store.store import Store

CONFIG = IngestConfig(bin_width_ms=10, splits=Splits(segment_s=0.5, parent_s=1.0))


def session(**other):
    random = np.random.default_rng(0)
    side = np.repeat(random.integers(2, size=20), 100)  # one class per parent of 1 s
    moving = random.integers(-1, 2, size=2000)
    labels = {
        "labels": np.stack([side, moving], axis=1).astype(np.int16),
        "classes": {"side": ("left", "right"), "moving": ("moving", "still")},
    }
    lfp = random.normal(size=(2000, 3))
    return Session.from_arrays("a", subject="a", bin_width_ms=10, lfp=lfp, **(labels | other))


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def test_labels_come_back_bin_by_bin_and_only_where_they_are_asked_for(store):
    entry, written = store.write(session(), CONFIG, "f"), session()
    store.publish()
    assert Store(store.uri).entry("a") == entry
    assert entry.labels == {
        "side": StoredLabel(column=0, classes=("left", "right"), of="segments"),
        "moving": StoredLabel(column=1, classes=("moving", "still"), of="bins"),
    }
    read = np.concatenate([s.labels for s in store.read(entry)])
    assert read.dtype == np.int16 and np.array_equal(read, written.labels)
    assert store.read(entry, signals=("lfp",))[0].labels is None


def test_change_of_a_label_changes_the_content_of_labels_alone(store):
    plain, other = session(), session()
    other.labels[5, 1] = 1 - max(0, other.labels[5, 1])
    a, b = store.write(plain, CONFIG, "f"), store.write(other, CONFIG, "f")
    assert a.contents["labels"] != b.contents["labels"] and a.contents["lfp"] == b.contents["lfp"]


def test_session_without_labels_has_no_column_of_them(store):
    entry = store.write(session(labels=None, classes={}), CONFIG, "f")
    assert entry.labels == {} and "labels" not in entry.contents and store.read(entry)[0].labels is None
    assert "labels" not in store.table(entry.parts[0], entry).column_names


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"classes": {"side": ("left", "right")}}, r"labels must be \(bins, 1\) int16"),
        ({"classes": {"side": ("left",), "moving": ("a", "b")}}, 'label "side" needs 2 to 64 different classes, got 1'),
        ({"classes": {"side": ("a", "b"), "moving": tuple("abc")}, "labels": np.full((2000, 2), 2, np.int16)}, "side"),
    ],
)
def test_labels_that_do_not_fit_their_classes_are_refused(other, message):
    with pytest.raises(DataError, match=message):
        session(**other)


@pytest.mark.parametrize("by", ["time", "blocks"])
def test_chronological_folds_follow_each_other(store, by):
    config = dataclasses.replace(CONFIG, splits=Splits(segment_s=0.5, parent_s=1.0, by=by, order="chronological"))
    entry = store.write(session(), config, "f")
    folds = [s.split for s in store.read(entry)]
    assert (
        folds == ["train"] * entry.splits["train"] + ["valid"] * entry.splits["valid"] + ["test"] * entry.splits["test"]
    )
    assert min(entry.splits.values()) >= 2 and entry.splits["train"] > 20


def test_chronological_folds_have_one_draw():
    with pytest.raises(ConfigError, match="`order: chronological` has one draw of the folds"):
        Splits(order="chronological", repeats=2)
