"""NWB files of which a part cannot be read: the rest is read, and the part is told, or an error if it is asked for."""

import h5py
import numpy as np
import pytest

from raydistill.errors import DataError
from tests.recordings.conftest import electrical_series
from tests.recordings.nwb_reading import BEHAVIOR, LFP, made, read, session_and_notes


def edited(path, edit):
    with h5py.File(path, "a") as file:
        edit(file)
    return path


def replaced(file, name, values):
    """Other values in a dataset, with its attributes, as no library writes them."""
    attributes = dict(file[name].attrs)
    del file[name]
    file[name] = values
    file[name].attrs.update(attributes)


def remove(*names):
    def edit(file):
        for name in names:
            del file[name]

    return edit


def test_series_without_a_clock_leaves_the_others_alone(make_nwb):
    path = edited(make_nwb(), remove(f"{LFP}/starting_time"))
    session, notes = session_and_notes(path)
    assert session.lfp is None and session.spikes.shape == (3000, 8) and session.behavior.shape == (3000, 2)
    assert notes[1] == f"no LFP: {LFP} cannot be read (either 'timestamps' or 'rate' must be specified)"
    assert session_and_notes(path, "lfp=null")[1][1:] == ()


def test_series_without_a_clock_is_an_error_of_one_line_if_it_is_asked_for(make_nwb):
    path = edited(make_nwb(), remove(f"{LFP}/starting_time"))
    with pytest.raises(DataError) as caught:
        read(path, f"lfp={LFP}")
    expected = f"rec.nwb: {LFP} cannot be read (either 'timestamps' or 'rate' must be specified)"
    assert str(caught.value) == expected


def test_several_unreadable_objects_are_all_left_out(make_nwb):
    path = make_nwb(tweak=lambda nwb: nwb.add_acquisition(electrical_series(nwb, "raw")))
    edited(path, remove(f"{LFP}/starting_time", "acquisition/raw/starting_time", f"{BEHAVIOR}/position/starting_time"))
    session, notes = session_and_notes(path)
    assert session.spikes.shape[1] == 8 and session.lfp is None and session.behavior is None
    text = " ".join(notes)
    assert all(f"{name} cannot be read" in text for name in (LFP, "acquisition/raw", f"{BEHAVIOR}/position"))


def test_data_that_are_missing_are_an_error_unless_left_out(make_nwb):
    path = edited(make_nwb(), remove(f"{LFP}/data"))
    with pytest.raises(
        DataError, match=rf"rec\.nwb: {LFP} has no data: its shape is \(0,\); `lfp: null` leaves it out"
    ):
        read(path)
    assert made(path, "lfp=null").behavior.shape == (3000, 2)


def test_unreadable_electrodes_leave_units_and_behavior(make_nwb):
    path = edited(make_nwb(), remove("general/extracellular_ephys/electrodes/id"))
    session, notes = session_and_notes(path)
    assert session.spikes.sum() == 9600 and session.behavior.shape == (3000, 2)
    assert all(len(note.splitlines()) == 1 and len(note) < 600 for note in notes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((100, 3, 2)), r"(has the shape|cannot be read \(.*incorrect shape).*\(100, 3, 2\)"),
        (np.zeros((0, 3)), r"has no data: its shape is \(0, 3\)"),
        (["a", "b", "c"], "holds text or objects, not real numbers"),
        (np.zeros(100, dtype=[("x", "f8"), ("y", "f8")]), "holds compound values, not real numbers"),
        (np.zeros((100, 3), dtype=complex), "holds complex128 values, not real numbers"),
    ],
    ids=["three dimensions", "empty", "text", "compound", "complex"],
)
@pytest.mark.parametrize(("place", "key"), [(LFP, "lfp"), (f"{BEHAVIOR}/position", "behavior")])
def test_data_that_are_no_matrix_of_numbers_are_an_error_unless_left_out(make_nwb, data, message, place, key):
    path = edited(make_nwb(), lambda file: replaced(file, f"{place}/data", data))
    with pytest.raises(DataError, match=rf"rec\.nwb: {place} {message}"):
        read(path, f"{key}={place}")
    assert made(path, f"{key}=null").spikes.shape == (3000, 8)


def test_lfp_that_lies_the_other_way_round_names_the_setting_and_is_right_with_it(make_nwb):
    data = np.random.default_rng(0).normal(size=(3, 15000))
    path = edited(make_nwb(), lambda file: replaced(file, f"{LFP}/data", data))
    with pytest.raises(DataError, match=r"the other way round: 15000 columns of 3 samples; set `transpose: true`"):
        read(path)
    signal = read(path, "lfp.transpose=true", check=lambda raw: (raw.lfp[0].n_samples, raw.lfp[0].read(100, 105)))
    assert signal[0] == 15000 and np.allclose(signal[1], 1e-6 * data[:, 100:105].T, rtol=1e-5)


def test_behavior_that_lies_the_other_way_round_names_the_setting_and_is_right_with_it(make_nwb):
    data = np.arange(6000.0).reshape(2, 3000)
    path = edited(make_nwb(), lambda file: replaced(file, f"{BEHAVIOR}/position/data", data))
    with pytest.raises(DataError, match="set `transpose: true`"):
        read(path)
    assert np.array_equal(read(path, "behavior.transpose=true").behavior[0].values, data.T)


def test_names_and_units_of_behavior_are_those_of_the_manifest(make_nwb):
    trace = read(make_nwb(), "behavior={names: [a, b], units: [cm, cm]}").behavior[0]
    assert trace.names == ("a", "b") and trace.units == ("cm", "cm")
    with pytest.raises(DataError, match="has 2 columns but 3 names: a, b, c"):
        read(make_nwb(), "behavior.names=[a, b, c]")


def test_scale_of_lfp_is_a_factor_on_its_values(make_nwb):
    first = lambda raw: raw.lfp[0].read(0, 100)  # noqa: E731
    assert np.allclose(read(make_nwb(), "lfp.scale=1e6", check=first), 1e6 * read(make_nwb(), check=first))


def test_linked_data_and_time_stamps_are_those_of_the_other_series(make_nwb):
    from pynwb import TimeSeries

    def tweak(nwb):
        module = nwb.processing["behavior"]
        first = TimeSeries(
            name="first", data=np.arange(100.0), timestamps=2 + np.arange(100) / 50, unit="m", conversion=3.0
        )
        module.add(first)
        module.add(TimeSeries(name="second", data=first, timestamps=first, unit="m"))

    trace = read(make_nwb(tweak=tweak), "behavior=processing/behavior/second").behavior[0]
    assert trace.names == ("second",) and np.array_equal(trace.values[:, 0], 3 * np.arange(100))
    assert np.array_equal(trace.times, 2 + np.arange(100) / 50)


def spoil_a_chunk(path, dataset, chunk):
    """Store a dataset compressed in chunks, and overwrite one of them in the file."""
    with h5py.File(path, "a") as file:
        data, attributes = file[dataset][:], dict(file[dataset].attrs)
        del file[dataset]
        stored = file.create_dataset(dataset, data=data, chunks=(500, *data.shape[1:]), compression="gzip")
        stored.attrs.update(attributes)
    with h5py.File(path) as file:
        place = file[dataset].id.get_chunk_info(chunk)
    with open(path, "r+b") as raw:
        raw.seek(place.byte_offset)
        raw.write(bytes(place.size))


def test_chunk_of_lfp_that_is_damaged_is_an_error_naming_the_samples(make_nwb):
    path = make_nwb()
    spoil_a_chunk(path, f"{LFP}/data", 4)
    with pytest.raises(DataError, match=rf"rec\.nwb: {LFP}: samples \d+ to \d+ cannot be read; the file is damaged"):
        made(path)


def test_chunk_of_spike_times_that_is_damaged_is_an_error_of_one_line(make_nwb):
    path = make_nwb()
    spoil_a_chunk(path, "units/spike_times", 2)
    with pytest.raises(DataError, match=r"rec\.nwb: a dataset cannot be read; the file is damaged \("):
        read(path)
    assert made(path, "spikes=null").lfp.shape == (3000, 3)


def test_file_of_nwb_1_is_an_error_that_says_so(make_nwb):
    path = edited(make_nwb(), lambda file: file.attrs.modify("nwb_version", "1.0.6"))
    with pytest.raises(DataError, match=r"rec\.nwb: cannot be read as NWB 2 \(its nwb_version is 1\.0\.6"):
        read(path)


def test_module_that_pynwb_refuses_is_told_in_a_few_words(make_nwb):
    def link_twice(file):
        file["processing/behavior/Tracking"] = h5py.SoftLink(f"/{BEHAVIOR}")

    (note,) = read(edited(make_nwb(), link_twice)).notes
    assert note.startswith("no behavior: processing/behavior cannot be read (Cannot add Position 'Position' to dict")
    assert "0x" not in note and "<class" not in note and len(note) < 260


@pytest.mark.parametrize("name", ["identifier", "session_start_time", "timestamps_reference_time", "file_create_date"])
def test_file_without_what_every_file_must_have_names_it(make_nwb, name):
    path = make_nwb()
    with h5py.File(path, "r+") as file:
        del file[name]
    with pytest.raises(DataError, match=f"it has no {name}, which every NWB file must have"):
        read(path)
