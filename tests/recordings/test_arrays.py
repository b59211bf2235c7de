"""HDF5, MATLAB and NPZ files as a manifest describes them: the same arrays in, the same session out."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from raydistill.errors import ConfigError, DataError
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.preprocessing.session import to_session

ALL = "spikes: spikes, lfp: lfp, behavior: {values: behavior, names: [vx, vy]}, trials: trial"


@pytest.fixture
def session(manifest):
    """The session of one file, from the fields of its manifest entry."""

    def make(path, entry, ingest="filters: null"):
        path_and_subject = f"file: {path.name}, subject: m1, bin_width_ms: 100"
        text = f"ingest: {{{ingest}}}\nsessions:\n  - {{{path_and_subject}, {entry}}}\n"
        (recording,) = plan_sources(manifest(text), path.parent)
        with open_raw(recording.path, recording.source, recording.config.bin_width_ms) as raw:
            return to_session(recording, raw, {})[0]

    return make


def matlab_73(path, arrays):
    """As MATLAB writes it: a text block first, every matrix the other way round, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in arrays.items():
            if isinstance(value, list):
                cell = file.create_dataset(key, (1, len(value)), dtype=h5py.ref_dtype)
                for i, vector in enumerate(value):
                    part = file.create_dataset(f"#refs#/{key}{i}", data=np.reshape(vector, (1, -1)))
                    if not len(vector):
                        del file[f"#refs#/{key}{i}"]
                        part = file.create_dataset(f"#refs#/{key}{i}", data=np.array([0, 0], dtype=np.uint64))
                        part.attrs["MATLAB_empty"] = np.uint8(1)
                    cell[0, i] = part.ref
            else:
                file[key] = np.atleast_2d(value).T if np.ndim(value) == 2 else np.reshape(value, (1, -1))
    with open(path, "r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file")
    return path


@pytest.mark.parametrize("kind", ["h5", "mat 5", "mat 7.3", "npz"])
def test_arrays_of_any_format_give_the_same_session(kind, tmp_path, make_h5, binned, session):
    path = tmp_path / {"h5": "a.h5", "npz": "a.npz"}.get(kind, "a.mat")
    if kind == "h5":
        make_h5("a.h5")
    elif kind == "npz":
        np.savez(path, **binned)
    elif kind == "mat 5":
        savemat(path, binned)
    else:
        matlab_73(path, binned)
    made = session(path, ALL)
    assert np.array_equal(made.spikes, binned["spikes"])
    assert np.array_equal(made.lfp, binned["lfp"])
    assert np.array_equal(made.behavior, binned["behavior"])
    assert np.array_equal(made.trial, binned["trial"])
    assert made.behavior_names == ("vx", "vy") and made.bin_width_ms == 100


def test_transposed_matrices_are_turned(make_h5, binned, session):
    path = make_h5(spikes=binned["spikes"].T, lfp=binned["lfp"].T, behavior=binned["behavior"].T)
    made = session(
        path,
        "spikes: {counts: spikes, transpose: true}, lfp: {values: lfp, transpose: true}, "
        "behavior: {values: behavior, transpose: true}",
    )
    assert np.array_equal(made.spikes, binned["spikes"]) and np.array_equal(made.lfp, binned["lfp"])
    assert np.array_equal(made.behavior, binned["behavior"])


def test_names_come_from_an_attribute(make_h5, session):
    made = session(make_h5(), "spikes: spikes, behavior: {values: behavior, names_attribute: names}")
    assert made.behavior_names == ("vx", "vy")


TRAINS = [[0.05, 3.0, 59.9], [], [10.0, 20.0]]
FORMS = {
    "flat.npz": lambda p: np.savez(p, times=np.array([0.05, 10, 3, 20, 59.9]), unit=np.array([4, 9, 4, 9, 4])),
    "keys.npz": lambda p: np.savez(p, **{"times/0": TRAINS[0], "times/2": TRAINS[2], "times/10": [1.0]}),
    "cell.mat": lambda p: savemat(p, {"times": np.array([np.array(t) for t in TRAINS], dtype=object)}),
    "cell73.mat": lambda p: matlab_73(p, {"times": TRAINS}),
}


@pytest.mark.parametrize("name", FORMS)
def test_spike_times_of_every_form_are_read_by_unit(name, tmp_path, manifest):
    FORMS[name](tmp_path / name)
    spikes = "{times: times, unit_ids: unit}" if name == "flat.npz" else "{times: times}"
    (recording,) = plan_sources(manifest(f"sessions: [{{file: {name}, subject: m1, spikes: {spikes}}}]"))
    with open_raw(recording.path, recording.source, recording.config.bin_width_ms) as raw:
        times = [t.tolist() for t in raw.spikes.times]
    expected = {"flat.npz": [TRAINS[0], TRAINS[2]], "keys.npz": [TRAINS[0], TRAINS[2], [1.0]]}
    assert times == expected.get(name, TRAINS)


def test_spike_times_in_groups_and_samples_share_a_clock_with_sampled_lfp_and_stamped_behavior(tmp_path, session):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for unit in (0, 2, 10):
            file[f"spikes/unit{unit}"] = np.arange(unit, 60 * 30_000, 3000)
        file["lfp"] = np.random.default_rng(0).normal(size=(60_000, 2))
        stamps = np.arange(0.5, 59, 0.02)
        file["pos"], file["pos_t"] = np.stack([stamps, stamps]), stamps
    made = session(
        tmp_path / "a.h5",
        "spikes: {times: spikes, rate_hz: 30000}, lfp: {values: lfp, rate_hz: 1000, scale: 2}, "
        "behavior: {values: pos, times: pos_t, transpose: true, names: [position_x, y], derive: velocity}",
    )
    assert made.start_s == 0.5 and made.n_bins == 585 and made.spikes.shape[1] == 3
    assert made.behavior_names == ("velocity_x", "velocity_y") and np.allclose(made.behavior, 1, atol=1e-4)
    assert made.lfp.std() == pytest.approx(
        2 * np.sqrt(0.01), rel=0.2
    )  # the sinc keeps 1/100 of the white noise's power


def test_nested_matlab_structs_are_addressed_by_path(tmp_path, binned, session):
    savemat(tmp_path / "a.mat", {"data": {"neural": {"counts": binned["spikes"]}, "empty": []}})
    assert np.array_equal(session(tmp_path / "a.mat", "spikes: data/neural/counts").spikes, binned["spikes"])
    with pytest.raises(DataError, match='no variable "neurl" in data; did you mean "neural"'):
        session(tmp_path / "a.mat", "spikes: data/neurl/counts")


def test_trials_begin_where_behavior_is_zero(make_h5, session, binned):
    still = binned["behavior"].copy()
    still[[0, 20, 45]] = 0
    still[30, 0] = 0  # one of two: no start
    path = make_h5(behavior=still)
    made = session(
        path, "spikes: spikes, behavior: {values: behavior, names: [vx, vy]}, trials: {start_where_zero: [vx, vy]}"
    )
    assert np.flatnonzero(np.diff(made.trial)).tolist() == [19, 44] and made.trial[0] == 0


def test_trials_as_intervals_label_bins(make_h5, session):
    path = make_h5(t0=[1.0, 5.0], t1=[3.0, 8.0])
    trial = session(path, "spikes: spikes, trials: {start_s: t0, stop_s: t1}").trial
    assert [(trial == i).sum() for i in (-1, 0, 1)] == [550, 20, 30]


def test_interval_takes_a_part_of_a_binned_file_on_its_own_bins(make_h5, session, binned):
    made = session(make_h5(), f"{ALL}, interval: {{start_s: 10.05, stop_s: 20}}")
    assert made.start_s == pytest.approx(10.1)
    assert np.array_equal(made.spikes, binned["spikes"][101:200]) and np.array_equal(made.lfp, binned["lfp"][101:200])


def test_lfp_of_another_length_than_the_bins_is_an_error(make_h5, session, binned):
    with pytest.raises(
        DataError, match=r"rec\.h5: arrays with one value per bin differ in length: .*spikes 600, lfp 599.*transposed"
    ):
        session(make_h5(lfp=binned["lfp"][:-1]), ALL)
    with pytest.raises(
        DataError, match=r"lfp ends at 30\.000 s \(600 samples at 20 Hz\) but the bins end at 60\.000 s"
    ):
        session(make_h5(), "spikes: spikes, lfp: {values: lfp, rate_hz: 20}")


@pytest.mark.parametrize(
    ("changed", "entry", "message"),
    [
        (
            {"spikes": np.full((600, 6), 0.5)},
            "spikes: spikes",
            "spikes .float64. holds values that are not spike counts",
        ),
        ({"spikes": -np.ones((600, 6))}, "spikes: spikes", "not spike counts"),
        ({"spikes": np.array([b"a", b"b"])}, "spikes: spikes", "spikes is text; .* of real numbers is needed"),
        (
            {"spikes": np.ones((2, 3, 4))},
            "spikes: spikes",
            "a 2 x 3 x 4 float64 array; .*`axes: .trials, time, units.`",
        ),
        (
            {"lfp": np.ones((600, 2), complex)},
            "spikes: spikes, lfp: lfp",
            "cannot be read: complex128 values; .* of real numbers is needed",
        ),
        ({"trial": np.full(600, 0.5)}, "spikes: spikes, trials: trial", "not trial numbers"),
        ({}, "spikes: spkes", 'no variable "spkes"; did you mean "spikes"'),
        ({}, "spikes: {times: spikes}", "a 600 x 6 uint8 array; needed are the spike times of each unit .*`unit_ids`"),
        ({}, "spikes: spikes, behavior: {values: behavior, names: [x]}", "2 columns but 1 names: x"),
        ({}, "spikes: spikes, behavior: {values: behavior, names_attribute: nms}", 'no attribute "nms"; did you mean'),
        ({}, "spikes: spikes, trials: {start_where_zero: [vx]}", "needs one behavior matrix with one row per bin"),
        ({"lfp": np.full((600, 2), np.nan)}, "lfp: lfp", "channel 0 is not finite"),
    ],
)
def test_arrays_that_are_not_as_described_are_errors_naming_file_and_place(make_h5, session, changed, entry, message):
    with pytest.raises(DataError, match=rf"rec\.h5: .*{message}"):
        session(make_h5(**changed), entry)


def test_binned_arrays_without_a_bin_width_are_refused(make_h5, manifest):
    make_h5()
    (recording,) = plan_sources(manifest("sessions: [{file: rec.h5, subject: m1, spikes: spikes}]"))
    with (
        pytest.raises(DataError, match="spikes has one row per bin: give the file's `bin_width_ms`"),
        open_raw(recording.path, recording.source, recording.config.bin_width_ms),
    ):
        pass


@pytest.mark.parametrize("name", ["a.h5", "a.mat", "a.npz"])
def test_file_that_is_cut_off_is_an_error_naming_it(name, tmp_path, make_h5, binned, session):
    path = tmp_path / name
    if name == "a.h5":
        make_h5(name)
    else:
        savemat(path, binned) if name == "a.mat" else np.savez(path, **binned)
    path.write_bytes(path.read_bytes()[: 2 * path.stat().st_size // 3])
    with pytest.raises(DataError, match=rf"{name}: (not a readable|behavior is damaged)"):
        session(path, ALL)


def test_pickled_objects_are_never_loaded(tmp_path, session):
    np.savez(tmp_path / "a.npz", spikes=np.array([{"a": 1}], dtype=object))
    with pytest.raises(
        DataError, match="spikes is a variable that cannot be read: a pickled object, which is never loaded"
    ):
        session(tmp_path / "a.npz", "spikes: spikes")


def test_bins_of_a_file_cannot_be_asked_to_be_others(make_h5, session):
    with pytest.raises(
        ConfigError, match=r"manifest\.yaml:3: .*`ingest.bin_width_ms` is 20 but the file's bins are 100"
    ):
        session(make_h5(), "spikes: spikes", ingest="bin_width_ms: 20")
