"""Behavior of files, from the file to the values that the store gives back."""

import h5py
import numpy as np
import pynwb
import pytest
from pynwb.behavior import CompassDirection, SpatialSeries
from scipy.io import savemat

from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_sources
from raydistill.store.angles import angles
from raydistill.store.session import bin_centres_s
from raydistill.store.store import Store


@pytest.fixture
def stored(tmp_path):
    """Ingests a recording; returns its entry, the times of its bins, its behavior by column, and the notes."""

    def ingested(path, *overrides):
        (recording,) = plan_sources(path, overrides=overrides)
        store = Store(str(tmp_path / "store"))
        result = ingest_one(recording, store.uri, None)
        assert result.state == "stored", result.cause
        store.publish()
        (entry,) = store.entries()
        segments = store.read(entry)
        values = entry.normalisation["behavior"].undo(np.concatenate([s.behavior for s in segments]))
        columns = dict(zip(entry.behavior, values.T, strict=True))
        return entry, bin_centres_s(segments, entry.bin_width_ms), columns, result.notes[1:]  # without what was taken

    return ingested


def spikes(seconds):
    rng = np.random.default_rng(0)
    return {"spikes": np.sort(rng.uniform(0, seconds, 20 * seconds)), "unit": rng.integers(0, 3, 20 * seconds)}


def manifest_of(folder, file, behavior, **ingest):
    options = ", ".join(f"{key}: {value}" for key, value in ({"bin_width_ms": 20} | ingest).items())
    (folder / "m.yaml").write_text(
        f"ingest: {{{options}}}\nsessions:\n  - {{file: {file}, subject: s, "
        f"spikes: {{times: spikes, unit_ids: unit}}, behavior: {{values: x, times: t, {behavior}}}}}\n"
    )
    return folder / "m.yaml"


def turns(seconds):
    """Seconds as a direction in radians."""
    return seconds % (2 * np.pi)


def off(found, expected, period=2 * np.pi):
    return np.abs((found - expected + period / 2) % period - period / 2).max()


@pytest.fixture
def compass(make_nwb):
    """An NWB file in which the head turns at 1 rad/s, at 50 Hz, in radians from 0 to 2 pi."""
    path = make_nwb(series={"led": {"data": np.zeros(2), "rate": 1.0, "starting_time": 0.0}})
    with h5py.File(path, "a") as file:
        del file["processing/behavior"]
    with pynwb.NWBHDF5IO(path, "a") as io:
        nwb = io.read()
        box = CompassDirection()
        box.add_spatial_series(
            SpatialSeries(
                name="hd",
                data=turns(np.arange(3000) / 50),
                reference_frame="north",
                unit="radians",
                rate=50.0,
                starting_time=0.0,
            )
        )
        nwb.create_processing_module("behavior", "head").add(box)
        io.write(nwb)
    return path


def test_direction_of_an_nwb_file_comes_back_right_to_a_hundredth(compass, stored):
    entry, times, columns, notes = stored(compass, "defaults.behavior.circular=true")
    assert entry.behavior == ("hd_cos", "hd_sin") and entry.circular == {"hd": pytest.approx(2 * np.pi)}
    assert off(angles(columns, entry.circular)["hd"], times) < 0.001 and notes == ()


def test_velocity_of_a_direction_of_an_nwb_file_is_right_everywhere(compass, stored):
    set_so = ("defaults.behavior.circular=true", "defaults.behavior.derive=velocity")
    entry, _, columns, _ = stored(compass, *set_so)
    assert entry.behavior_units == ("radians/s",) and entry.circular == {}
    assert np.abs(columns["velocity_hd"] - 1).max() < 1e-5


def test_direction_that_is_not_set_circular_is_pointed_out(compass, stored):
    entry, _, _, notes = stored(compass)
    assert entry.behavior == ("hd",) and entry.circular == {}
    assert '"hd" jumps 9 times by about 6.283' in notes[0] and "`circular: true`" in notes[0]


def test_laps_on_a_circular_track_come_back_with_their_period(tmp_path, stored):
    """Three runs of a rat on a track of 290 cm at 23 cm/s, with 2 s between them in which it was not seen."""
    t = np.arange(6000) / 50
    seen = (t % 42) < 40
    savemat(tmp_path / "track.mat", {**spikes(120), "x": (23 * t % 290)[seen, None], "t": t[seen, None]})
    entry, times, columns, notes = stored(
        manifest_of(tmp_path, "track.mat", "names: [lap], units: [cm], circular: 290")
    )
    known = np.isfinite(columns["lap_cos"])
    assert entry.circular == {"lap": 290} and abs(known.mean() - seen.mean()) < 0.01
    assert off(angles(columns, entry.circular)["lap"][known], 23 * times[known], 290) < 0.05
    assert "2 dropouts (longest 2.02 s)" in notes[0]


def test_content_of_a_session_depends_on_the_period_of_its_angles(tmp_path, stored):
    t = np.arange(6000) / 50
    savemat(tmp_path / "track.mat", {**spikes(120), "x": (t % 10)[:, None], "t": t[:, None]})
    by_period = [stored(manifest_of(tmp_path, "track.mat", f"circular: {p}"))[0] for p in (10, 20)]
    assert by_period[0].content != by_period[1].content


def test_velocity_in_trials_is_smoothed_in_each_alone(make_nwb, stored):
    """Trials of 7 s with 3 s between them; position is sin t, and 50 m further in each trial."""
    t = np.arange(3000) / 50
    t = t[t % 10 < 7]
    position = np.column_stack([np.sin(t), np.cos(t)]) + 50 * (t // 10)[:, None]
    path = make_nwb(series={"hand": {"data": position, "timestamps": t}})
    set_so = ("defaults.behavior.derive=velocity", "defaults.behavior.smooth_s=0.05")
    _, times, columns, notes = stored(path, *set_so)
    known = np.isfinite(columns["velocity_x"])
    assert np.array_equal(known, times % 10 < 6.98)
    assert np.abs(columns["velocity_x"] - np.cos(times))[known].max() < 0.05
    assert np.abs(columns["velocity_y"]).max(where=known, initial=0) <= 1
    assert any("dropouts (longest 3.02 s)" in note for note in notes)


def test_behavior_clock_that_was_set_back_is_refused(tmp_path):
    """Six runs of 240 s, each with a clock that begins at 0 s; x is 0, 10, .. 50."""
    values = {"x": np.repeat(np.arange(6.0) * 10, 12000)[:, None], "t": np.tile(np.arange(12000) / 50, 6)[:, None]}
    savemat(tmp_path / "runs.mat", spikes(240) | values)
    (recording,) = plan_sources(manifest_of(tmp_path, "runs.mat", "names: [x]"))
    result = ingest_one(recording, str(tmp_path / "store"), None)
    assert result.state == "failed" and "sample 12000 at 0.000 s follows 239.980 s (5 such places)" in result.cause
    assert "the clock was set back, so one time means two moments" in result.cause


@pytest.mark.parametrize(
    ("gap_s", "note"),
    [("null", "3 dropouts (longest 0.40 s), 60 of 6000 bins (1.0%) left out"), (0.5, "60 of 6000 bins (1.0%) filled")],
)
def test_dropouts_of_tracking_are_neither_fitted_nor_scored_unless_they_are_filled(tmp_path, stored, gap_s, note):
    t = np.arange(6000) / 50
    lost = ((t > 20) & (t < 20.4)) | ((t > 50) & (t < 50.4)) | ((t > 90) & (t < 90.4))
    savemat(tmp_path / "track.mat", {**spikes(120), "x": t[~lost, None], "t": t[~lost, None]})
    manifest = manifest_of(tmp_path, "track.mat", "names: [x]", behavior_gap_s=gap_s)
    _, times, columns, notes = stored(manifest)
    assert note in notes[0]
    known = np.isfinite(columns["x"])
    assert (~known).sum() == (60 if gap_s == "null" else 0)
    assert np.allclose(columns["x"][known], times[known], atol=1e-3)
