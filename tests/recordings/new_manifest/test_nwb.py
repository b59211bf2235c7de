"""Manifests for NWB files."""

import datetime

import h5py
import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.recordings.new_manifest.command import new_manifest
from tests.recordings.new_manifest.filling import behavior, guessed, stored
from tests.recordings.own_nwb import write_nwb

SECONDS = 60


@pytest.fixture
def folder(tmp_path):
    write_nwb(tmp_path / "rec.nwb", SECONDS)
    return tmp_path


def test_series_units_and_trials_are_named_and_choices_offered(folder):
    text = new_manifest([folder / "rec.nwb"], folder)
    session = guessed(folder, "rec.nwb")
    assert session["spikes"] == "units" and session["lfp"] == "acquisition/LFP_probe0"
    assert session["behavior"] == {"values": "processing/behavior/Position/hand"}
    assert session["trials"] == {"table": "trials"} and "subject" not in session
    assert "# unit_filter: {column: quality, keep: [good]}" in text and "quality: 2 good, 1 mua" in text
    assert "# where: {is_good: true}" in text
    assert "30000 x 4 values at 500 Hz, not in a container for LFP, so it must be named" in text


def test_manifest_is_ingested_as_it_is_and_with_its_choices(folder):
    names = ("unit_filter", "where", "derive")

    def choose(text):
        for name in names:
            text = text.replace(f"# {name}:", f"{name}:")
        return text

    entry = stored(folder, ["rec.nwb"]).entry("rec")
    assert (entry.n_units, entry.n_channels, entry.subject) == (3, 4, "m1")
    store = stored(folder, ["rec.nwb"], choose)
    velocity, times = behavior(store, "rec")
    inner = (times > 1) & (times < SECONDS - 1)
    assert store.entry("rec").n_units == 2
    assert velocity[inner] == pytest.approx(np.column_stack([np.cos(times), -np.sin(times)])[inner], abs=0.01)


def test_lfp_of_one_channel_is_stored_without_subtracting_its_own_mean(folder):
    with h5py.File(folder / "rec.nwb", "r+") as file:
        series = file["acquisition/LFP_probe0"]
        lfp, electrode = series["data"][:, 0], series["electrodes"][:1]
        attributes = {name: dict(series[name].attrs) for name in ("data", "electrodes")}
        for name, values in (("data", lfp), ("electrodes", electrode)):
            del series[name]
            series[name] = values
            series[name].attrs.update(attributes[name])
    assert guessed(folder, "rec.nwb")["ingest"] == {"filters": {"common_average": False}}
    assert stored(folder, ["rec.nwb"]).entry("rec").n_channels == 1


def test_broken_link_and_series_without_clock_are_told(folder):
    with h5py.File(folder / "rec.nwb", "r+") as file:
        file["acquisition/moved"] = h5py.ExternalLink("gone.nwb", "lfp")
        del file["acquisition/LFP_probe0/starting_time"]
    text = new_manifest([folder / "rec.nwb"], folder)
    assert "lfp" not in guessed(folder, "rec.nwb")
    assert "#   acquisition/moved: cannot be opened, a link to gone.nwb" in text
    assert "#   acquisition/LFP_probe0: ElectricalSeries, with neither a rate nor time stamps" in text


def test_raw_voltage_is_not_taken_as_lfp_without_asking(folder):
    with h5py.File(folder / "rec.nwb", "r+") as file:
        file["acquisition/LFP_probe0/starting_time"].attrs["rate"] = 30000.0
        file.move("acquisition/LFP_probe0", "acquisition/probe0")
    assert guessed(folder, "rec.nwb")["lfp"] is None
    assert "# QUESTION: is acquisition/probe0 to be used as LFP" in new_manifest([folder / "rec.nwb"], folder)


def test_nwb_file_of_version_1_is_refused(tmp_path):
    with h5py.File(tmp_path / "old.nwb", "w") as file:
        file.attrs["nwb_version"] = "NWB-1.0.6"
    with pytest.raises(DataError, match=r"old.nwb: not NWB 2, as its nwb_version is NWB-1.0.6"):
        new_manifest([tmp_path / "old.nwb"], tmp_path)


def test_file_without_signals_is_an_error_that_says_what_it_holds(tmp_path):
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.image import ImageSeries

    nwb = NWBFile("s", "i", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
    images = ImageSeries(name="video", data=np.ones((3, 4, 4)), unit="a.u.", rate=1.0)
    nwb.add_acquisition(images)
    with NWBHDF5IO(str(tmp_path / "a.nwb"), "w") as io:
        io.write(nwb)
    with pytest.raises(DataError, match=r"a.nwb: holds no spikes, LFP or behavior, only acquisition/video: ImageSer"):
        new_manifest([tmp_path / "a.nwb"], tmp_path)
