"""Makin's files of two simulated arrays; tests/recordings/test_makin.py has the others."""

import h5py
import numpy as np

from raydistill.config.synthetic import SyntheticConfig
from raydistill.recordings.readers.makin import find, open_raw
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.makin import write_makin


def test_two_arrays_give_channel_names_with_their_prefixes_and_a_map_on_each_grid(tmp_path):
    config = SyntheticConfig(duration_s=10, arrays=2, min_units=12, max_units=12, min_channels=5, max_channels=5)
    write_makin(generate_session(config, 0), tmp_path, "loco_20170210_03")
    with h5py.File(tmp_path / "loco_20170210_03.mat") as file:
        names = ["".join(map(chr, file[reference][()].ravel())) for reference in file["chan_names"][0]]
    assert names == ["M1 001", "M1 002", "M1 003", "S1 001", "S1 002"]
    with h5py.File(tmp_path / "loco_20170210_03.nwb") as file:
        assert file["acquisition/timeseries/broadband/electrode_names"][()].astype(str).tolist() == names
        metres = file["general/extracellular_ephys/electrode_map"][()]
    expected = [[0, 0, 0], [400e-6, 0, 0], [0, 400e-6, 0], [0, 0, 0], [400e-6, 0, 0]]
    assert np.allclose(metres, expected, rtol=1e-12, atol=0)
    (entry,) = find(tmp_path)
    with open_raw(entry.path, entry.source, 10.0) as raw:
        assert raw.region == "M1, S1"
