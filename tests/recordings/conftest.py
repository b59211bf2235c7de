"""Small files of every kind that readers take."""

from datetime import UTC, datetime

import h5py
import numpy as np
import pytest


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def spike_trains(rng):
    """Eight units of about 20 Hz over 60 s."""
    return [np.sort(rng.uniform(0, 60, 1200)) for _ in range(8)]


@pytest.fixture
def make_nwb(tmp_path, spike_trains):
    """Writes an NWB file of 60 s: 8 units, LFP of 3 channels at 250 Hz, position at 50 Hz.

    `lfp=False` and `series={}` leave these out; `tweak` gets the file before it is written.
    """

    def make(
        name="rec.nwb",
        *,
        trains=spike_trains,
        quality=None,
        lfp=None,
        series=None,
        epochs=(),
        subject="rat 1",
        tweak=lambda nwb: None,
    ):
        import pynwb
        from pynwb.behavior import Position, SpatialSeries
        from pynwb.file import Subject

        nwb = pynwb.NWBFile(
            session_description="test",
            identifier=name,
            session_start_time=datetime(2020, 1, 1, tzinfo=UTC),
            subject=Subject(subject_id=subject) if subject else None,
        )
        if quality is not None:
            nwb.add_unit_column("quality", "by hand")
        for i, times in enumerate(trains):
            nwb.add_unit(spike_times=times, **({} if quality is None else {"quality": quality[i]}))
        add_electrodes(nwb)
        if lfp is not False:
            _add_lfp(nwb, lfp or {})
        if series is None:
            t = np.arange(3000) / 50
            series = {"position": {"data": np.stack([np.sin(t), np.cos(t)], 1), "rate": 50.0, "starting_time": 0.0}}
        if series:
            position = Position()
            nwb.create_processing_module("behavior", "tracking").add(position)
        for key, values in series.items():
            position.add_spatial_series(SpatialSeries(name=key, unit="meters", reference_frame="box", **values))
        for start, stop, tag in epochs:
            nwb.add_epoch(start, stop, [tag])
        tweak(nwb)
        with pynwb.NWBHDF5IO(tmp_path / name, "w") as io:
            io.write(nwb)
        return tmp_path / name

    return make


def add_electrodes(nwb):
    group = nwb.create_electrode_group("g", "group", "CA1", nwb.create_device("probe"))
    for _ in range(3):
        nwb.add_electrode(location="CA1", group=group)


def _add_lfp(nwb, options):
    from pynwb.ecephys import LFP

    lfp = LFP()
    nwb.create_processing_module("ecephys", "lfp").add(lfp)
    lfp.add_electrical_series(electrical_series(nwb, "ElectricalSeries", **options))


def electrical_series(nwb, name, **options):
    """A series of 3 channels of 60 s at 250 Hz, in 1e-6 V."""
    from pynwb.ecephys import ElectricalSeries

    noise = np.random.default_rng(0).normal(0, 100, (15000, 3)).astype(np.int16)
    given = {"data": noise, "rate": 250.0, "starting_time": 0.0, "conversion": 1e-6} | options
    region = nwb.create_electrode_table_region([0, 1, 2], "all")
    return ElectricalSeries(name=name, electrodes=region, **given)


@pytest.fixture
def binned(rng):
    """Arrays of 600 bins of 100 ms: 6 units, 4 channels, 2 columns of behavior, trials of 30 bins."""
    return {
        "spikes": rng.poisson(1.0, (600, 6)).astype(np.uint8),
        "lfp": rng.normal(size=(600, 4)).astype(np.float32),
        "behavior": rng.normal(size=(600, 2)).astype(np.float32),
        "trial": np.repeat(np.arange(20), 30).astype(np.int32),
    }


@pytest.fixture
def make_h5(tmp_path, binned):
    """Writes the `binned` arrays, some replaced or left out (None)."""

    def make(name="rec.h5", **changed):
        with h5py.File(tmp_path / name, "w") as file:
            for key, values in (binned | changed).items():
                if values is not None:
                    file[key] = values
            if "behavior" in file:
                file["behavior"].attrs["names"] = ["vx", "vy"]
        return tmp_path / name

    return make


@pytest.fixture
def manifest(tmp_path):
    """Writes a manifest and gives its path."""

    def write(text, name="manifest.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
