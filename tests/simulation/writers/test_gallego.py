"""Gallego's files of two simulated arrays; tests/recordings/test_gallego.py has the others."""

import dataclasses

import numpy as np
import pytest

from raydistill.config.synthetic import SyntheticConfig
from raydistill.recordings.readers.gallego import find, open_raw
from raydistill.recordings.readers.trialdata import trial_data
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.gallego import BANDS, lfp_power, write_gallego
from raydistill.store.channels import channel_table
from tests.recordings.sources import changed

EDGES = np.arange(301) * 0.03  # three trials of 3 s


@pytest.fixture(scope="module")
def recording():
    config = SyntheticConfig(
        duration_s=10, arrays=2, lfp_rate_hz=1000, min_units=7, max_units=7, min_channels=5, max_channels=5
    )
    return generate_session(config, 0)


def rows_of(table, array):
    return np.flatnonzero(np.array(table.array) == array)


def as_in_the_file(table):
    """The simulated electrodes without their places; the files name the region by the array."""
    return channel_table(len(table), electrode=table.electrode, array=table.array, region=table.array)


@pytest.mark.parametrize("band_major", [False, True])
def test_each_array_has_its_own_fields_and_guides_by_electrode(band_major, recording, tmp_path):
    path = write_gallego(recording, tmp_path, monkey="Han", band_major=band_major)
    with trial_data(path) as data:
        for array, name in (("M1", "LeftS1Area2"), ("S1", "S1")):
            channels, units = rows_of(recording.channels, array), rows_of(recording.units, array)
            guide = data.array(f"{name}_lfp_guide", 0)
            numbers = np.arange(1, len(channels) + 1)
            by_column = np.tile(numbers, len(BANDS)) if band_major else np.repeat(numbers, len(BANDS))
            assert guide[:, 0].tolist() == by_column.tolist()
            electrodes = [float(recording.units.electrode[unit]) for unit in units]
            assert data.array(f"{name}_unit_guide", 0)[:, 0].tolist() == electrodes and electrodes


def test_arrays_are_read_apart_and_the_papers_by_default(recording, tmp_path):
    path = write_gallego(recording, tmp_path)
    (entry,) = find(tmp_path)
    power = lfp_power(recording.lfp, 1000, EDGES)  # (n, C, bands)
    counts = np.stack([np.histogram(times, EDGES)[0] for times in recording.spike_times], axis=1)
    for options, arrays in (({}, ["M1"]), ({"arrays": ("S1",)}, ["S1"]), ({"arrays": ("S1", "M1")}, ["S1", "M1"])):
        channels = np.concatenate([rows_of(recording.channels, array) for array in arrays])
        units = np.concatenate([rows_of(recording.units, array) for array in arrays])
        with open_raw(path, changed(entry.source, **options), 30.0) as raw:
            (signal,) = raw.lfp
            assert np.allclose(signal.read(0, 300), power[:, channels].reshape(300, -1), rtol=1e-5, atol=1e-5)
            assert np.array_equal(raw.spikes.values, counts[:, units])
            assert signal.channels == as_in_the_file(recording.channels.rows(channels.tolist()))
            assert raw.spikes.channels == as_in_the_file(recording.units.rows(units.tolist()))
            assert raw.notes == ()


def test_array_without_a_unit_has_no_columns_of_counts(recording, tmp_path):
    on_first = [unit for unit, array in enumerate(recording.units.array) if array == "M1"]
    few = dataclasses.replace(
        recording,
        spike_times=tuple(recording.spike_times[unit] for unit in on_first),
        unit_channels=recording.unit_channels[on_first],
    )
    path = write_gallego(few, tmp_path)
    (entry,) = find(tmp_path)
    with open_raw(path, changed(entry.source, arrays=("M1", "S1")), 30.0) as raw:
        assert raw.spikes.values.shape == (300, len(on_first)) and raw.lfp[0].n_channels == 5 * len(BANDS)
