"""NWB files: scale factors, clocks, choices among series, and what cannot be read."""

import h5py
import numpy as np
import pytest

from raydistill.errors import ConfigError, DataError
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.preprocessing.session import to_session
from tests.paths import EXAMPLES
from tests.recordings.nwb_reading import BEHAVIOR, made, read


def test_nwb_without_any_manifest_gives_a_session_of_all_it_holds(make_nwb, spike_trains):
    session = made(make_nwb("sub-1_ses 2.nwb"))
    assert (session.name, session.subject, session.region) == ("sub-1_ses_2", "rat_1", "CA1")
    assert (session.n_bins, session.lfp.shape) == (3000, (3000, 3))
    assert session.spikes.sum() == sum(map(len, spike_trains))
    assert session.behavior_names == ("position_x", "position_y") and session.behavior_units == ("meters",) * 2
    assert np.allclose(session.behavior[:, 1], np.cos((np.arange(3000) + 0.5) / 50), atol=0.011)


def test_nwb_without_a_subject_takes_the_name_of_the_session(make_nwb):
    assert made(make_nwb("day3.nwb", subject=None)).subject == "day3"


def test_lfp_is_data_times_both_conversions_plus_offset(make_nwb):
    data = np.arange(-7500, 7500, dtype=np.int16)[:, None] * np.array([1, 1, 1], dtype=np.int16)
    path = make_nwb(lfp={"data": data, "conversion": 0.01, "channel_conversion": [1.0, 0.5, 2.0], "offset": 3.0})
    values = read(path, check=lambda raw: raw.lfp[0].read(100, 200))
    assert np.allclose(values, data[100:200] * 0.01 * [1.0, 0.5, 2.0] + 3.0, rtol=1e-6)


def test_lfp_and_behavior_on_time_stamps_keep_their_clock(make_nwb):
    stamps = 7.25 + np.arange(15000) / 250
    steps = {"data": np.arange(100.0), "timestamps": 8 + np.sort(np.random.default_rng(0).uniform(0, 40, 100))}
    path = make_nwb(lfp={"rate": None, "starting_time": None, "timestamps": stamps}, series={"walk": steps})
    raw = read(path)
    assert raw.lfp[0].rate_hz == pytest.approx(250) and raw.lfp[0].start_s == 7.25
    assert np.array_equal(raw.behavior[0].times, steps["timestamps"]) and raw.behavior[0].names == ("position",)


def test_spatial_conversion_is_applied(make_nwb):
    path = make_nwb(series={"led": {"data": np.ones((100, 2)), "rate": 50.0, "starting_time": 1.0, "conversion": 0.25}})
    assert np.all(read(path).behavior[0].values == 0.25)


def test_several_behavior_series_without_a_choice_is_an_error_that_lists_them(make_nwb):
    two = {
        k: {"data": np.zeros((100, 2)) + i, "rate": 50.0, "starting_time": 0.0}
        for i, k in enumerate(("led_1", "led_2"))
    }
    path = make_nwb(series=two)
    with pytest.raises(
        DataError, match=r"several .*processing/behavior/Position/led_1, processing/behavior/Position/led_2"
    ):
        read(path)
    assert np.all(read(path, f"behavior={BEHAVIOR}/led_2").behavior[0].values == 1)
    assert read(path, "behavior=null").behavior == ()


def test_series_called_velocity_is_preferred(make_nwb):
    series = {k: {"data": np.zeros((100, 2)), "rate": 50.0, "starting_time": 0.0} for k in ("hand", "velocity")}
    series["velocity"]["data"] = np.ones((100, 2))
    assert np.all(read(make_nwb(series=series)).behavior[0].values == 1)


@pytest.mark.parametrize("name", ["cursor_vel", "HandVelocity", "velocity_of_hand", "vel"])
def test_series_that_says_velocity_is_preferred_and_gives_columns_of_that_name(make_nwb, name):
    names = ("hand", "level", "novel_maze", name)
    series = {k: {"data": np.full((100, 2), i), "rate": 50.0, "starting_time": 0.0} for i, k in enumerate(names)}
    behavior = read(make_nwb(series=series)).behavior[0]
    assert np.all(behavior.values == 3) and behavior.names == ("velocity_x", "velocity_y")


def test_several_velocities_without_a_choice_are_an_error(make_nwb):
    names = ("hand", "hand_vel", "cursor_vel")
    series = {k: {"data": np.zeros((100, 2)), "rate": 50.0, "starting_time": 0.0} for k in names}
    with pytest.raises(DataError, match=r"several series could be `behavior`: .*cursor_vel.*hand_vel"):
        read(make_nwb(series=series))


def test_series_that_is_not_there_is_an_error_with_the_nearest(make_nwb):
    with pytest.raises(DataError, match='did you mean "processing/behavior/Position/position"'):
        read(make_nwb(), f"behavior={BEHAVIOR}/positon")


def test_interval_takes_a_part_and_several_matches_need_an_index(make_nwb, manifest):
    path = make_nwb(epochs=[(5.0, 20.0, "run"), (20.0, 40.0, "rest"), (40.0, 50.0, "run")])

    def session(interval):
        text = f"ingest: {{bin_width_ms: 20}}\nsessions: [{{file: {path.name}, trials: epochs, interval: {interval}}}]"
        (recording,) = plan_sources(manifest(text))
        with open_raw(recording.path, recording.source, 10.0) as raw:
            return to_session(recording, raw, {})[0]

    second = session("{table: epochs, value: run, index: 1}")
    assert (second.start_s, second.n_bins) == (40.0, 500) and set(second.trial) == {2}
    assert session("{table: epochs, value: rest}").n_bins == 1000
    assert session("{start_s: 1, stop_s: 3}").n_bins == 100
    with pytest.raises(DataError, match=r"matches 2 rows: 5\.0 to 20\.0 s, 40\.0 to 50\.0 s; choose one with `index`"):
        session("{table: epochs, value: run}")
    with pytest.raises(DataError, match="matches no row"):
        session("{table: epochs, value: sleep}")
    with pytest.raises(DataError, match='no table of intervals at "epoch"; did you mean "epochs"'):
        session("{table: epoch, value: run}")


def test_two_files_of_one_name_in_a_folder_are_refused_with_both_ways_out(make_nwb, tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        make_nwb(f"{place}/rec.nwb")
    with pytest.raises(
        ConfigError, match=r"named rec: .*a/rec\.nwb and .*b/rec\.nwb; move one of them .* in a manifest"
    ):
        plan_sources(tmp_path)


def test_file_that_is_cut_off_is_an_error_naming_it(make_nwb):
    path = make_nwb()
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(DataError, match=r"rec\.nwb: not a readable NWB file .*trunc"):
        read(path)


def test_hdf5_file_that_is_no_nwb_is_an_error_naming_it(tmp_path):
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["x"] = 1
    with pytest.raises(DataError, match=r"other\.nwb: .*NWB"):
        read(tmp_path / "other.nwb")


def test_synthetic_recording_comes_back_with_its_spikes_lfp_and_velocity(tmp_path):
    from raydistill.config.synthetic import SyntheticConfig
    from raydistill.simulation.simulate import generate_session
    from raydistill.simulation.writers.nwb import write_nwb

    truth = generate_session(SyntheticConfig(duration_s=20.0), 0)
    path = write_nwb(truth, tmp_path / "S1_01.nwb")
    session = made(path, "ingest.bin_width_ms=10")
    assert session.spikes.sum() == sum(map(len, truth.spike_times))
    assert session.lfp.shape == (session.n_bins, truth.lfp.shape[1])
    assert session.behavior_names == ("velocity_x", "velocity_y")
    assert np.corrcoef(session.behavior[:1990, 0], truth.velocity[:1990, 0])[0, 1] > 0.999


# Damage and oddities


def test_behavior_samples_without_a_time_are_left_out(make_nwb):
    stamps = np.arange(3000) / 50
    data = np.stack([np.arange(3000.0), np.zeros(3000)], axis=1)
    data[100:103], stamps[100:103] = 1e6, np.nan
    session = made(make_nwb(series={"walk": {"data": data, "timestamps": stamps}}))
    assert np.nanmax(session.behavior) < 3000
    lost = np.isnan(session.behavior[:, 0])
    assert np.flatnonzero(lost).tolist() == [99, 100, 101, 102]
    assert np.allclose(session.behavior[~lost, 0], np.flatnonzero(~lost) + 0.5, atol=0.01)


def test_behavior_and_time_stamps_of_different_length_are_an_error(make_nwb):
    path = make_nwb(series={"walk": {"data": np.zeros((100, 2)), "timestamps": np.arange(100) / 50}})
    shorten(path, "processing/behavior/Position/walk/timestamps")
    with pytest.raises(DataError, match=r"rec\.nwb: .*Position/walk has 100 samples but 99 time stamps"):
        read(path)


def shorten(path, dataset):
    """Take the last value of a dataset away, as no library writes it."""
    with h5py.File(path, "a") as file:
        values, attributes = file[dataset][:-1], dict(file[dataset].attrs)
        del file[dataset]
        file[dataset] = values
        file[dataset].attrs.update(attributes)


def test_conversion_that_is_nan_leaves_values_as_they_are_in_no_unit(make_nwb):
    walk = {"data": np.full((100, 2), 7.0), "rate": 50.0, "starting_time": 1.0, "conversion": np.nan}
    behavior = read(make_nwb(series={"walk": walk})).behavior[0]
    assert np.all(behavior.values == 7.0) and behavior.units == ("", "")


# Real recordings


def test_open_field_lfp_is_in_volts_and_its_sorted_units_can_be_selected(recordings):
    path = recordings / "nwb" / "open_field_r1838.nwb"
    with pytest.raises(DataError, match=r"several series .*led_1, .*led_2"):
        read(path)
    read(path, f"behavior={BEHAVIOR}/led_1", "unit_filter={keep: [sorted]}", check=_check_open_field)


def _check_open_field(raw):
    microvolts = 1e6 * raw.lfp[0].read(0, raw.lfp[0].n_samples).astype(np.float64)
    assert np.round(microvolts.std(axis=0)).tolist() == [59, 44, 115]
    assert len(raw.spikes.ids) == 13 and sum(map(len, raw.spikes.times)) < 28_395
    assert np.isnan(raw.behavior[0].values[:, 0]).sum() == 924
    assert np.nanmax(raw.behavior[0].values) < 2.0  # metres in a box of about 1 m


@pytest.mark.parametrize(
    ("name", "n_bins", "median_speed"),
    [("linear_track", 47968, (5, 25)), ("w_maze_run1", 54529, (5, 25)), ("open_field_r1838", 60000, (0.15, 0.3))],
)
def test_real_recordings_of_the_example_have_plausible_rates_and_speeds(recordings, name, n_bins, median_speed):
    planned = {r.name: r for r in plan_sources(EXAMPLES / "nwb_recordings.yaml", recordings / "nwb")}
    with open_raw(planned[name].path, planned[name].source, 10.0) as raw:
        session, _ = to_session(planned[name], raw, {})
    rates = session.spikes.mean(axis=0) / 0.02
    speed = np.hypot(*session.behavior.T)
    assert session.n_bins == n_bins
    assert rates.min() >= 0.05 and rates.max() < 5
    assert median_speed[0] < np.nanmedian(speed) < median_speed[1]
    assert np.isnan(speed).mean() < 0.01
