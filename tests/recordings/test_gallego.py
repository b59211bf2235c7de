"""Gallego's files: what the writer puts in comes out; every odd form; every error in one line."""

from dataclasses import replace
from datetime import date

import h5py
import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.recordings.files import matlab73
from raydistill.recordings.preprocessing.bins import common_bins
from raydistill.recordings.preprocessing.lfp import lfp_on_bins
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.readers.gallego import find, open_raw, parsed_date
from raydistill.recordings.readers.gallego_guides import channel_major
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.gallego import BANDS, lfp_power, write_gallego
from tests.recordings.sources import changed as changed_source

CONFIG = SyntheticConfig(
    subjects=1,
    sessions_per_subject=1,
    duration_s=10,
    lfp_rate_hz=1000,
    min_units=5,
    max_units=5,
    min_channels=4,
    max_channels=4,
)


@pytest.fixture(scope="module")
def recording():
    return generate_session(CONFIG, 0)


def read(path, **changed):
    (entry,) = find(path.parent)
    with open_raw(path, changed_source(entry.source, **changed), 30.0) as raw:
        return raw, raw.lfp[0].read(0, raw.lfp[0].n_samples)


@pytest.mark.parametrize("bin_size", [0.03, 0.01])
@pytest.mark.parametrize("band_major", [False, True])
def test_a_recording_comes_out_as_it_went_in(bin_size, band_major, tmp_path, recording):
    path = write_gallego(recording, tmp_path, bin_size=bin_size, band_major=band_major)
    raw, lfp = read(path)
    n = 300
    edges = np.arange(n + 1) * 0.03
    counts = [np.histogram(times, edges)[0] for times in recording.spike_times]
    assert raw.n_bins == n and np.array_equal(raw.spikes.values, np.stack(counts, axis=1))
    assert np.array_equal(raw.trial_labels, np.repeat([0, 1, 2], 100))
    velocity = recording.velocity[: 3 * n].reshape(n, 3, 2).mean(axis=1)  # (3 n, 2) -> (n, 2)
    assert np.allclose(raw.behavior[0].values, velocity, rtol=0, atol=1e-9)
    assert np.allclose(raw.behavior[0].times, (np.arange(n) + 0.5) * 0.03) and raw.behavior[0].units == ("cm/s", "cm/s")
    fine = np.arange(round(n * 0.03 / bin_size) + 1) * bin_size
    power = lfp_power(recording.lfp, 1000, fine).reshape(n, -1, 4 * 9).mean(axis=1)  # channel-major, averaged
    assert np.allclose(lfp, power, rtol=1e-5, atol=1e-5) and lfp.dtype == np.float32
    assert raw.lfp[0].covers == raw.behavior[0].covers == (0.0, pytest.approx(9.0)) and raw.pieces is None


def test_lfp_power_read_in_slices_equals_that_read_at_once(tmp_path, recording):
    path = write_gallego(recording, tmp_path)
    (entry,) = find(tmp_path)
    with open_raw(path, entry.source, 30.0) as raw:
        whole = raw.lfp[0].read(0, 300)
        parts = np.concatenate([raw.lfp[0].read(a, min(a + 37, 300)) for a in range(0, 300, 37)])
    assert np.array_equal(whole, parts)


def test_lfp_power_is_unchanged_on_the_bins_of_a_session(tmp_path, recording):
    path = write_gallego(recording, tmp_path)
    (entry,) = find(tmp_path)
    with open_raw(path, entry.source, 30.0) as raw:
        bins = common_bins(raw, 0.03)
        config = IngestConfig(bin_width_ms=30, filters=None)
        on_bins = lfp_on_bins(raw.lfp[0], bins, config, np.arange(raw.lfp[0].n_channels))
        assert (bins.first, bins.n) == (0, 300) and np.array_equal(on_bins, raw.lfp[0].read(0, 300))


@pytest.mark.parametrize(
    "monkey, subject, array, region",
    [("Chewie", "Ch", "M1", "M1"), ("Mihili", "M", "M1", "M1"), ("Han", "H", "LeftS1Area2", "area 2")],
)
def test_sessions_are_named_by_the_field_date_and_not_by_the_file(monkey, subject, array, region, tmp_path, recording):
    (tmp_path / "a" / "b").mkdir(parents=True)
    path = write_gallego(recording, tmp_path / "a" / "b", monkey=monkey, day=date(2016, 10, 5), day_first=True)
    assert path.name == f"{monkey}_CO_20160510.mat"
    (entry,) = find(tmp_path)
    assert entry.name == f"Monkey{subject}_20161005" and entry.path == path
    assert (entry.source.subject, entry.source.region, entry.source.task) == (subject, region, "CO")
    with h5py.File(path) as file:
        assert f"{array}_lfp_guide" in file["trial_data"]
    raw, _ = read(path)
    assert (raw.subject, raw.region) == (subject, region)


def test_files_of_other_layouts_are_not_found(tmp_path):
    for name in ("Chewie_RT_20160929.mat", "Jango_CO_20160929.mat", "Chewie_CO_20160929.txt", "Chewie_CO.mat"):
        (tmp_path / name).write_bytes(b"")
    assert find(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "2016-10-21",
        "2016/10/21 11:03:20",
        "20161021",
        "20162110",
        "10-21-2016",
        "10/21/2016",
        "21-10-2016",
        "21-Oct-2016 10:00",
    ],
)
def test_dates_are_read_in_every_order(text):
    assert parsed_date(text) == date(2016, 10, 21)


@pytest.mark.parametrize("text", ["", "20161332", "tomorrow"])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(DataError, match="is not a date"):
        parsed_date(text)


# Files made by hand


def row(number, bins=20, units=3, electrodes=(7, 2), **changed):
    """A trial whose counts, velocity and power can be recognised: power is electrode * 100 + upper edge."""
    rng = np.random.default_rng(number)
    guide = np.array([(e, *band) for band in BANDS for e in electrodes], dtype=float)  # band-major
    fields = {
        "date": "10-21-2016",
        "trial_id": float(number),
        "result": "R",
        "bin_size": 0.03,
        "idx_startTime": 1.0,
        "idx_goCueTime": 7.0,
        "idx_movement_on": np.nan,
        "idx_endTime": float(bins),
        "vel": np.full((bins, 2), float(number)),
    }
    for array in ("M1", "PMd"):
        fields |= {
            f"{array}_spikes": rng.poisson(1, (bins, units)).astype(float),
            f"{array}_lfp": np.tile(guide[:, 0] * 1000 + guide[:, 2], (bins, 1)),
            f"{array}_lfp_guide": guide,
        }
    return fields | changed


def write(tmp_path, *rows):
    path = tmp_path / "Chewie_CO_20162110.mat"
    with matlab73.new_file(path) as file:
        matlab73.write_struct_array(file, "trial_data", list(rows))
    return path


def test_columns_follow_the_guide_in_any_order(tmp_path):
    first, second = row(1), row(2)
    shuffled = np.random.default_rng(0).permutation(18)
    for field in ("M1_lfp", "M1_lfp_guide"):
        axis = 1 if field == "M1_lfp" else 0
        second[field] = np.take(second[field], shuffled, axis=axis)
    _, lfp = read(write(tmp_path, first, second))
    expected = [e * 1000 + high for e in (2, 7) for _, high in BANDS]
    assert np.array_equal(lfp, np.tile(np.float32(expected), (40, 1)))


def test_columns_of_two_arrays_are_adjacent(tmp_path):
    a, b = row(1), row(2)
    raw, lfp = read(write(tmp_path, a, b), arrays=("PMd", "M1"))
    assert raw.spikes.values.shape == (40, 6) and lfp.shape == (40, 36) and raw.region == "PMd, M1"
    assert np.array_equal(raw.spikes.values[:20], np.hstack([a["PMd_spikes"], a["M1_spikes"]]))


def test_trials_follow_in_time_and_only_selected_results_are_used(tmp_path):
    path = write(tmp_path, row(3), row(1, result="F"), row(2, bins=10))
    raw, _ = read(path)
    assert raw.trial_labels.tolist() == [1] * 20 + [2] * 10 + [0] * 20
    raw, _ = read(path, results=("R",))
    assert np.unique(raw.behavior[0].values).tolist() == [2, 3] and raw.n_bins == 30
    with pytest.raises(DataError, match="no trial has the result A; results in the file: F, R"):
        read(path, results=("A",))


def test_lost_velocity_stays_lost_and_trials_without_any_are_left_out(tmp_path):
    some = np.full((20, 2), 5.0)
    some[3] = np.nan
    raw, _ = read(write(tmp_path, row(1, vel=some), row(2, vel=np.full((20, 2), np.nan)), row(3)))
    assert np.unique(raw.trial_labels).tolist() == [0, 2]
    assert np.isnan(raw.behavior[0].values[3]).all() and np.isnan(raw.behavior[0].values).sum() == 2


def test_bins_of_10_ms_are_summed_or_averaged(tmp_path):
    fine = row(1, bins=20, bin_size=0.01, vel=np.arange(40.0).reshape(20, 2))
    path = write(tmp_path, fine, row(2, bins=2, bin_size=0.01))
    raw, lfp = read(path)
    assert raw.n_bins == 6 and lfp.shape == (6, 18)  # 2 bins of 10 ms are left over; so is the whole second trial
    assert np.array_equal(raw.spikes.values, fine["M1_spikes"][:18].reshape(6, 3, 3).sum(axis=1))
    assert np.array_equal(raw.behavior[0].values[1], [8, 9])


def test_a_file_of_one_trial_and_one_without_units_are_read(tmp_path):
    only = row(1)
    raw, _ = read(write(tmp_path, only))
    assert np.array_equal(raw.spikes.values, only["M1_spikes"]) and raw.n_bins == 20
    nothing, folder = np.empty((20, 0)), tmp_path / "without_units"
    folder.mkdir()
    raw, _ = read(write(folder, row(1, M1_spikes=nothing), row(2, M1_spikes=nothing)))
    assert raw.spikes.values.shape == (40, 0)


def without(fields, name):
    return {k: v for k, v in fields.items() if k != name}


GUIDE = row(2)["M1_lfp_guide"]


@pytest.mark.parametrize(
    "rows, message",
    [
        ([row(1), row(2, bin_size=0.02)], "trial 2: bin_size is 0.02 s; 0.03 s, or 0.01 s"),
        ([row(1), row(2, M1_spikes=np.ones((19, 3)))], "trial 2: M1_spikes has 19 bins but vel has 20"),
        ([row(1), row(2, M1_lfp=np.ones((18, 18)))], "trial 2: M1_lfp has 18 bins but vel has 20"),
        ([row(1), row(2, units=4)], "trial 2 has 4 units but trial 1 has 3"),
        (
            [row(1), row(2, M1_spikes=np.full((20, 3), 0.5))],
            "trial 2: M1_spikes holds values that are not spike counts",
        ),
        ([row(1), row(2, M1_spikes=np.full((20, 3), np.inf))], "trial 2: M1_spikes holds values that are not spike"),
        ([row(1), row(2, M1_spikes="x" * 20)], "trial 2: M1_spikes has 1 bins"),
        ([row(1), row(2, vel=np.ones((20, 1)))], r"trial 2: vel has the shape \(20, 1\)"),
        ([row(1), row(2, M1_lfp_guide=GUIDE[:-1])], r"trial 2: M1_lfp_guide has the shape \(17, 3\)"),
        ([row(1), row(2, M1_lfp_guide=GUIDE[[0, *range(17)]])], "trial 2: M1_lfp_guide must give each of 2"),
        ([row(1), row(2, electrodes=(7, 3))], "trial 2: M1_lfp_guide names other electrodes or bands than .* trial 1"),
        ([without(row(i), "M1_lfp") for i in (1, 2)], 'trial_data has no field "M1_lfp"; did you mean "PMd_lfp"'),
        ([without(row(i), "vel") for i in (1, 2)], 'trial_data has no field "vel"'),
        ([without(row(i), "bin_size") for i in (1, 2)], 'trial_data has no field "bin_size"'),
        ([without(row(i), "date") for i in (1, 2)], 'trial_data has no field "date"'),
        ([row(1, date="soon"), row(2)], "'soon' is not a date"),
        ([row(i, vel=np.full((20, 2), np.nan)) for i in (1, 2)], "none of 2 trials has a bin with a finite velocity"),
    ],
)
def test_a_wrong_field_is_named_with_its_trial(rows, message, tmp_path):
    with pytest.raises(DataError, match=message) as caught:
        read(write(tmp_path, *rows))
    assert str(caught.value).startswith("Chewie_CO_20162110.mat: ") and "\n" not in str(caught.value)


def test_an_unknown_array_is_answered_with_the_known_ones(tmp_path):
    path = write(tmp_path, row(1), row(2))
    with pytest.raises(DataError, match='there is no array "S1"; known: M1, PMd'):
        read(path, arrays=("S1",))
    with pytest.raises(DataError, match="set `arrays` to those to use for subject X: M1, PMd"):
        read(path, subject="X")


def test_damaged_files_are_found_by_their_name_and_fail_when_they_are_opened(tmp_path):
    path = write(tmp_path, row(1), row(2))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert [f.name for f in find(tmp_path)] == ["MonkeyCh_20161021"]
    with pytest.raises(DataError, match=r"not a readable HDF5 or MATLAB 7\.3 file"):
        read(path)
    path.unlink()
    with h5py.File(path, "w") as file:
        file["other"] = 1
    with pytest.raises(DataError, match='there is no struct array "trial_data"; the file holds other'):
        read(path)


def test_a_reference_to_nothing_is_named(tmp_path):
    path = write(tmp_path, row(1), row(2))
    with h5py.File(path, "r+") as file:
        file["trial_data/M1_lfp"][1, 0] = h5py.Reference()
    with pytest.raises(DataError, match="trial 2: M1_lfp is damaged") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_matrix_is_named(tmp_path):
    path = write(tmp_path, row(1), row(2))
    with h5py.File(path, "r+") as file:
        file["#refs#/sparse/data"] = np.ones(3)
        file["trial_data/M1_spikes"][1, 0] = file["#refs#/sparse"].ref
    with pytest.raises(DataError, match="trial 2: M1_spikes is a group, not an array"):
        read(path)
    with h5py.File(path, "r+") as file:
        file["#refs#/flat"] = np.ones(3)
        file["trial_data/M1_spikes"][1, 0] = file["#refs#/flat"].ref
    with pytest.raises(DataError, match=r"trial 2: M1_spikes has the shape .*; a matrix is needed"):
        read(path)


def test_a_file_without_a_day_is_named(tmp_path):
    path = tmp_path / "Chewie_CO_99999999.mat"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="neither its field `date` nor its name gives the day"):
        find(tmp_path)


def test_the_order_of_columns_puts_the_motor_potential_first():
    guide = np.array([[2, 4, 8], [1, 0, 0], [2, 0, 0], [1, 4, 8]], dtype=float)
    assert channel_major(guide).tolist() == [1, 3, 2, 0]


def test_recordings_that_cannot_be_written_are_refused(tmp_path, recording):
    with pytest.raises(DataError, match=r"LFP at 1000 Hz or more is needed .* but got 500"):
        write_gallego(replace(recording, lfp_rate_hz=500.0), tmp_path)
    with pytest.raises(DataError, match="is shorter than one trial"):
        write_gallego(recording, tmp_path, trial_s=60)
    with pytest.raises(DataError, match="cannot be written"):
        write_gallego(recording, tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def test_bands_of_an_electrode_are_counted_and_only_whole_electrodes_are_dropped(tmp_path, recording):
    path = write_gallego(recording, tmp_path)
    (found,) = find(tmp_path)
    with open_raw(path, found.source, 30.0) as raw:
        assert raw.lfp[0].bands == 9
        assert to_session(found, raw, {})[0].lfp_bands == 9
        config = replace(found.config, drop_channels=tuple(range(9)))
        session, _ = to_session(replace(found, config=config), raw, {})
        assert session.lfp.shape[1] == raw.lfp[0].n_channels - 9
        config = replace(found.config, drop_channels=(3,))
        with pytest.raises(DataError, match=r"all 9 bands of an electrode, such as \[0, 1, 2"):
            to_session(replace(found, config=config), raw, {})
