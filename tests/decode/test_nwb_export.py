import dataclasses
import json
from datetime import UTC, datetime

import h5py
import numpy as np
import pynwb
import pytest
from nwbinspector import Importance, inspect_nwbfile

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.decode.nwb_export import write_session_nwb
from raydistill.errors import DataError
from raydistill.store.channels import channel_table
from raydistill.store.draws import write_draws
from raydistill.store.session import Session
from raydistill.store.store import Store

NAMES, UNITS = ("x", "velocity_x"), ("cm", "cm/s")
BY_TIME, BY_TRIALS = Splits(segment_s=1, parent_s=2), Splits(by="trials", segment_s=1)


@pytest.fixture
def stored(tmp_path):
    """Stores a session of 20 s in bins of 50 ms: 4 units, 3 channels, trials of 10 to 29 bins."""

    def store(splits=BY_TIME, **changed):
        rng = np.random.default_rng(3)
        trial = np.concatenate([np.repeat([i, -1], [10 + i % 20, 2]) for i in range(40)])[:400].astype(np.int32)
        arrays = {
            "spikes": rng.poisson(1.0, (400, 4)),
            "lfp": rng.normal(2e-4, [1e-6, 5e-5, 1e-3], (400, 3)),
            "behavior": np.stack([1000 + rng.normal(size=400), rng.normal(0, 20, 400)], axis=1),
            "behavior_names": NAMES,
            "behavior_units": UNITS,
            "trial": trial,
        } | changed
        if arrays["behavior"] is not None:
            arrays["behavior"][3:5, 1] = np.nan
        session = Session.from_arrays(
            "S1_01", subject="S1", dataset="made up", task="CO", bin_width_ms=50.0, start_s=2.0, **arrays
        )
        home = Store(tmp_path / "store")
        entry = home.write(session, IngestConfig(bin_width_ms=50.0, splits=splits), "f" * 64)
        return session, home, entry

    return store


def flat(session, segments):
    """The session's rows that the segments hold, in their order."""
    starts = [round((s.start_s - session.start_s) / 0.05) for s in segments]
    return np.concatenate([np.arange(a, a + s.n_bins) for a, s in zip(starts, segments, strict=True)])


@pytest.mark.parametrize("splits", [BY_TIME, BY_TRIALS], ids=["time", "trials"])
def test_export_read_back_is_the_session(stored, tmp_path, splits):
    session, home, entry = stored(splits)
    path = write_session_nwb(home, entry, tmp_path / "S1_01.nwb")
    rows = flat(session, home.read(entry))
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        assert (nwb.session_id, nwb.subject.subject_id) == ("S1_01", "S1")
        assert json.loads(nwb.notes)["config"] == entry.config
        counts, lfp = nwb.processing["ecephys"]["spike_counts"], nwb.processing["ecephys"]["lfp"]
        assert counts.data.dtype == np.uint8 and np.array_equal(counts.data[:], session.spikes[rows])
        assert (np.abs(lfp.data[:] - session.lfp[rows]).max(axis=0) < 5e-7 * np.abs(session.lfp).max(axis=0)).all()
        assert json.loads(lfp.comments) == {
            "mean": list(entry.normalisation["lfp"].mean),
            "std": list(entry.normalisation["lfp"].std),
        }
        behavior = nwb.processing["behavior"]["BehavioralTimeSeries"]
        for column, (name, unit) in enumerate(zip(NAMES, UNITS, strict=True)):
            assert behavior[name].unit == unit
            assert np.array_equal(behavior[name].data[:], session.behavior[rows, column], equal_nan=True)
        for series in (counts, lfp, *behavior.time_series.values()):
            assert times(series) == pytest.approx(2.0 + (rows + 0.5) * 0.05)


def test_export_of_a_later_draw_of_the_folds_is_refused_with_the_session_to_export(stored, tmp_path):
    session, home, _ = stored(BY_TIME)
    config = IngestConfig(bin_width_ms=50.0, splits=dataclasses.replace(BY_TIME, repeats=2))
    write_draws(home, session, config, "f" * 64)
    with pytest.raises(DataError, match=r"S1_01~2 is S1_01 with another draw of its folds; export S1_01$"):
        write_session_nwb(home, home.entry("S1_01~2"), tmp_path / "later.nwb")


def test_export_gives_angles_beside_their_cosine_and_sine(stored, tmp_path):
    turn = np.linspace(0, 40, 400)
    behavior = np.column_stack([np.cos(turn), np.sin(turn), turn])
    names = {"behavior_names": ("hd_cos", "hd_sin", "x"), "behavior_units": ("", "", "cm")}
    session, home, entry = stored(behavior=behavior, circular={"hd": 360.0}, **names)
    segments = home.read(entry)
    with pynwb.NWBHDF5IO(write_session_nwb(home, entry, tmp_path / "a.nwb"), "r") as io:
        module = io.read().processing["behavior"]
        assert set(module["BehavioralTimeSeries"].time_series) == {"hd_cos", "hd_sin", "x"}
        (angle,) = module["angles"].time_series.values()
        assert (angle.name, angle.unit) == ("hd", "degrees")
        expected = np.degrees(turn)[flat(session, segments)] % 360
        lost = np.isnan(angle.data[:])
        assert np.array_equal(np.flatnonzero(lost), [3, 4])
        assert np.allclose(angle.data[:][~lost], expected[~lost], atol=1e-3)
        assert times(angle) == pytest.approx(2.0 + (flat(session, segments) + 0.5) * 0.05)


def times(series):
    if series.timestamps is not None:
        return series.timestamps[:]
    return series.starting_time + np.arange(len(series.data)) / series.rate


def test_export_intervals_are_the_segments_and_their_split(stored, tmp_path):
    _, home, entry = stored()
    segments = home.read(entry)
    with pynwb.NWBHDF5IO(write_session_nwb(home, entry, tmp_path / "a.nwb"), "r") as io:
        nwb = io.read()
        table = nwb.intervals["segments"].to_dataframe()
        assert table.number.tolist() == [s.number for s in segments] == list(range(20))
        assert table.split.tolist() == [s.split for s in segments]
        assert table.start_time.tolist() == [s.start_s for s in segments]
        assert table.stop_time.tolist() == pytest.approx([s.start_s + 1 for s in segments])
        assert nwb.trials is None and nwb.processing["ecephys"]["spike_counts"].rate == 20.0


def test_export_intervals_join_the_segments_of_a_long_trial(stored, tmp_path):
    session, home, entry = stored(BY_TRIALS)
    segments = home.read(entry)
    with pynwb.NWBHDF5IO(write_session_nwb(home, entry, tmp_path / "a.nwb"), "r") as io:
        nwb = io.read()
        trials = nwb.trials.to_dataframe()
        labels = [t for t in np.unique(session.trial) if t >= 0]
        assert trials.trial.tolist() == labels and len(labels) < len(segments)
        bins = [np.flatnonzero(session.trial == t) for t in labels]
        assert trials.start_time.tolist() == pytest.approx([2 + b[0] * 0.05 for b in bins])
        assert trials.stop_time.tolist() == pytest.approx([2 + (b[-1] + 1) * 0.05 for b in bins])
        folds = {s.trial: s.split for s in segments}
        assert trials.split.tolist() == [folds[t] for t in labels]


@pytest.mark.parametrize(
    ("splits", "without"),
    [(BY_TIME, "nothing"), (BY_TRIALS, "spikes"), (BY_TRIALS, "behavior")],
)
def test_export_is_valid_and_without_a_critical_finding(stored, tmp_path, splits, without):
    less = {} if without == "nothing" else {without: None}
    if without == "behavior":
        less |= {"behavior_names": (), "behavior_units": ()}
    _, home, entry = stored(splits, **less)
    path = write_session_nwb(home, entry, tmp_path / "a.nwb")
    assert not pynwb.validate(path=str(path))
    found = [m for m in inspect_nwbfile(nwbfile_path=path) if m.importance.value >= Importance.CRITICAL.value]
    assert found == []


def test_export_of_one_split_holds_that_split_alone(stored, tmp_path):
    session, home, entry = stored()
    with pynwb.NWBHDF5IO(write_session_nwb(home, entry, tmp_path / "a.nwb", split="test"), "r") as io:
        nwb = io.read()
        assert set(nwb.intervals["segments"]["split"][:]) == {"test"}
        counts = nwb.processing["ecephys"]["spike_counts"].data[:]
    assert np.array_equal(counts, session.spikes[flat(session, home.read(entry, "test"))])


def test_export_to_a_missing_folder_is_refused_and_leaves_no_partial_file(stored, tmp_path):
    _, home, entry = stored()
    with pytest.raises(DataError, match="cannot be written"):
        write_session_nwb(home, entry, tmp_path / "nowhere" / "a.nwb")
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_export_over_an_existing_file_is_refused_unless_raydistill_wrote_it(stored, tmp_path):
    _, home, entry = stored()
    own = write_session_nwb(home, entry, tmp_path / "own.nwb", split="test")
    before = own.read_bytes()
    with pytest.raises(DataError, match=r"own.nwb: this file exists already; give another name, or `--overwrite`"):
        write_session_nwb(home, entry, own)
    assert own.read_bytes() == before
    with pynwb.NWBHDF5IO(write_session_nwb(home, entry, own, overwrite=True), "r") as io:
        assert len(io.read().intervals["segments"]) == entry.n_segments


@pytest.mark.parametrize("kind", ["recording", "other hdf5", "other", "dangling link", "folder"])
def test_export_never_overwrites_a_file_that_raydistill_did_not_write(stored, tmp_path, kind):
    _, home, entry = stored()
    path = tmp_path / "mine.nwb"
    if kind == "recording":
        recording = pynwb.NWBFile("a recording", "raydistill", datetime(2020, 1, 1, tzinfo=UTC))
        with pynwb.NWBHDF5IO(path, "w") as io:
            io.write(recording)
    elif kind == "other hdf5":
        with h5py.File(path, "w") as file:
            file["x"] = [1, 2]
    elif kind == "other":
        path.write_text("notes")
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "not_yet_fetched")
    else:
        path.mkdir()
    before = path.read_bytes() if path.is_file() else None
    for overwrite in (False, True):
        with pytest.raises(DataError, match="never overwrites it" if overwrite else "exists already"):
            write_session_nwb(home, entry, path, overwrite=overwrite)
    assert (path.read_bytes() if path.is_file() else None) == before and path.is_symlink() == (kind == "dangling link")


def test_export_has_an_electrode_table_of_arrays_regions_and_positions(stored, tmp_path):
    units = channel_table(4, electrode=[7, 7, 8, 1], array=["A", "A", "A", "B"], region=["M1", "M1", "M1", ""])
    lfp = channel_table(3, electrode=[7, 9, 1], array=["A", "A", "B"], region=["M1", "M1", ""], x_um=[0, 400, None])
    _, home, entry = stored(unit_channels=units, lfp_channels=lfp)
    path = write_session_nwb(home, entry, tmp_path / "a.nwb")
    assert not pynwb.validate(path=str(path))
    assert not [m for m in inspect_nwbfile(nwbfile_path=path) if m.importance.value >= Importance.CRITICAL.value]
    with pynwb.NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        table, ecephys = nwb.electrodes.to_dataframe(), nwb.processing["ecephys"]
        of_units = table.iloc[ecephys["unit_electrodes"]["electrodes"].data[:]]
        of_lfp = table.iloc[ecephys["lfp_electrodes"]["electrodes"].data[:]]
        assert {name: group.location for name, group in nwb.electrode_groups.items()} == {"A": "M1", "B": "unknown"}
    assert of_units.electrode.tolist() == ["7", "7", "8", "1"] and of_lfp.electrode.tolist() == ["7", "9", "1"]
    assert of_units.group_name.tolist() == ["A", "A", "A", "B"] and of_lfp.group_name.tolist() == ["A", "A", "B"]
    assert of_lfp.location.tolist() == ["M1", "M1", "unknown"] and "y" not in table
    assert of_lfp.x.tolist()[:2] == [0, 400] and np.isnan(of_lfp.x.tolist()[2])
    assert len(table) == 5  # electrode 7 of A: once without and once with a position; electrode 1 of B: once
