"""The store returns exactly what was written, and a session exists only when it is complete."""

import json
import tracemalloc

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import DataError
from raydistill.store.marker import entry_from_json, entry_to_json
from raydistill.store.session import Session
from raydistill.store.store import Store

CONFIG = IngestConfig(bin_width_ms=20, splits=Splits(segment_s=1, parent_s=2))


def make_session(name="a_1", n_bins=2000, seed=0, **other):
    random = np.random.default_rng(seed)
    values = {
        "subject": "a",
        "bin_width_ms": 20.0,
        "spikes": random.poisson(0.5, (n_bins, 7)),
        "lfp": random.normal(3, 2, (n_bins, 5)),
        "behavior": random.normal(1, 4, (n_bins, 2)),
        "behavior_names": ("vx", "vy"),
        "behavior_units": ("cm/s", "cm/s"),
    }
    return Session.from_arrays(name, **(values | other))


@pytest.fixture(params=["path", "file://"])
def store(request, tmp_path):
    return Store(f"file://{tmp_path}" if request.param == "file://" else str(tmp_path))


def test_store_round_trip_gives_back_every_value(store):
    session = make_session()
    entry = store.write(session, CONFIG, "f" * 64)
    assert store.publish() == [entry] == Store(store.uri).entries()
    segments = store.read(entry)
    assert [s.number for s in segments] == list(range(40))
    assert np.array_equal(np.concatenate([s.spikes for s in segments]), session.spikes)
    norm = entry.normalisation["lfp"]
    expected = ((session.lfp - norm.mean) / norm.std).astype(np.float32)
    assert np.array_equal(np.concatenate([s.lfp for s in segments]), expected)
    behavior = entry.normalisation["behavior"]
    physical = np.concatenate([s.behavior for s in segments]) * behavior.std + behavior.mean
    assert np.allclose(physical, session.behavior, atol=1e-5)
    assert segments[3].start_s == pytest.approx(3.0)


def test_store_makes_the_rows_of_a_part_a_few_at_a_time(tmp_path):
    """The session has 15 MB of LFP; its largest part is 11 MB of rows, of which row groups hold 2 MB at most."""
    lfp = np.random.default_rng(0).normal(size=(4000, 960)).astype(np.float32)
    store, session = Store(str(tmp_path)), make_session(n_bins=4000, lfp=lfp)
    store.write(make_session("imports_all"), CONFIG, "e" * 64)
    tracemalloc.start()
    try:
        entry = store.write(session, CONFIG, "f" * 64)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 9e6
    rows = np.concatenate([s.lfp for s in store.read(entry)]) * np.float32(entry.normalisation["lfp"].std)
    assert np.allclose(rows + np.float32(entry.normalisation["lfp"].mean), lfp, atol=1e-5)


def test_store_normalisation_is_fitted_on_train_alone(store):
    session = make_session()
    entry = store.write(session, CONFIG, "f" * 64)
    train = np.concatenate([session.lfp[s.number * 50 : s.number * 50 + 50] for s in store.read(entry, "train")])
    assert np.allclose(entry.normalisation["lfp"].mean, train.mean(0), atol=1e-6)
    assert not np.allclose(entry.normalisation["lfp"].mean, session.lfp.mean(0), atol=1e-6)


def test_entry_keeps_the_periods_of_angles_and_one_without_any_reads_as_before(store):
    entry = store.write(make_session(), CONFIG, "f" * 64)
    older = json.loads(entry_to_json(entry))
    del older["circular"]
    assert entry_from_json(json.dumps(older)) == entry and entry.circular == {}
    names = ("hd_cos", "hd_sin")
    turning, plain = (
        store.write(make_session(behavior_names=names, circular=circular), CONFIG, "f" * 64)
        for circular in ({"hd": 360.0}, {})
    )
    assert entry_from_json(entry_to_json(turning)).circular == {"hd": 360.0}
    assert turning.content != plain.content


def test_entry_of_an_older_version_reads_as_before_or_is_refused_in_one_line(store):
    """Fields that came later have a default, which is what sessions had before; without any other, it is an error."""
    entry = store.write(make_session(), CONFIG, "f" * 64)
    written, later = json.loads(entry_to_json(entry)), set()
    for name in written:
        older = json.dumps({key: value for key, value in written.items() if key != name})
        try:
            without = entry_from_json(older)
        except DataError as error:
            assert str(error).startswith("an entry that another version of raydistill wrote") and "\n" not in str(error)
        else:
            later.add(name)
            # Hashes and numbers that older versions did not have are then unknown.
            assert name in ("contents", "recorded_bins", "split_digest", "split_hash") or without == entry
    assert {"circular", "labels", "lfp_bands"} <= later and not later & {"parts", "normalisation", "splits"}


def test_store_keeps_the_split_and_its_hash_whatever_the_length_of_segments(store):
    entry = store.write(make_session(), CONFIG, "f" * 64)
    split = json.loads(store.folder.read("segments/session=a_1/split.json"))
    assert split["hash"] == entry.split_hash and split["bin_width_ms"] == 20
    assert [(start, stop) for start, stop, _ in split["units"]] == [(a, a + 100) for a in range(0, 2000, 100)]
    fold_of = {start: fold for start, _, fold in split["units"]}
    assert all(fold_of[s.number * 50 // 100 * 100] == s.split for s in store.read(entry))
    longer = IngestConfig(bin_width_ms=20, splits=Splits(segment_s=2, parent_s=2))
    assert store.write(make_session(), longer, "e" * 64).split_hash == entry.split_hash


def test_store_leaves_outliers_out_and_counts_them(store):
    session = make_session()
    behavior = session.behavior.copy()
    behavior[300:400] *= 20
    entry = store.write(
        make_session(behavior=behavior),
        IngestConfig(bin_width_ms=20, splits=Splits(segment_s=1, parent_s=2, outliers="drop")),
        "f" * 64,
    )
    assert entry.outliers >= 1
    assert {6.0, 7.0}.isdisjoint(s.start_s for s in store.read(entry))


def test_store_of_another_version_is_named_and_its_sessions_are_ingested_again(store):
    entry = store.write(make_session(), CONFIG, "f" * 64)
    store.publish()
    marker = "segments/session=a_1/session.json"
    store.folder.write(marker, store.folder.read(marker).replace(b'"n_bins"', b'"bins"'))
    assert store.complete() == [] and store.stored("a_1") is None
    store.publish()
    assert store.entries() == [] and entry.session == "a_1"


def test_store_content_follows_values_and_not_time_of_writing(store):
    first = store.write(make_session(), CONFIG, "f" * 64)
    again = store.write(make_session(), CONFIG, "e" * 64)
    changed = store.write(make_session(seed=1), CONFIG, "f" * 64)
    assert first.content == again.content != changed.content


def test_store_rewritten_session_leaves_no_stale_part(store):
    store.write(make_session(), CONFIG, "f" * 64)
    entry = store.write(make_session(n_bins=1000), CONFIG, "e" * 64)
    files = store.folder.names("segments")
    assert set(files) == {p.path for p in entry.parts} | {
        "segments/session=a_1/session.json",
        "segments/session=a_1/split.json",
    }


def test_store_session_without_marker_does_not_exist(store):
    entry = store.write(make_session(), CONFIG, "f" * 64)
    store.folder.delete("segments/session=a_1/session.json")
    assert store.publish() == [] == store.complete()
    assert len(entry.parts) == 3


def test_store_missing_or_corrupt_part_names_it_and_the_way_out(tmp_path):
    store = Store(str(tmp_path))
    entry = store.write(make_session(), CONFIG, "f" * 64)
    (tmp_path / entry.parts[0].path).write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match=r"missing or corrupt.*ingest session a_1 again"):
        store.read(entry)


def test_store_unknown_session_suggests_the_nearest(store):
    store.write(make_session(), CONFIG, "f" * 64)
    store.publish()
    with pytest.raises(DataError, match='no session "a_2"; did you mean "a_1"'):
        store.entry("a_2")


def test_store_that_is_missing_names_the_command_that_creates_one(tmp_path):
    with pytest.raises(DataError, match="raydistill ingest"):
        Store(str(tmp_path / "none")).entries()


def test_store_float16_lfp_comes_back_as_float32_within_its_precision(store):
    import dataclasses

    session = make_session()
    entry = store.write(session, dataclasses.replace(CONFIG, lfp_dtype="float16"), "f" * 64)
    lfp = np.concatenate([s.lfp for s in store.read(entry)])
    exact = (session.lfp - entry.normalisation["lfp"].mean) / entry.normalisation["lfp"].std
    assert lfp.dtype == np.float32 and np.abs(lfp - exact).max() < 4e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lfp": np.full((2000, 5), np.nan)}, "LFP channel 0 is not finite at bin 0"),
        ({"spikes": np.zeros((2000, 7), int)}, "unit 0 has no spike"),
        ({"spikes": np.full((2000, 7), 300)}, "from 0 to 255"),
        ({"lfp": np.zeros((100, 5))}, "must have the same number of bins"),
        ({"behavior_names": ("vx",)}, "2 columns but 1 names"),
        ({"circular": {"hd": 360.0}}, "the behavior columns hd_cos and hd_sin"),
        ({"circular": {"v": 0.0}, "behavior_names": ("v_cos", "v_sin")}, "needs a period above 0 for v"),
        ({"name": "../evil"}, "is not allowed"),
        ({"spikes": None, "lfp": None}, "neither spikes nor LFP"),
    ],
)
def test_session_with_bad_values_names_the_culprit(change, message):
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        make_session(**change)


def test_store_constant_channel_is_refused_by_number(store):
    lfp = np.random.default_rng(0).normal(size=(2000, 5))
    lfp[:, 3] = 1.5
    with pytest.raises(DataError, match=r"channel 3 is constant.*drop_channels: \[3\]"):
        store.write(make_session(lfp=lfp), CONFIG, "f" * 64)
    with pytest.raises(DataError, match=r"all 5 LFP channels are constant.*`lfp: null`"):
        store.write(make_session(lfp=np.ones((2000, 5))), CONFIG, "f" * 64)


@pytest.mark.parametrize("signals", [("spikes",), ("lfp",), ("behavior",), ("behavior", "spikes"), ()])
def test_signals_that_are_read_are_the_same_as_when_all_are_read(store, signals):
    entry = store.write(make_session(), CONFIG, "f" * 64)
    for whole, some in zip(store.read(entry), store.read(entry, signals=signals), strict=True):
        for name in ("spikes", "lfp", "behavior"):
            expected = getattr(whole, name) if name in signals else None
            assert (getattr(some, name) is None) == (expected is None)
            assert expected is None or np.array_equal(getattr(some, name), expected)
        assert (some.number, some.split, some.start_s) == (whole.number, whole.split, whole.start_s)


def test_streamed_fold_is_the_fold_in_time_order_and_reads_a_part_when_it_is_reached(store):
    entry = store.write(make_session(n_bins=10_000), CONFIG, "f" * 64)
    first, second, *_ = (part for part in entry.parts if part.split == "train")
    assert [s.number for s in store.stream(entry, "train")] == [s.number for s in store.read(entry, "train")]
    store.folder.delete(second.path)
    remaining = store.stream(entry, "train")
    assert [next(remaining).number for _ in first.numbers] == list(first.numbers)
    with pytest.raises(DataError, match="missing or corrupt"):
        next(remaining)
