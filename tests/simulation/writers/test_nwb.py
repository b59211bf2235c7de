import dataclasses

import h5py
import numpy as np
import pytest
from nwbinspector import Importance, inspect_nwbfile
from pynwb import NWBHDF5IO

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.nwb import write_nwb

CONFIG = SyntheticConfig(duration_s=12, min_units=5, max_units=8, min_channels=9, max_channels=12)


@pytest.fixture(scope="module")
def recording():
    return generate_session(CONFIG, 0)


@pytest.fixture(scope="module")
def path(recording, tmp_path_factory):
    return write_nwb(recording, tmp_path_factory.mktemp("nwb") / "S1_01.nwb")


def test_nwb_read_back_equals_the_recording_to_the_last_bit_of_the_amplifier(recording, path):
    with NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        assert (nwb.session_id, nwb.subject.subject_id) == ("S1_01", "S1")
        lfp = nwb.processing["ecephys"]["LFP"]["ElectricalSeries"]
        assert lfp.data.dtype == np.int16 and (lfp.rate, lfp.starting_time) == (500.0, 0.0)
        assert np.abs(lfp.data[:] * lfp.conversion - recording.lfp).max() <= 0.51 * lfp.conversion
        for number, times in enumerate(recording.spike_times):
            assert nwb.units["spike_times"][number] == pytest.approx(times, abs=1 / 30_000)
            assert list(nwb.units["electrodes"][number].index) == [recording.unit_channels[number]]
        position = nwb.processing["behavior"]["Position"]["position"]
        velocity = nwb.processing["behavior"]["BehavioralTimeSeries"]["velocity"]
        assert (position.unit, velocity.unit, velocity.rate) == ("centimeters", "cm/s", 100.0)
        assert np.array_equal(position.data[:], recording.position)
        assert np.array_equal(velocity.data[:], recording.velocity)
        assert np.array_equal(nwb.processing["misc"]["drive"].data[:], recording.drive)


def violations(path):
    found = inspect_nwbfile(nwbfile_path=path)
    return [m for m in found if m.importance.value >= Importance.BEST_PRACTICE_VIOLATION.value]


def test_nwb_file_passes_the_inspector(path):
    assert violations(path) == []


def test_nwb_of_one_array_is_one_group_with_positions(path):
    with NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        assert {name: g.location for name, g in nwb.electrode_groups.items()} == {"M1": "primary motor cortex"}
        electrodes = nwb.electrodes.to_dataframe()
    assert electrodes.x.tolist()[:5] == electrodes.rel_x.tolist()[:5] == [0, 400, 800, 1200, 0]  # 12 on a grid 4 wide
    assert electrodes.y.tolist()[:5] == electrodes.rel_y.tolist()[:5] == [0, 0, 0, 0, 400]
    assert len(electrodes) == 12 and not electrodes.z.any()


def test_nwb_of_two_arrays_has_a_group_and_region_each_and_says_where_every_channel_and_unit_is(tmp_path):
    recording = generate_session(dataclasses.replace(CONFIG, arrays=2), 0)
    channels = recording.channels
    path = write_nwb(recording, tmp_path / "two.nwb")
    assert violations(path) == []
    with NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        regions = {name: group.location for name, group in nwb.electrode_groups.items()}
        series = nwb.processing["ecephys"]["LFP"]["ElectricalSeries"].electrodes[:]
        of_units = [nwb.units["electrodes"][number] for number in range(len(recording.spike_times))]
    assert regions == {"M1": "primary motor cortex", "S1": "primary somatosensory cortex"}
    assert tuple(series.group_name) == channels.array == ("M1",) * 6 + ("S1",) * 6
    assert tuple(series.location) == channels.region
    assert tuple(series.electrode_name) == channels.electrode == ("1", "2", "3", "4", "5", "6") * 2
    for axis in "xyz":
        assert tuple(series[axis]) == getattr(channels, f"{axis}_um")
    assert [rows.group_name.item() for rows in of_units] == list(recording.units.array)
    assert [rows.electrode_name.item() for rows in of_units] == list(recording.units.electrode)
    assert set(recording.units.array) == {"M1", "S1"}


def test_nwb_of_spikes_alone_has_no_series_of_lfp(recording, tmp_path):
    path = write_nwb(dataclasses.replace(recording, lfp=None), tmp_path / "spikes.nwb")
    with NWBHDF5IO(path, "r") as io:
        nwb = io.read()
        assert "ecephys" not in nwb.processing and len(nwb.units) == len(recording.spike_times)


def test_nwb_series_are_chunked_and_compressed(path):
    with h5py.File(path) as file:
        data = file["processing/ecephys/LFP/ElectricalSeries/data"]
        assert (data.compression, data.compression_opts) == ("gzip", 1)
        assert data.chunks == (4096, data.shape[1])


def test_nwb_voltage_beyond_the_amplifier_saturates(recording, tmp_path):
    loud = dataclasses.replace(recording, lfp=recording.lfp * 1e4)
    with NWBHDF5IO(write_nwb(loud, tmp_path / "loud.nwb"), "r") as io:
        data = io.read().processing["ecephys"]["LFP"]["ElectricalSeries"].data[:]
    assert (data.min(), data.max()) == (-(2**15), 2**15 - 1)
    assert np.all(np.sign(data) == np.sign(np.rint(loud.lfp / 0.195e-6)))


def test_nwb_into_a_missing_folder_is_an_error_that_names_the_file(recording, tmp_path):
    with pytest.raises(DataError, match=r"missing/S1_01\.nwb"):
        write_nwb(recording, tmp_path / "missing" / "S1_01.nwb")


def test_nwb_write_that_fails_midway_leaves_nothing(recording, tmp_path):
    broken = dataclasses.replace(recording, unit_channels=recording.unit_channels + 1000)
    with pytest.raises(IndexError):
        write_nwb(broken, tmp_path / "S1_01.nwb")
    assert list(tmp_path.iterdir()) == []


def test_nwb_write_over_an_existing_file_is_refused(recording, tmp_path):
    path = tmp_path / "S1_01.nwb"
    path.write_bytes(b"the only copy")
    with pytest.raises(DataError, match="exists already"):
        write_nwb(recording, path)
    assert path.read_bytes() == b"the only copy" and list(tmp_path.iterdir()) == [path]
