"""Export of a stored session as NWB, and ingest of that file: the same session, and nothing is processed twice."""

from dataclasses import fields, replace

import h5py
import numpy as np
import pynwb
import pytest

from raydistill.config.recordings import IngestConfig, LfpFilters, Splits
from raydistill.decode.nwb_export import Reading, write_session_nwb
from raydistill.errors import DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.planning.dry_run import dry_run
from raydistill.store.catalogue import Entry
from raydistill.store.channels import channel_table
from raydistill.store.session import Session
from raydistill.store.store import Store

BY_TIME, BY_TRIALS = Splits(segment_s=1, parent_s=2), Splits(by="trials", segment_s=1)
OTHER_THAN_THE_ORIGINAL = {"fingerprint", "sources", "parts", "exported_from"}


@pytest.fixture
def stored(tmp_path):
    """Stores a session of 60 s in bins of 20 ms: 5 units, 4 channels, 3 columns, trials; 30 % of the bins in gaps."""

    def store(splits=BY_TIME, config=None, gaps=True, **changed):
        rng = np.random.default_rng(8)
        piece = np.repeat([0, -1, 1, -1, 2], [1000, 433, 700, 467, 400]).astype(np.int32) if gaps else None
        arrays = {
            "spikes": rng.poisson(0.4, (3000, 5)),
            "lfp": rng.normal([0, 2e-4, -5, 1e4], [1e-6, 5e-5, 3, 1e2], (3000, 4)),
            "behavior": rng.normal([0, 1000, -3], [1e-3, 1, 20], (3000, 3)),
            "behavior_names": ("a/b", "a_b", "velocity_x"),
            "behavior_units": ("cm", "", "unknown"),
            "trial": np.repeat(np.arange(75) - 1, 40).astype(np.int32),
            "piece": piece,
        } | changed
        if arrays["behavior"] is not None:
            arrays["behavior"][3:9, 1] = np.nan
        session = Session.from_arrays(
            "S1_01", subject="S1", dataset="made up", task="CO", region="M1", bin_width_ms=20.0, start_s=2.7, **arrays
        )
        config = config or IngestConfig(bin_width_ms=20.0, splits=splits, filters=LfpFilters(notch_hz=50))
        home = Store(tmp_path / "store")
        entry = home.write(session, config, "f" * 64)
        home.publish()
        return home, entry

    return store


@pytest.fixture
def ingested(tmp_path):
    """Ingests a file that was exported from a store, into another store."""

    def ingest(file, *overrides):
        (recording,) = plan_sources(file, overrides=overrides)
        home = Store(tmp_path / "again")
        result = ingest_one(recording, home.uri, None)
        if result.state == "failed":
            return result.cause
        home.publish()
        return home, home.entry(recording.name), result.notes

    return ingest


def export(home, entry, path, **options):
    return write_session_nwb(home, entry, path, **options)


def assert_equal(home, entry, other_home, other):
    """Every value of the two sessions, bit for bit; starts of segments to 1 ns."""
    for name in {f.name for f in fields(Entry)} - OTHER_THAN_THE_ORIGINAL:
        assert getattr(other, name) == getattr(entry, name), name
    assert [(p.split, p.numbers, p.n_bins) for p in other.parts] == [
        (p.split, p.numbers, p.n_bins) for p in entry.parts
    ]
    assert other_home.split_file(other) == home.split_file(entry)
    segments, again = home.read(entry), other_home.read(other)
    assert [(s.number, s.split, s.trial) for s in again] == [(s.number, s.split, s.trial) for s in segments]
    assert [s.start_s for s in again] == pytest.approx([s.start_s for s in segments], abs=1e-9)
    for one, two in zip(segments, again, strict=True):
        for name in ("spikes", "lfp", "behavior"):
            first, second = getattr(one, name), getattr(two, name)
            assert (first is None) == (second is None), name
            if first is not None:
                assert first.dtype == second.dtype and np.array_equal(first, second, equal_nan=name == "behavior"), name


UNITS = channel_table(5, electrode=[7, 7, 8, 1, 2], array=["A", "A", "A", "B", ""], x_um=[0, 0, 1, 2, None])
ELECTRODES = channel_table(
    4,
    electrode=[7, 9, 1, ""],
    array=["A/1", "A:1", "B", ""],
    region=["M1", "unknown", "", ""],
    x_um=[0, 400.5, None, -1],
    z_um=[None, None, 3, 0],
)
TABLES = {"unit_channels": UNITS, "lfp_channels": ELECTRODES}
ALL_FLOAT16 = IngestConfig(bin_width_ms=20.0, splits=BY_TIME, lfp_dtype="float16", protocol="paper")
NO_SPIKES = {"spikes": None, "lfp_bands": 2}
NO_LFP = {"lfp": None}
ANGLE = {
    "behavior": np.stack([np.cos(np.arange(3000) / 40), np.sin(np.arange(3000) / 40)], axis=1),
    "behavior_names": ("hd_cos", "hd_sin"),
    "behavior_units": ("", ""),
    "circular": {"hd": 360.0},
}
NO_BEHAVIOR = {"behavior": None, "behavior_names": (), "behavior_units": ()}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ({}, {}),
        ({"gaps": False}, TABLES),
        ({"splits": BY_TRIALS, "gaps": False}, {}),
        ({"splits": Splits(by="blocks", segment_s=1, parent_s=2, guard_s=1), "gaps": False}, {}),
        ({"splits": replace(BY_TIME, outliers="drop")}, {}),
        ({"config": ALL_FLOAT16}, TABLES),
        ({}, NO_SPIKES | {"lfp_channels": ELECTRODES.rows([0, 1])}),
        ({}, NO_LFP | {"unit_channels": UNITS}),
        ({"splits": BY_TRIALS, "gaps": False}, NO_LFP | NO_BEHAVIOR),
        ({}, ANGLE),
    ],
    ids=[
        "gaps",
        "tables",
        "trials",
        "blocks",
        "outliers",
        "float16",
        "bands alone",
        "spikes alone",
        "counts alone",
        "angle",
    ],
)
def test_export_ingested_is_the_same_session(stored, ingested, tmp_path, options, changed):
    home, entry = stored(**options, **changed)
    again_home, again, notes = ingested(export(home, entry, tmp_path / "S1_01.nwb"))
    assert_equal(home, entry, again_home, again)
    assert (again.exported_from, list(again.sources)) == ("S1_01", ["S1_01.nwb"])
    assert f"of session S1_01 as exported: {entry.n_segments} segments with their folds, in bins of 20 ms" in notes[0]


def test_export_of_an_export_is_the_same_session(stored, ingested, tmp_path):
    home, entry = stored(**TABLES)
    first = export(home, entry, tmp_path / "S1_01.nwb")
    again_home, again, _ = ingested(first)
    (tmp_path / "second").mkdir()
    second = export(again_home, again, tmp_path / "second" / "S1_01.nwb")
    with h5py.File(first) as one, h5py.File(second) as two:
        names = []
        one.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        for name in (n for n in names if n.startswith(("processing/", "intervals/segments/", "general/extracellular"))):
            if not name.endswith("start_time") and one[name].dtype.kind in "iuf":
                assert np.array_equal(one[name][()], two[name][()], equal_nan=one[name].dtype.kind == "f"), name
    third_home, third, _ = ingested(second)
    assert_equal(home, entry, third_home, third)


def test_export_of_a_recording_ingested_from_nwb_is_not_filtered_again(make_nwb, ingested, tmp_path):
    recording = make_nwb("day1.nwb")
    settings = [f"ingest.splits.{name}" for name in ("segment_s=1", "parent_s=2")] + ["ingest.bin_width_ms=20"]
    (planned,) = plan_sources(recording, overrides=settings)
    home = Store(tmp_path / "store")
    assert ingest_one(planned, home.uri, None).state == "stored"
    home.publish()
    entry = home.entry("day1")
    (tmp_path / "exported").mkdir()
    again_home, again, _ = ingested(export(home, entry, tmp_path / "exported" / "day1.nwb"))
    assert_equal(home, entry, again_home, again)


def test_export_under_another_name_takes_what_a_manifest_says(stored, tmp_path):
    home, entry = stored()
    export(home, entry, tmp_path / "x.nwb")
    manifest = tmp_path / "m.yaml"
    manifest.write_text("sessions: [{file: x.nwb, name: new, subject: S2, task: RT, lfp: null}]")
    (recording,) = plan_sources(manifest)
    other = Store(tmp_path / "again")
    assert ingest_one(recording, other.uri, None).state == "stored"
    other.publish()
    made = other.entry("new")
    assert (made.subject, made.dataset, made.task, made.region) == ("S2", "made up", "RT", "M1")
    assert (made.n_units, made.n_channels, made.splits) == (5, 0, entry.splits)
    assert np.array_equal(other.read(made)[7].spikes, home.read(entry)[7].spikes)
    assert made.normalisation == {name: entry.normalisation[name] for name in ("spikes", "behavior")}


def test_export_keeps_a_unit_that_is_silent_in_all_segments(stored, ingested, tmp_path):
    spikes = np.random.default_rng(0).poisson(0.4, (3000, 5))
    spikes[:2990, 3] = 0  # the last parent has 0 of its 100 bins here, so these bins are in no segment
    spikes[2990:, 3] = 1
    home, entry = stored(gaps=False, spikes=spikes[:2999], **{n: None for n in ("trial",)}, lfp=None, behavior=None,
                         behavior_names=(), behavior_units=())  # fmt: skip
    assert not any(s.spikes[:, 3].any() for s in home.read(entry))
    again_home, again, _ = ingested(export(home, entry, tmp_path / "S1_01.nwb"))
    assert_equal(home, entry, again_home, again)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ingest.bin_width_ms=10", r"`ingest.bin_width_ms` is 10, but raydistill exported the session with 20"),
        ("ingest.filters.notch_hz=60", r"`ingest.filters.notch_hz` is 60, but raydistill exported .* with 50"),
        ("ingest.splits.segment_s=5", r"`ingest.splits.segment_s` is 5, but raydistill exported the session with 1"),
        ("ingest.min_rate_hz=0.5", r"`ingest.min_rate_hz` is 0.5, but raydistill exported the session with 0"),
        ("defaults.pieces=none", "`pieces: none` does not apply to a session that raydistill exported"),
        ("defaults.behavior=processing/behavior/x", "`behavior` does not apply; leave it out"),
        ("defaults.interval={start_s: 3}", "`interval` does not apply; leave it out"),
        ("defaults.unit_filter={column: quality}", "`unit_filter` does not apply; leave it out"),
    ],
)
def test_setting_that_contradicts_an_export_is_refused(stored, ingested, tmp_path, override, message):
    home, entry = stored()
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(ingested(export(home, entry, tmp_path / "S1_01.nwb"), override))


@pytest.mark.parametrize("override", ["ingest.bin_width_ms=20", "ingest.filters=null", "ingest.filters.notch_hz=50"])
def test_setting_that_agrees_with_an_export_is_taken(stored, ingested, tmp_path, override):
    home, entry = stored()
    again_home, again, _ = ingested(export(home, entry, tmp_path / "S1_01.nwb"), override)
    assert_equal(home, entry, again_home, again)


def test_export_of_one_split_or_without_folds_is_refused(stored, ingested, tmp_path):
    home, entry = stored()
    path = export(home, entry, tmp_path / "S1_01.nwb", split="test")
    assert f"holds {entry.splits['test']} of {entry.n_segments} segments of session S1_01 (splits: test)" in ingested(
        path
    )
    with pynwb.NWBHDF5IO(export(home, entry, path, overwrite=True), "r") as io:
        notes = io.read().notes
    for changed, message in (
        (notes.replace('"raydistill_export": 1', '"raydistill_export": 2'), "has version 2, and this raydistill reads"),
        (notes.replace('"raydistill_export": 1', '"x": 1'), "an older version of raydistill exported this session"),
        (notes.replace('"protocol"', '"protocoll"', 1), "another version of raydistill"),
    ):
        with h5py.File(path, "r+") as file:
            file["general/notes"][()] = changed
        assert message in ingested(path)


def test_export_with_a_changed_table_or_series_is_refused(stored, ingested, tmp_path):
    home, entry = stored()
    path = export(home, entry, tmp_path / "S1_01.nwb")
    with h5py.File(path, "r+") as file:
        file["intervals/segments/n_bins"][0] = 51
    assert "no longer as raydistill exported it" in ingested(path)
    export(home, entry, path, overwrite=True)
    with h5py.File(path, "r+") as file:
        del file["processing/ecephys/lfp"]
    assert "no longer as raydistill exported it" in ingested(path)
    export(home, entry, path, overwrite=True)
    with h5py.File(path, "r+") as file:
        del file["intervals/segments/trial"]
        file["intervals/segments/trial"] = np.full(entry.n_segments, -(2**63))
    assert "no longer as raydistill exported it" in ingested(path)


def change_counts(file):
    file["processing/ecephys/spike_counts/data"][10, 0] += 1


def double_lfp(file):
    file["processing/ecephys/lfp/data"][...] *= 2


def move_behavior(file):
    file["processing/behavior/BehavioralTimeSeries/velocity_x/data"][...] += 1


def swap_folds(file):
    splits = file["intervals/segments/split"]
    splits[...] = np.roll(splits[...], 1)


def scale_lfp(file):
    file["processing/ecephys/lfp/data"].attrs["conversion"] = 1e-6


@pytest.mark.parametrize("change", [change_counts, double_lfp, move_behavior, swap_folds, scale_lfp])
def test_export_with_changed_values_or_folds_is_refused_and_leaves_the_store_alone(stored, ingested, tmp_path, change):
    home, entry = stored(**TABLES)
    path = export(home, entry, tmp_path / "S1_01.nwb")
    again_home, *_ = ingested(path)
    names = again_home.folder.names("segments/session=S1_01")
    with h5py.File(path, "r+") as file:
        change(file)
    cause = ingested(path)
    assert "not those that raydistill exported" in cause or "no longer as raydistill exported it" in cause
    assert again_home.folder.names("segments/session=S1_01") == names
    assert_equal(home, entry, again_home, again_home.entry("S1_01"))


def test_export_joined_with_another_file_is_refused(stored, make_nwb, tmp_path):
    home, entry = stored()
    export(home, entry, tmp_path / "x.nwb")
    other = make_nwb("other.nwb")
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        f"sessions: [{{file: x.nwb, behavior: {{file: {other.name}, values: processing/behavior/Position/position}}}}]"
    )
    (recording,) = plan_sources(manifest)
    opened = open_raw(recording.path, recording.source, 20.0)
    with pytest.raises(DataError, match="cannot be joined with signals of other files; ingest it alone"), opened:
        pass


def test_output_of_a_model_in_an_export_is_told_and_not_read(stored, ingested, tmp_path):
    home, entry = stored()
    reading = Reading(
        latents=np.zeros((entry.n_bins, 2), np.float32),
        behavior={"velocity_x": np.zeros(entry.n_bins, np.float32)},
        about={"r2": 0.5},
    )
    again_home, again, notes = ingested(export(home, entry, tmp_path / "S1_01.nwb", reading=reading))
    assert_equal(home, entry, again_home, again)
    assert notes[1] == "the latents and decoded behavior of a model in processing/raydistill were not read"


def test_export_that_is_unchanged_is_skipped(stored, ingested, tmp_path):
    home, entry = stored()
    path = export(home, entry, tmp_path / "S1_01.nwb")
    again_home, again, _ = ingested(path)
    (recording,) = plan_sources(path)
    assert ingest_one(recording, again_home.uri, again.fingerprint).state == "skipped"
    assert "skip, unless its file has changed" in next(dry_run([recording], again_home.uri, {}))
