import dataclasses
import gc
import shutil

import h5py
import numpy as np
import pytest

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.preprocessing.decimation import decimated
from raydistill.recordings.raw import SpikeTrains, Trace
from raydistill.recordings.readers.makin import find, open_raw
from raydistill.simulation.electrodes import electrode_table
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.makin import write_makin
from tests.recordings.sources import changed as changed_source

CONFIG = SyntheticConfig(duration_s=10, min_units=12, max_units=14, min_channels=5, max_channels=5)
START_S = 1288.0
BIT = 0.01 / 32767
SERIES = "acquisition/timeseries/broadband"
NAME = "indy_20160622_01"


@pytest.fixture(scope="module")
def recording():
    """Unit 0 alone on channel 0, five units on channel 1, none on channel 2; LFP of slow sines, known everywhere."""
    made = generate_session(CONFIG, 0)
    channels = np.resize([0, 1, 1, 1, 1, 1, 1, 3, 3, 4, 4, 4], len(made.unit_channels))
    return dataclasses.replace(made, unit_channels=channels, lfp=sines(np.arange(5000) / 500).astype(np.float32))


def sines(seconds):
    """(samples, 5) volts."""
    return 1e-4 * np.sin(2 * np.pi * np.array([1, 3, 7, 12, 20]) * seconds[:, None])


@pytest.fixture(scope="module")
def written(recording, tmp_path_factory):
    return write_makin(recording, tmp_path_factory.mktemp("makin"), NAME, start_s=START_S)


@pytest.fixture
def changed(written, tmp_path):
    """Copies the session, lets a function change the MATLAB file or its companion, and gives the session found."""

    def change(edit, ending=".mat"):
        for suffix in (".mat", ".nwb"):
            shutil.copy(written.with_suffix(suffix), tmp_path)
        with h5py.File(tmp_path / f"{NAME}{ending}", "r+") as file:
            edit(file)
        return find(tmp_path)[0]

    return change


def read(found, **options):
    with open_raw(found.path, changed_source(found.source, **options), 10.0) as raw:
        return raw


def replace(name, values):
    """An edit that puts `values` in the place of a dataset; its attributes stay."""

    def edit(file):
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attributes)

    return edit


def put_cell(row, channel, values):
    def edit(file):
        file["#refs#/other"] = values
        file["spikes"][row, channel] = file["#refs#/other"].ref

    return edit


# Round trip


def test_makin_find_names_sessions_subjects_and_companions(written, tmp_path):
    (tmp_path / "a" / "broadband").mkdir(parents=True)
    shutil.copy(written, tmp_path / "a")
    shutil.copy(written.with_suffix(".nwb"), tmp_path / "a" / "broadband")
    for name in ("loco_20170210_03.mat", "indy_20160622_1.mat", "._indy_20160622_01.mat", "indy_20160627_01.nwb"):
        (tmp_path / name).touch()
    first, second = find(tmp_path)
    assert (first.name, first.path) == ("MonkeyI_20160622_01", tmp_path / "a" / "indy_20160622_01.mat")
    assert first.source.companions == (f"broadband/{NAME}.nwb",)
    assert (second.name, second.source.subject, second.source.companions) == ("MonkeyL_20170210_03", "L", ())
    assert {(f.source.layout, f.source.dataset, f.source.task) for f in (first, second)} == {("makin", "makin", "RT")}
    assert read(first).lfp[0].n_channels == 5


def test_makin_hash_and_sorted_units_come_back_exactly(recording, written):
    raw = read(find(written.parent)[0])
    found = dict(zip(raw.spikes.ids, raw.spikes.times, strict=True))
    expected = {}
    for channel in range(5):
        trains = [START_S + recording.spike_times[i] for i in np.flatnonzero(recording.unit_channels == channel)]
        if trains:
            expected[channel] = np.sort(np.concatenate([trains[0], *trains[5:]]))
        expected |= {(row + 1) * 5 + channel: train for row, train in enumerate(trains[1:5])}
    assert list(found) == sorted(expected)
    assert all(np.array_equal(found[place], expected[place]) for place in expected)
    assert sum(map(len, raw.spikes.times)) == sum(map(len, recording.spike_times))


def test_makin_sorted_units_alone_keep_their_numbers(written):
    found = find(written.parent)[0]
    everything, alone = read(found).spikes, read(found, units="sorted").spikes
    assert alone.ids == tuple(i for i in everything.ids if i >= 5) and len(alone.ids) < len(everything.ids)
    assert np.array_equal(alone.times[0], everything.times[everything.ids.index(alone.ids[0])])


def test_makin_velocity_is_that_of_the_hand_in_mm_per_s(recording, written):
    (trace,) = read(find(written.parent)[0]).behavior
    assert (trace.names, trace.units) == (("velocity_x", "velocity_y"), ("mm/s", "mm/s"))
    assert trace.times[0] == START_S and np.allclose(np.diff(trace.times), 0.004, atol=1e-9)
    seconds = np.arange(len(recording.velocity)) / 100
    expected = np.column_stack([np.interp(trace.times - START_S, seconds, v) for v in 10 * recording.velocity.T])
    error = np.abs(trace.values - expected).max()
    assert error < 0.05 * np.abs(expected).max()  # the recording's own velocity is a difference over 20 ms


def test_makin_window_and_trials_follow_the_targets(recording, written):
    raw = read(find(written.parent)[0])
    with h5py.File(written) as file:
        target, cursor, times = file["target_pos"][()].T, file["cursor_pos"][()].T, file["t"][0]
    starts = raw.trial_intervals[:, 0]
    assert raw.windows == ((starts[0], raw.trial_intervals[-1, 1]),) and len(starts) > 2
    assert np.array_equal(raw.trial_intervals[:-1, 1], starts[1:])
    for start in starts:  # the target that was there until then has been reached
        at = np.searchsorted(times, start)
        assert np.any(target[at] != target[at - 1])
        assert np.allclose(cursor[at], target[at - 1], atol=0.1)


@pytest.mark.parametrize("channels_first", [False, True])
def test_makin_broadband_of_either_orientation_is_read_in_slices_in_volts(recording, tmp_path, channels_first):
    write_makin(recording, tmp_path, NAME, start_s=START_S, channels_first=channels_first)
    found = find(tmp_path)[0]
    with open_raw(found.path, found.source, 10.0) as raw:
        lfp = raw.lfp[0]
        assert (lfp.n_samples, lfp.n_channels, lfp.start_s) == (244092, 5, START_S)
        assert lfp.rate_hz == pytest.approx(24414.0625, rel=1e-9)
        for start in (0, 100_000, lfp.n_samples - 500):
            values = lfp.read(start, start + 500)
            seconds = np.arange(start, start + 500) / 24414.0625
            assert values.shape == (500, 5) and values.dtype == np.float32
            assert np.abs(values - sines(seconds)).max() < 0.51 * BIT + 1e-7
    with h5py.File(found.path.with_suffix(".nwb")) as file:
        assert file[f"{SERIES}/data"].shape == ((5, 244092) if channels_first else (244092, 5))


def test_makin_files_have_the_published_layout(written):
    assert written.read_bytes()[:19] == b"MATLAB 7.3 MAT-file"
    assert written.read_bytes()[124:128] == b"\x00\x02IM" and written.read_bytes()[512:516] == b"\x89HDF"
    with h5py.File(written) as file:
        k = file["t"].shape[1]
        shapes = {name: file[name].shape for name in ("t", "cursor_pos", "target_pos", "finger_pos", "wf")}
        assert shapes == {"t": (1, k), "cursor_pos": (2, k), "target_pos": (2, k), "finger_pos": (3, k), "wf": (5, 5)}
        cells = [[file[ref] for ref in row] for row in file["spikes"][()]]
        assert {c.dtype.str for row in cells for c in row if c.shape == (2,)} == {"<u8"}
        assert any(c.shape == (2, 2) for row in cells for c in row)
        assert all(file[file["wf"][0, c]].shape == (48, cells[0][c].shape[1]) for c in (0, 1, 3, 4))
        assert np.allclose(file["cursor_pos"][()], -10 * file["finger_pos"][1:])
        assert bytes(file[file["chan_names"][0, 1]][()].ravel().astype(np.uint8)) == b"M1 002"
    with h5py.File(written.with_suffix(".nwb")) as file:
        assert file["nwb_version"][()] == b"NWB-1.0.6" and file[SERIES]["electrode_names"][4] == b"M1 005"
        assert file["general/extracellular_ephys/electrode_map"].shape == (5, 3)
        assert file[f"{SERIES}/data"].dtype == np.int16
        assert file[f"{SERIES}/data"].attrs["conversion"] == np.float32(BIT)


def test_makin_two_arrays_without_broadband_are_two_regions(recording, tmp_path):
    wide = dataclasses.replace(recording, channels=electrode_table([98]), lfp=None)
    write_makin(wide, tmp_path, "loco_20170210_03")
    raw = read(find(tmp_path)[0])
    assert (raw.region, raw.lfp) == ("M1, S1", ())
    assert raw.spikes.ids[0] == 0 and raw.spikes.ids[-1] == 4 * 98 + 1  # the fifth unit of channel 1


# Odd cells


@pytest.mark.parametrize("values", [np.zeros(2, np.uint64), np.array([1, 0], np.uint64), np.full((2, 2), 7.5)])
def test_makin_cell_without_a_unit_is_left_out(changed, written, values):
    before = read(find(written.parent)[0]).spikes
    after = read(changed(put_cell(0, 1, values))).spikes
    assert after.ids == tuple(i for i in before.ids if i != 1)


def test_makin_single_spike_is_a_unit(changed):
    spikes = read(changed(put_cell(4, 2, np.array([[START_S + 5.0]])))).spikes
    assert spikes.times[spikes.ids.index(4 * 5 + 2)].tolist() == [START_S + 5.0]


def test_makin_target_change_along_the_antidiagonal_is_one(changed):
    def edit(file):
        k = file["t"].shape[1]
        target = np.zeros((2, k))
        target[:, 500:] = [[3.0], [-3.0]]
        target[:, 1500:] = [[3.0], [9.0]]
        replace("target_pos", target)(file)

    assert read(changed(edit)).windows[0] == pytest.approx((START_S + 2.0, START_S + 6.0))


def test_makin_clock_of_a_jittering_recorder_gives_the_mean_rate(changed, rng):
    def edit(file):
        stamps = file[f"{SERIES}/timestamps"]
        jitter = rng.uniform(-1e-3, 1e-3, len(stamps))
        jitter[[0, -1]] = 0
        stamps[...] += jitter

    assert read(changed(edit, ".nwb")).lfp[0].rate_hz == pytest.approx(24414.0625, rel=1e-9)


# Errors


def late(file):
    file["t"][0, 700:] += 0.5


def early_stamps(file):
    file[f"{SERIES}/timestamps"][100_000:] += 0.25


def no_conversion(file):
    del file[f"{SERIES}/data"].attrs["conversion"]


def no_cursor(file):
    del file["cursor_pos"]


def broken_reference(file):
    file["spikes"][0, 0] = h5py.Reference()


def one_target(file):
    file["target_pos"][...] = 0


@pytest.mark.parametrize(
    ("edit", "ending", "message"),
    [
        (
            no_cursor,
            ".mat",
            r'indy_20160622_01\.mat: there is no "cursor_pos"; known: chan_names, finger_pos, spikes, t,',
        ),
        (late, ".mat", r"t steps from 1290\.7960 to 1291\.3000 s at sample 700"),
        (replace("t", np.zeros((1, 9), "S1")), ".mat", r"t has \|S1 values of the shape \(1, 9\)"),
        (replace("cursor_pos", np.zeros((2, 99))), ".mat", r"cursor_pos has float64 values of the shape \(2, 99\)"),
        (one_target, ".mat", r"target_pos changes 0 times"),
        (replace("spikes", np.zeros((5, 5))), ".mat", r"spikes has float64 values .* a cell array"),
        (broken_reference, ".mat", r"spikes of M1 001, row 0, is damaged"),
        (put_cell(1, 3, np.zeros((3, 4))), ".mat", r"spikes of M1 004, row 1, has float64 .* \(3, 4\)"),
        (put_cell(1, 3, np.array([[1289.0, 1291, 1290]])), ".mat", r"row 1, has spike 2 at 1290\.0000 s after"),
        (put_cell(1, 3, np.array([[1289.0, np.nan]])), ".mat", r"row 1, has spike 1 at nan"),
        (put_cell(1, 3, np.arange(1e5)[None] * 30), ".mat", r"are outside of t, 1288\.000 to 1297\.98"),
        (replace(f"{SERIES}/data", np.zeros((244091, 5), np.int16)), ".nwb", r"\.nwb: .*data has int16 .* 244092 tim"),
        (replace(f"{SERIES}/data", np.zeros((244092, 5), "S1")), ".nwb", r"data has \|S1 values"),
        (early_stamps, ".nwb", r"timestamps: sample \d+ at .* ms off a clock of"),
        (lambda f: replace(f"{SERIES}/timestamps", -f[f"{SERIES}/timestamps"][()])(f), ".nwb", r"must ascend"),
        (no_conversion, ".nwb", r"indy_20160622_01\.nwb: .*data has the conversion \[\]"),
    ],
)
def test_makin_file_of_another_layout_is_an_error_that_names_file_and_field(changed, edit, ending, message):
    with pytest.raises(DataError, match=message) as error:
        read(changed(edit, ending))
    assert str(error.value).startswith(f"{NAME}.mat: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("ending", [".mat", ".nwb"])
def test_makin_truncated_file_is_an_error_that_names_it(changed, ending):
    found = changed(lambda file: None)
    path = found.path.with_suffix(ending)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(
        DataError, match=rf"{NAME}\{ending}: not a readable HDF5 or MATLAB 7.3 file \(.*truncated"
    ) as error:
        read(found)
    assert "\n" not in str(error.value)


def test_makin_damage_met_while_slices_are_read_names_the_companion(changed):
    def guarded(file):
        values = np.full((244092, 5), 12345, np.int16)
        del file[f"{SERIES}/data"]
        data = file.create_dataset(f"{SERIES}/data", data=values, chunks=(4096, 5), fletcher32=True)
        data.attrs["conversion"] = BIT

    found = changed(guarded, ".nwb")
    path = found.path.with_suffix(".nwb")
    content = bytearray(path.read_bytes())
    content[content.rindex(np.full(100, 12345, np.int16).tobytes())] ^= 1
    path.write_bytes(content)
    with open_raw(found.path, found.source, 10.0) as raw:
        raw.lfp[0].read(0, 10)
    damaged = pytest.raises(DataError, match=rf"{NAME}\.nwb: /{SERIES}/data is damaged")
    with damaged, open_raw(found.path, found.source, 10.0) as raw:
        raw.lfp[0].read(240_000, raw.lfp[0].n_samples)


def test_makin_missing_companion_is_an_error(changed):
    found = changed(lambda file: None)
    found.path.with_suffix(".nwb").unlink()
    with pytest.raises(DataError, match=rf"there is no file .*{NAME}\.nwb"):
        read(found)


def test_makin_only_hash_units_have_no_sorted_ones(changed):
    def edit(file):
        for place in np.ndindex(4, 5):
            put = file.create_dataset(f"#refs#/none{place}", data=np.zeros(2, np.uint64))
            file["spikes"][place[0] + 1, place[1]] = put.ref

    with pytest.raises(DataError, match="no cell from row 1 on holds a spike"):
        read(changed(edit), units="sorted")


def test_makin_write_under_another_name_or_into_no_folder_is_an_error(recording, tmp_path):
    with pytest.raises(DataError, match='"S1_01" is not a name'):
        write_makin(recording, tmp_path, "S1_01")
    with pytest.raises(DataError, match=rf"missing/{NAME}\.mat: cannot be written"):
        write_makin(dataclasses.replace(recording, lfp=None), tmp_path / "missing", NAME)
    assert list(tmp_path.iterdir()) == []


def test_spike_times_and_raw_behavior_are_released_before_the_lfp_is_read(written, tmp_path):
    def kept():
        return [one for one in gc.get_objects() if type(one) in (SpikeTrains, Trace)]

    held, of_other_tests = [], kept()
    known = {id(one) for one in of_other_tests}

    def decimate(signal, stage):
        held.append([type(one).__name__ for one in kept() if id(one) not in known])
        return decimated(signal, stage)

    ingest_one(find(written.parent)[0], str(tmp_path), None, decimate=decimate)
    assert held == [[]]
