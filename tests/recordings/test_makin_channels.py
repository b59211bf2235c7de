"""Makin's channels: arrays, numbers and places are those of the simulated electrodes; what is odd stays unknown."""

import dataclasses
import re
import shutil

import h5py
import numpy as np
import pytest

from raydistill.config.synthetic import SyntheticConfig
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.readers.makin import find, open_raw
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.makin import write_makin
from tests.recordings.sources import changed as changed_source

CONFIG = SyntheticConfig(duration_s=12, arrays=2, min_units=30, max_units=30, min_channels=7, max_channels=7)
NAME = "loco_20170210_03"
NAMES = "acquisition/timeseries/broadband/electrode_names"
MAP = "general/extracellular_ephys/electrode_map"


@pytest.fixture(scope="module")
def recording():
    return generate_session(CONFIG, 0)


@pytest.fixture(scope="module")
def written(recording, tmp_path_factory):
    return write_makin(recording, tmp_path_factory.mktemp("makin"), NAME)


@pytest.fixture
def changed(written, tmp_path):
    """Copies the session, lets a function change the broadband file, and gives the tables and notes."""

    def change(edit):
        for suffix in (".mat", ".nwb"):
            shutil.copy(written.with_suffix(suffix), tmp_path)
        with h5py.File(tmp_path / f"{NAME}.nwb", "r+") as file:
            edit(file)
        return read(tmp_path)

    return change


def read(folder, **options):
    """Tables of units and LFP, the `Raw`, and its notes."""
    (found,) = find(folder)
    with open_raw(found.path, changed_source(found.source, **options), 10.0) as raw:
        return raw.spikes.channels, raw.lfp[0].channels if raw.lfp else None, raw


def put(name, values):
    def edit(file):
        del file[name]
        file[name] = values

    return edit


def places(table):
    return list(zip(table.x_um, table.y_um, table.z_um, strict=True))


def as_in_the_file(table):
    """The simulated electrodes; the files name the region by the array."""
    return dataclasses.replace(table, region=table.array)


def test_electrodes_come_back_with_array_number_and_place(recording, written):
    _, lfp, raw = read(written.parent)
    assert lfp == as_in_the_file(recording.channels) and raw.notes == ()
    assert lfp.electrode == ("1", "2", "3", "4", "1", "2", "3") and lfp.array == ("M1",) * 4 + ("S1",) * 3
    assert places(lfp)[:3] == [(0.0, 0.0, 0.0), (400.0, 0.0, 0.0), (0.0, 400.0, 0.0)]


@pytest.mark.parametrize("units", ["hash+sorted", "sorted"])
def test_units_are_those_of_their_channel(recording, written, units):
    table, _, raw = read(written.parent, units=units)
    channels = as_in_the_file(recording.channels)
    assert len(table) == len(raw.spikes.times) and min(raw.spikes.ids) >= (7 if units == "sorted" else 0)
    assert table == channels.rows([unit % 7 for unit in raw.spikes.ids])
    for row, times in enumerate(raw.spikes.times):  # a spike of a unit is one of a simulated unit on that electrode
        place = (table.array[row], table.electrode[row])
        trains = [
            recording.spike_times[u]
            for u in range(len(recording.spike_times))
            if (recording.units.array[u], recording.units.electrode[u]) == place
        ]
        assert np.isin(times, np.concatenate(trains)).all()


def test_units_without_broadband_have_an_array_and_no_place(recording, tmp_path):
    write_makin(dataclasses.replace(recording, lfp=None), tmp_path, NAME)
    table, lfp, raw = read(tmp_path)
    assert lfp is None and raw.notes == () and set(table.array) == set(table.region) == {"M1", "S1"}
    assert {*table.x_um, *table.y_um, *table.z_um} == {None}


def test_broadband_of_other_channels_in_another_order_is_matched_by_name(recording, changed):
    """Electrode S1 1 has units but no LFP, and the broadband is in reverse."""
    order = [6, 5, 3, 2, 1, 0]

    def edit(file):
        for name in (NAMES, MAP):
            put(name, file[name][()][order])(file)
        data = file["acquisition/timeseries/broadband/data"]
        values, attributes = data[()][:, order], dict(data.attrs)
        put(data.name, values)(file)
        file["acquisition/timeseries/broadband/data"].attrs.update(attributes)

    table, lfp, raw = changed(edit)
    channels = as_in_the_file(recording.channels)
    assert lfp == channels.rows(order) and raw.notes == ()
    lost = [row for row, unit in enumerate(raw.spikes.ids) if unit % 7 == 4]
    assert lost and all(places(table)[row] == (None,) * 3 and table.array[row] == "S1" for row in lost)
    kept = [row for row in range(len(table)) if row not in lost]
    assert table.rows(kept) == channels.rows([raw.spikes.ids[row] % 7 for row in kept])


def test_transposed_map_gives_the_same_places(recording, changed):
    _, lfp, _ = changed(lambda file: put(MAP, file[MAP][()].T)(file))
    assert lfp == as_in_the_file(recording.channels)


def test_electrode_whose_place_is_nan_has_none_and_the_others_keep_theirs(recording, changed):
    def edit(file):
        file[MAP][3] = np.nan

    _, lfp, _ = changed(edit)
    assert places(lfp) == [(None,) * 3 if i == 3 else p for i, p in enumerate(places(recording.channels))]


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (np.zeros((7, 3)), r"loco_20170210_03\.nwb: .*electrode_map has all electrodes at one place, \[0\.0, 0\.0, 0"),
        (np.arange(21.0).reshape(7, 3) * 400, "electrode_map is 7200 m wide, more than 0.1 m"),
        (np.zeros((6, 3)), r"electrode_map has float64 values of the shape \(6, 3\); needed: \(7, 3\) metres"),
        (np.full((7, 3), b"a"), r"electrode_map has \|S1 values"),
    ],
)
def test_map_that_cannot_be_one_leaves_places_unknown_with_a_note(recording, changed, values, note):
    table, lfp, raw = changed(put(MAP, values))
    assert {*places(table), *places(lfp)} == {(None,) * 3} and lfp.electrode == recording.channels.electrode
    assert len(raw.notes) == 1 and re.search(note, raw.notes[0])
    assert raw.notes[0].endswith("the positions of its electrodes are unknown")


def test_names_that_are_missing_are_those_of_the_matlab_file_if_there_are_as_many(recording, changed):
    def edit(file):
        del file[NAMES]

    _, lfp, raw = changed(edit)
    assert lfp == as_in_the_file(recording.channels) and raw.notes == ()


def test_names_that_repeat_or_are_too_few_are_told(recording, changed):
    twice = np.array([b"M1 001"] * 2 + [b"S1 00%d" % i for i in range(5)])
    _, lfp, raw = changed(put(NAMES, twice))
    assert lfp == as_in_the_file(recording.channels) and "has 'M1 001' twice" in raw.notes[0]
    _, _, raw = changed(put(NAMES, twice[:4]))
    assert r"electrode_names has |S6 values of the shape (4,); needed: 7 names" in raw.notes[0]


def test_names_of_another_form_are_kept_and_give_units_no_place(recording, changed):
    table, lfp, raw = changed(put(NAMES, np.array([b"chan%d" % i for i in range(7)])))
    assert lfp.electrode == tuple(f"chan{i}" for i in range(7)) and set(lfp.array) == {""}
    assert places(lfp) == places(recording.channels) and set(table.x_um) == {None}
    assert raw.notes == ("7 of 7 channels of the broadband, such as 'chan0', are not in chan_names",)


def test_stored_rows_follow_dropped_channels_and_units(recording, written):
    (found,) = find(written.parent)
    with open_raw(found.path, found.source, 10.0) as raw:
        first = raw.spikes.ids[0]
        config = dataclasses.replace(found.config, drop_channels=(0, 5), drop_units=(first,), min_rate_hz=0.001)
        session, _ = to_session(dataclasses.replace(found, config=config), raw, {})
    channels = as_in_the_file(recording.channels)
    assert session.lfp_channels == channels.rows([1, 2, 3, 4, 6])
    assert session.unit_channels == channels.rows([unit % 7 for unit in raw.spikes.ids[1:]])
