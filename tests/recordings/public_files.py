"""Small files laid out like public recordings that cannot be shipped: same names of objects, same kinds of values."""

import pickle
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

RNG_SEED = 5
SPEED = 0.3
"""Speed of the animals of DANDI 000582 and 000044 in the unit of their position per second."""


def write_sargolini(path: Path, *, seconds=120.0, units=3) -> Path:
    """Like a session of DANDI 000582: 3 units, one EEG channel at 4800 and at 250 Hz, two LEDs at 50 Hz.

    The rat runs on a circle at SPEED; the LFP is 1e-4 sin(2 pi 8 t) volts.
    """
    from pynwb.behavior import Position, SpatialSeries
    from pynwb.ecephys import LFP, ElectricalSeries

    rng = np.random.default_rng(RNG_SEED)
    nwb = _nwb("10073", session_id="17010302")
    region = _electrodes(nwb, 1, "MEC LII")
    raw = np.zeros((4800, 1), dtype=np.int16)
    nwb.add_acquisition(ElectricalSeries(name="ElectricalSeries", data=raw, electrodes=region, rate=4800.0))
    theta = 1e-4 * np.sin(2 * np.pi * 8 * np.arange(round(250 * seconds)) / 250)
    container = LFP()
    container.add_electrical_series(
        ElectricalSeries(name="ElectricalSeriesLFP", data=theta[:, None], electrodes=_region(nwb, 1), rate=250.0)
    )
    nwb.create_processing_module("ecephys", "Processed electrical series data.").add(container)
    t = np.arange(round(50 * seconds)) / 50
    circle = 0.5 * np.column_stack([np.cos(SPEED * t / 0.5), np.sin(SPEED * t / 0.5)])
    position = Position()
    for name, places in (("SpatialSeriesLED1", circle), ("SpatialSeriesLED2", circle + 0.1)):
        series = SpatialSeries(name=name, data=places, timestamps=t, reference_frame="corner of the box")
        position.add_spatial_series(series)
    nwb.create_processing_module("behavior", "Processed behavioral data.").add(position)
    for column in ("depth", "hemisphere", "histology", "unit_name"):
        nwb.add_unit_column(column, "as published")
    for unit in range(units):
        times = np.sort(rng.uniform(0, seconds, round(4 * seconds)))
        nwb.add_unit(spike_times=times, depth=0.002, hemisphere="left", histology="MEC LII", unit_name=f"t1c{unit}")
    return _write(nwb, path)


def write_jacobsen(path: Path, *, seconds=120.0, units=1) -> Path:
    """Like a session of DANDI 000230: one unit, 4 LFP channels at 250 Hz in a container whose name has spaces, and
    position, head direction and two speeds at 50 Hz. The mouse runs at 0.1 + 0.05 sin(t / 5) m/s."""
    from pynwb import TimeSeries
    from pynwb.behavior import BehavioralTimeSeries, CompassDirection, Position, SpatialSeries
    from pynwb.ecephys import LFP, ElectricalSeries

    rng = np.random.default_rng(RNG_SEED)
    nwb = _nwb("70375")
    _electrodes(nwb, 16, "MEC")
    n = round(250 * seconds)
    container = LFP(name="probe_0 - LFP")
    lfp = rng.normal(0, 1e-4, (n, 4)).astype(np.float32)
    container.add_electrical_series(ElectricalSeries(name="LFP", data=lfp, electrodes=_region(nwb, 4), rate=250.0))
    nwb.create_processing_module("ecephys", "preprocessed data").add(container)
    t = np.arange(round(50 * seconds)) / 50
    module = nwb.create_processing_module("behavior", "Behavioural data of the animal")
    where = SpatialSeries(
        name="animal_position", data=rng.normal(size=(len(t), 2)), timestamps=t, reference_frame="box"
    )
    module.add(Position(name="position", spatial_series=where))
    heading = SpatialSeries(
        name="head_direction", data=np.mod(t, 6.28), timestamps=t, unit="radians", reference_frame=""
    )
    module.add(CompassDirection(name="direction", spatial_series=heading))
    speeds = [
        TimeSeries(name="head_yaw_speed", data=rng.normal(size=len(t)), timestamps=t, unit="radians/s"),
        TimeSeries(name="movement_speed", data=0.1 + 0.05 * np.sin(t / 5), timestamps=t, unit="m/s"),
    ]
    module.add(BehavioralTimeSeries(name="speed", time_series=speeds))
    nwb.add_unit_column("cluster_quality", "unit quality from clustering")
    for _ in range(units):
        nwb.add_unit(spike_times=np.sort(rng.uniform(0, seconds, round(3 * seconds))), cluster_quality="good")
    return _write(nwb, path)


def write_grosmark(path: Path, *, seconds=100.0) -> Path:
    """Like a session of DANDI 000044: rest, maze and rest, 5 units and 4 LFP channels throughout, and a position in the
    maze whose `rate` is the step between samples in seconds, 0.0256, instead of samples per second."""
    from pynwb.behavior import Position, SpatialSeries
    from pynwb.ecephys import LFP, ElectricalSeries

    rng = np.random.default_rng(RNG_SEED)
    nwb = _nwb("Achilles")
    _electrodes(nwb, 4, "CA1")
    container = LFP()
    lfp = rng.normal(size=(round(1250 * seconds), 4)).astype(np.float32)
    container.add_electrical_series(ElectricalSeries(name="LFP", data=lfp, electrodes=_region(nwb, 4), rate=1250.0))
    nwb.create_processing_module("ecephys", "Intermediate data").add(container)
    start, stop = seconds / 4, 3 * seconds / 4
    place = SPEED * np.arange(round((stop - start) / 0.0256)) * 0.0256
    series = SpatialSeries(
        name="1.6mLinearMazeLinearizedTimeSeries",
        data=place[:, None],
        rate=0.0256,
        starting_time=start,
        reference_frame="edge of the reward area",
    )
    behavior = nwb.create_processing_module("behavior", "Contains behavioral data.")
    behavior.add(Position(name="1.6mLinearMazeLinearizedPosition", spatial_series=series))
    nwb.add_epoch_column("label", "Name of epoch.")
    for label, begin, end in (("PREEpoch", 0.0, start), ("MazeEpoch", start, stop), ("POSTEpoch", stop, seconds)):
        nwb.add_epoch(start_time=begin, stop_time=end, label=label)
    for _ in range(5):
        nwb.add_unit(spike_times=np.sort(rng.uniform(0, seconds, round(5 * seconds))))
    return _write(nwb, path)


def steinmetz_session(mouse, date, *, trials=24, units=4, areas=3) -> tuple[dict, dict]:
    """What Neuromatch Academy's files hold of one session, in the part and in the file of LFP.

    In trial k the wheel turns by (k mod 5) - 2 steps in every bin; LFP of area a is 100 a + k in every bin.
    """
    rng = np.random.default_rng(RNG_SEED)
    k, bins = np.arange(trials), 250
    session = {
        "mouse_name": mouse,
        "date_exp": date,
        "spks": rng.poisson(0.3, (units, trials, bins)).astype(np.int8),
        "wheel": np.broadcast_to(((k % 5) - 2)[None, :, None], (1, trials, bins)).astype(np.int8),
        "brain_area": np.array(["VISp", "CA1", "MOs", "TH"][:units]),
        "response": rng.integers(-1, 2, trials).astype(np.float64),
        "bin_size": 0.01,
        "stim_onset": 0.5,
    }
    lfp = np.broadcast_to(100.0 * np.arange(areas)[:, None, None] + k[None, :, None], (areas, trials, bins)).copy()
    field = {"lfp": lfp, "lfp_passive": lfp[:, :2], "brain_area_lfp": np.array(["VISp", "CA1", "TH"][:areas])}
    return session, field


def write_pickled(path: Path, items: list) -> Path:
    """An NPZ file as numpy writes it, with an object array `dat` of these items."""
    dat = np.empty(len(items), dtype=object)
    dat[:] = items
    np.savez_compressed(path, dat=dat)
    return path


def write_pickle_that_calls(path: Path, function, argument) -> Path:
    """An NPZ file whose `dat` would call function(argument) if it were unpickled."""

    class Calls:
        def __reduce__(self):
            return function, (argument,)

    with zipfile.ZipFile(path, "w") as archive, archive.open("dat.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        member.write(pickle.dumps(Calls()))
    return path


def _nwb(subject: str, **options):
    from pynwb import NWBFile
    from pynwb.file import Subject

    return NWBFile(
        session_description="laid out like a public recording",
        identifier=f"{subject} of a test",
        session_start_time=datetime(2013, 10, 25, tzinfo=UTC),
        subject=Subject(subject_id=subject, species="Rattus norvegicus"),
        **options,
    )


def _electrodes(nwb, number: int, location: str):
    group = nwb.create_electrode_group("ElectrodeGroup", "tetrodes", location, nwb.create_device("EEG"))
    for _ in range(number):
        nwb.add_electrode(location=location, group=group)
    return _region(nwb, number)


def _region(nwb, number: int):
    return nwb.create_electrode_table_region(list(range(number)), "all electrodes")


def _write(nwb, path: Path) -> Path:
    from pynwb import NWBHDF5IO

    path.parent.mkdir(parents=True, exist_ok=True)
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path
