"""A synthetic recording as an NWB 2 file, laid out as on DANDI: units, LFP, position and velocity."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from raydistill.config.manifest import Behavior, Label, Trials
from raydistill.config.synthetic import SyntheticConfig
from raydistill.files import renamed_when_whole
from raydistill.recordings.readers.nwb import LAYOUT, NwbOptions
from raydistill.recordings.recording import RecordingSource
from raydistill.simulation.simulate import SyntheticRecording, generate
from raydistill.simulation.writing import LayoutWriter
from raydistill.store.channels import ChannelTable

SOURCE = RecordingSource(
    layout=LAYOUT.name,
    options=NwbOptions(
        behavior=(Behavior(values="processing/behavior/BehavioralTimeSeries/velocity"),),
        trials=Trials(table="trials"),
        labels={
            "direction": Label(values="trials/direction"),
            "movement": Label(values="trials", inside="moving", outside="still"),
        },
    ),
    dataset="synthetic",
)
"""How the files are read: spikes, LFP, velocity, the reaches as trials, and two labels."""

_VOLTS_PER_BIT = 0.195e-6  # of a common amplifier, which saturates at +-6.4 mV
_CLOCK_HZ = 30_000  # sampling rate of spike times
_CHUNK = 4096  # samples per compressed block


def write_nwb(recording: SyntheticRecording, path) -> Path:
    """Write `recording` to `path`; the file appears under its name when it is complete.

    Each array is an electrode group, whose location is its region; electrodes have a name and a position in
    micrometres. Units have spike_times (s), electrodes and quality. LFP is in processing/ecephys/LFP as int16 with its
    conversion to volts, position (cm) in processing/behavior/Position, velocity (cm/s) in
    processing/behavior/BehavioralTimeSeries, the reaches and their directions in the table of trials, and the latent
    drive in the module `misc`.

    Raises:
        DataError: the file cannot be written.
    """
    import h5py
    from pynwb import NWBHDF5IO

    path = Path(path)
    with renamed_when_whole(path) as partial, h5py.File(partial, "w") as file, NWBHDF5IO(file=file, mode="w") as io:
        io.write(_nwb_file(recording))
    return path


def write_sessions(config: SyntheticConfig, folder: Path) -> Iterator[Path]:
    """Write every session of `config`, one file each."""
    for recording in generate(config):
        yield write_nwb(recording, folder / f"{recording.session}.nwb")


def _nwb_file(recording):
    from pynwb import NWBFile
    from pynwb.file import Subject

    arrays = dict.fromkeys(recording.channels.array)
    nwb = NWBFile(
        session_description=f"Simulated planar reaching with unit spike times and LFP; arrays: {', '.join(arrays)}.",
        identifier=f"raydistill-synthetic-{recording.session}",
        session_id=recording.session,
        session_start_time=datetime(2020, 1, 1, tzinfo=UTC),
        experiment_description="A simulation: every signal was generated from known latents.",
        experimenter=["Simulation, Raydistill"],
        institution="none (simulation)",
        keywords=["simulation", "reaching", "motor cortex", "LFP"],
        subject=Subject(
            subject_id=recording.subject,
            species="Macaca mulatta",
            sex="U",
            age="P8Y",
            description="A simulated subject; species and age are those that the simulation is modelled on.",
        ),
    )
    _add_electrodes(nwb, recording.channels)
    _add_units(nwb, recording)
    if recording.lfp is not None:
        _add_lfp(nwb, recording)
    _add_behavior(nwb, recording)
    _add_reaches(nwb, recording)
    return nwb


def _add_electrodes(nwb, channels: ChannelTable):
    regions = dict(zip(channels.array, channels.region, strict=True))
    groups = {}
    for array, region in regions.items():
        device = nwb.create_device(name=f"array {array}", description="Simulated square microelectrode array.")
        groups[array] = nwb.create_electrode_group(
            name=array, description="The array's electrodes.", location=region, device=device
        )
    # Tools for probes read rel_x and rel_y, others x, y and z. Here all are on the grid of the array.
    nwb.add_electrode_column(name="electrode_name", description="Number of the electrode on its array.")
    for row, array in enumerate(channels.array):
        x, y, z = channels.x_um[row], channels.y_um[row], channels.z_um[row]
        nwb.add_electrode(
            x=x,
            y=y,
            z=z,
            rel_x=x,
            rel_y=y,
            location=regions[array],
            group=groups[array],
            electrode_name=channels.electrode[row],
        )


def _add_units(nwb, recording):
    from pynwb.misc import Units

    nwb.units = Units(
        name="units", description="Simulated units.", electrode_table=nwb.electrodes, resolution=1 / _CLOCK_HZ
    )
    nwb.add_unit_column(name="quality", description="Quality of the sorting: every simulated unit is well isolated.")
    for times, channel in zip(recording.spike_times, recording.unit_channels, strict=True):
        ticks = np.round(times * _CLOCK_HZ)
        nwb.add_unit(spike_times=ticks / _CLOCK_HZ, electrodes=[int(channel)], quality="good")


def _add_lfp(nwb, recording):
    from pynwb.ecephys import LFP, ElectricalSeries

    counts = np.clip(np.rint(recording.lfp / _VOLTS_PER_BIT), -(2**15), 2**15 - 1).astype(np.int16)
    channels = recording.lfp.shape[1]
    series = ElectricalSeries(
        name="ElectricalSeries",
        description="LFP as an amplifier would record it: neither filtered nor re-referenced.",
        data=_compressed(counts),
        electrodes=nwb.create_electrode_table_region(list(range(channels)), "all electrodes"),
        rate=float(recording.lfp_rate_hz),
        starting_time=0.0,
        conversion=_VOLTS_PER_BIT,
    )
    lfp = LFP()
    nwb.create_processing_module("ecephys", "Field potentials.").add(lfp)
    lfp.add_electrical_series(series)


def _add_behavior(nwb, recording):
    from pynwb import TimeSeries
    from pynwb.behavior import BehavioralTimeSeries, Position, SpatialSeries

    clock = {"rate": float(recording.kinematics_rate_hz), "starting_time": 0.0}
    position = SpatialSeries(
        name="position",
        description="Hand position, x and y.",
        data=_compressed(recording.position),
        unit="centimeters",
        reference_frame="The origin is the centre of the workspace; x to the right, y away from the subject.",
        **clock,
    )
    velocity = TimeSeries(
        name="velocity",
        description="Hand velocity, x and y.",
        data=_compressed(recording.velocity),
        unit="cm/s",
        **clock,
    )
    drive = TimeSeries(
        name="drive",
        description="The latent drive of each local population, as z-scores, which cannot be recorded.",
        data=_compressed(recording.drive),
        unit="a.u.",
        **clock,
    )
    behavior = nwb.create_processing_module("behavior", "The hand.")
    behavior.add(Position(spatial_series=position))
    behavior.add(BehavioralTimeSeries(time_series=velocity))
    nwb.create_processing_module("misc", "The latents of the simulation.").add(drive)


def _add_reaches(nwb, recording):
    nwb.add_trial_column(name="direction", description="Where the reach goes: right, up, left or down.")
    for (start_s, stop_s), direction in zip(recording.reaches, recording.directions, strict=True):
        nwb.add_trial(start_time=float(start_s), stop_time=float(stop_s), direction=str(direction))


def _compressed(data):
    from hdmf.backends.hdf5.h5_utils import H5DataIO

    chunks = (min(_CHUNK, len(data)), data.shape[1])
    return H5DataIO(data, compression="gzip", compression_opts=1, shuffle=True, chunks=chunks)


WRITER = LayoutWriter(layout=LAYOUT.name, write=write_sessions)
