"""Flint's files: what the writer puts in comes out, at true times; every odd form; every error in one line."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from numpy.lib.recfunctions import repack_fields
from scipy.io import loadmat, savemat

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.recordings.readers.flint import SESSIONS, find, open_raw
from raydistill.simulation.simulate import generate
from raydistill.simulation.writers.flint import write_flint
from raydistill.store.channels import channel_table

CONFIG = SyntheticConfig(
    subjects=1,
    sessions_per_subject=3,
    duration_s=10,
    lfp_rate_hz=2000,
    min_units=6,
    max_units=6,
    min_channels=3,
    max_channels=3,
)


@pytest.fixture(scope="module")
def recordings():
    return list(generate(CONFIG))


def test_written_sessions_are_found_under_their_names(tmp_path, recordings):
    (tmp_path / "flint").mkdir()
    paths = write_flint(recordings, tmp_path / "flint", trial_s=2)
    found = find(tmp_path)
    assert [p.name for p in paths] == ["Flint_2012_e1.mat", "Flint_2012_e2.mat"]
    assert [f.name for f in found] == ["MonkeyC_e1_1", "MonkeyC_e2_1", "MonkeyC_e2_2"]
    assert [f.source.part for f in found] == ["1", "1", "2"]
    assert found[0].path == paths[0]
    assert {(f.source.subject, f.source.dataset, f.source.task, f.source.region) for f in found} == {
        ("C", "flint", "CO", "M1")
    }
    assert sum(SESSIONS.values()) == 12 and not list((tmp_path / "flint").glob(".*"))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_session_comes_out_as_it_went_in(number, tmp_path, recordings):
    write_flint(recordings, tmp_path, trial_s=2, gap_s=0.5)
    entry, recording = find(tmp_path)[number], recordings[number]
    with open_raw(entry.path, entry.source, 10.0) as raw:
        assert np.allclose(raw.pieces, [[0.5, 2.5], [3, 5], [5.5, 7.5], [8, 10]], atol=1e-9)
        assert np.allclose(raw.trial_intervals, raw.pieces, atol=1e-9)
        lfp = raw.lfp[0].read(0, raw.lfp[0].n_samples)
        assert (raw.lfp[0].rate_hz, raw.lfp[0].start_s, lfp.shape) == (2000, 0.5, (19000, 3))
        for a, b in np.round((raw.pieces - 0.5) * 2000).astype(int):
            assert np.array_equal(lfp[a : b - 3], recording.lfp[a + 1000 : b + 997])
            assert np.isfinite(lfp[a:b]).all() and np.isnan(lfp[b : b + 1000]).all()
        for unit, times in enumerate(recording.spike_times):
            inside = ((times[:, None] >= raw.pieces[:, 0]) & (times[:, None] < raw.pieces[:, 1])).any(axis=1)
            assert np.array_equal(raw.spikes.times[unit], times[inside])
        rows = np.round(raw.behavior[0].times * 100).astype(int)
        assert np.array_equal(raw.behavior[0].values, recording.velocity[rows]) and len(rows) == 800
        assert raw.spikes.ids == tuple(range(6)) and raw.behavior[0].names == ("velocity_x", "velocity_y")


def test_lfp_channels_are_the_entries_that_hold_them_and_units_are_on_the_array(tmp_path, recordings):
    write_flint(recordings[:1], tmp_path, trial_s=2)
    (entry,) = find(tmp_path)
    with open_raw(entry.path, entry.source, 10.0) as raw:
        lfp, units = raw.lfp[0].channels, raw.spikes.channels
    channels = recordings[0].channels
    assert (lfp.electrode, lfp.array) == (channels.electrode, channels.array) == (("1", "2", "3"), ("M1",) * 3)
    assert lfp.region == ("M1",) * 3 and {*lfp.x_um, *lfp.y_um, *lfp.z_um} == {None}
    assert units == channel_table(6, array=["M1"] * 6, region=["M1"] * 6)


def test_lfp_read_in_slices_equals_lfp_read_at_once(tmp_path, recordings):
    write_flint(recordings[:1], tmp_path, trial_s=2, gap_s=0.5)
    (entry,) = find(tmp_path)
    with open_raw(entry.path, entry.source, 10.0) as raw:
        whole = raw.lfp[0].read(0, raw.lfp[0].n_samples)
        parts = [raw.lfp[0].read(a, min(a + 777, len(whole))) for a in range(0, len(whole), 777)]
    assert np.array_equal(np.concatenate(parts), whole, equal_nan=True)


def test_trials_without_a_gap_are_one_piece_without_lost_samples(tmp_path, recordings):
    write_flint(recordings[:1], tmp_path, trial_s=2, gap_s=0)
    (entry,) = find(tmp_path)
    with open_raw(entry.path, entry.source, 10.0) as raw:
        assert np.allclose(raw.pieces, [[0, 10]]) and len(raw.trial_intervals) == 5
        lfp = raw.lfp[0].read(0, raw.lfp[0].n_samples)
    # The LFP of the first trial ends 3 samples early: its last sample is held.
    assert np.array_equal(lfp[:3997], recordings[0].lfp[:3997]) and np.array_equal(lfp[3997:4000], lfp[[3996] * 3])
    assert np.array_equal(lfp[4000:8000], recordings[0].lfp[4000:8000])


def tree(recordings, tmp_path, **options):
    """The struct array of one written session, to be changed and written again."""
    (path,) = write_flint(recordings[:1], tmp_path, **({"trial_s": 2, "gap_s": 0.5} | options))
    subject = loadmat(path)["Subject"]
    return path, subject, subject[0, 0]["Trial"]


def read(path, part="1"):
    entry = next(f for f in find(path.parent) if f.source.part == "1")
    with open_raw(path, replace(entry.source, part=part), 10.0) as raw:
        if raw.lfp:
            raw.lfp[0].read(0, raw.lfp[0].n_samples)
        return raw


def test_odd_forms_of_the_published_files_are_read(tmp_path, recordings):
    path, subject, trials = tree(recordings, tmp_path)
    trials["HandVel"][0, 0] = np.hstack([trials["HandVel"][0, 0], np.full((200, 1), 9.0)])  # a third column
    trials["Neuron"][0, 0]["Spike"][0, 0] = np.empty((0, 1))
    trials["Neuron"][0, 0]["Spike"][1, 0] = trials["Neuron"][0, 0]["Spike"][1, 0].T
    trials["Neuron"][1, 0]["LFP"][2, 0] = np.empty((0, 0))  # one trial lacks a channel
    trials["Time"][3, 0] = np.empty((0, 0))  # an empty trial
    trials["Condition"][2, 0] = np.empty(0, dtype="U1")
    trials[:] = trials[::-1].copy()  # trials out of the order of time
    savemat(path, {"Subject": subject.reshape(1, -1)})
    raw = read(path)
    assert np.allclose(raw.pieces, [[0.5, 2.5], [3, 5], [5.5, 7.5]])
    assert np.all(np.diff(raw.behavior[0].times) > 0) and raw.behavior[0].values.shape == (600, 2)
    lfp = raw.lfp[0].read(5000, 9000)
    assert np.isnan(lfp[:, 2]).all() and np.isfinite(lfp[:, :2]).all()


def test_electrodes_are_numbered_by_entry_where_some_entries_have_no_lfp(tmp_path, recordings):
    path, subject, trials = tree(recordings, tmp_path)
    for trial in trials.ravel():
        trial["Neuron"]["LFP"][1, 0] = np.empty((0, 0))
    savemat(path, {"Subject": subject})
    (signal,) = read(path).lfp
    assert signal.n_channels == 2 and signal.channels.electrode == ("1", "3")


def test_the_clock_of_a_session_may_begin_anywhere(tmp_path, recordings):
    path, subject, trials = tree(recordings, tmp_path)
    for trial in trials.ravel():
        trial["Time"] = trial["Time"] + 812.3456
        for neuron in trial["Neuron"].ravel():
            neuron["Spike"] = neuron["Spike"] + 812.3456
    savemat(path, {"Subject": subject})
    raw = read(path)
    assert raw.lfp[0].start_s == pytest.approx(812.8456) and raw.pieces[0, 0] == raw.lfp[0].start_s
    inside = np.round((raw.pieces - raw.lfp[0].start_s) * 2000).astype(int)
    assert all(np.isfinite(raw.lfp[0].read(a, b)).all() for a, b in inside)


def _set(name, value):
    return lambda trials: trials[name].__setitem__((1, 0), value(trials[name][1, 0]))


def _neuron(name, value):
    return lambda trials: trials["Neuron"][1, 0][name].__setitem__((0, 0), value(trials["Neuron"][1, 0][name][0, 0]))


@pytest.mark.parametrize(
    "spoil, message",
    [
        (_set("Time", lambda t: t[::-1]), "trial 2: Time is not sorted: 4.9800 s at 1 follows 4.9900 s"),
        (_set("Time", lambda t: np.where(t > 4, t + 0.5, t)), "trial 2: Time is 0.5000 s off its clock of 100 Hz"),
        (_set("Time", lambda t: np.where(t > 4, np.nan, t)), "trial 2: Time is not finite at 101"),
        (_set("Time", lambda t: np.array(["x"])), "trial 2: Time holds <U1 values, not real numbers"),
        (_set("HandVel", lambda v: v[:-1]), r"trial 2: HandVel has the shape \(199, 2\); \(200, 2 or more\)"),
        (_set("Neuron", lambda n: n[:4]), "trial 2 has 4 entries of Neuron but trial 1 has 6"),
        (_set("Neuron", lambda n: np.ones((3, 1))), "trial 2: Neuron is not a struct"),
        (_neuron("Spike", lambda s: s[::-1]), "trial 2: Spike of neuron 0 is not sorted: .* s at 1 follows"),
        (_neuron("Spike", lambda s: s - 3), "trial 2: Spike of neuron 0: spikes from .* are outside of the trial"),
        (_neuron("Spike", lambda s: s * np.nan), "trial 2: Spike of neuron 0 is not finite at 0"),
        (_neuron("LFP", lambda x: x[:3900]), "trial 2: LFP of neuron 0 has 3900 samples, but 200 .* are 4000"),
        (_neuron("LFP", lambda x: x.reshape(2, -1)), "trial 2: LFP of neuron 0 has the shape"),
    ],
)
def test_a_wrong_field_is_named_with_its_trial(spoil, message, tmp_path, recordings):
    path, subject, trials = tree(recordings, tmp_path)
    spoil(trials)
    savemat(path, {"Subject": subject})
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(caught.value).startswith("Flint_2012_e1.mat: ") and "\n" not in str(caught.value)


def test_overlapping_trials_are_named(tmp_path, recordings):
    path, subject, trials = tree(recordings, tmp_path, gap_s=0.05)
    trials["Time"][1, 0] = trials["Time"][1, 0] - 0.09
    savemat(path, {"Subject": subject})
    with pytest.raises(DataError, match="trials 1 and 2 overlap by"):
        read(path)


def test_missing_fields_variables_and_sessions_are_named(tmp_path, recordings):
    path, subject, trials = tree(recordings, tmp_path)
    with pytest.raises(DataError, match="`part` must be the number of a session from 1 to 1, but got '2'"):
        read(path, part="2")
    subject[0, 0]["Trial"] = repack_fields(trials[[n for n in trials.dtype.names if n != "HandVel"]])
    savemat(path, {"Subject": subject})
    with pytest.raises(DataError, match='trial 1 has no field "HandVel"; known: Condition, HandPos'):
        read(path)
    savemat(path, {"Subjects": subject})
    with pytest.raises(DataError, match='there is no variable "Subject"'):
        read(path)


def test_a_damaged_file_is_found_and_fails_when_it_is_opened(tmp_path, recordings):
    paths = write_flint(recordings, tmp_path, trial_s=2)
    for path in paths:
        path.write_bytes(path.read_bytes()[:60_000])
    assert [f.name for f in find(tmp_path)] == ["MonkeyC_e1_1", "MonkeyC_e2_1", "MonkeyC_e2_2"]
    with pytest.raises(DataError, match=r"Flint_2012_e1\.mat: Subject is damaged \(it is cut off\)"):
        read(paths[0])
    paths[0].write_bytes(b"")
    assert find(tmp_path)[0].name == "MonkeyC_e1_1"
    with pytest.raises(DataError, match="not a readable MATLAB 5 file"):
        read(paths[0])


def test_a_damaged_number_of_sessions_is_not_believed(tmp_path, recordings):
    (path,) = write_flint(recordings[:1], tmp_path, trial_s=2)
    whole = path.read_bytes()
    at = whole.index(struct.pack("<IIii", 5, 8, 1, 1))  # the shape of Subject
    path.write_bytes(whole[: at + 12] + struct.pack("<i", 131073) + whole[at + 16 :])
    assert [f.name for f in find(tmp_path)] == ["MonkeyC_e1_1"]
    with pytest.raises(DataError, match="Subject is damaged"):
        read(path)


def test_recordings_of_other_rates_are_refused(tmp_path, recordings):
    with pytest.raises(DataError, match="LFP at 2000 Hz and kinematics at 100 Hz are needed, but got 500 and 100"):
        write_flint([replace(recordings[0], lfp_rate_hz=500.0)], tmp_path)
    with pytest.raises(DataError, match="1 to 12 recordings can be written, but got 13"):
        write_flint(recordings[:1] * 13, tmp_path)
    with pytest.raises(DataError, match="cannot be written"):
        write_flint(recordings[:1], tmp_path / "absent", trial_s=2)
