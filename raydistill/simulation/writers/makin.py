"""A synthetic recording in the layout of Makin's published sessions: a MATLAB 7.3 file, and NWB 1.0.6 for broadband.

k samples, n channels, u rows of units.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.files import renamed_when_whole
from raydistill.recordings.files import matlab73
from raydistill.recordings.readers.makin import LAYOUT, SUBJECTS
from raydistill.simulation.simulate import SyntheticRecording, generate, session_names
from raydistill.simulation.writing import LayoutWriter, check_arrays, check_fits
from raydistill.store.channels import ChannelTable

_NAME = re.compile(rf"({'|'.join(SUBJECTS)})_\d{{8}}_\d{{2}}")
_FIRST_DAY = date(2016, 6, 22)
_CURSOR_HZ = 250.0
_BROADBAND_HZ = 24414.0625
_VOLTS_PER_BIT = np.float32(0.01 / 32767)  # the published files' conversion
_MM_PER_CM = 10.0
_ARRAY_NAMES = ("M1", "S1")  # the published arrays
_ARRAY = 96  # electrodes of one of them
_WAVEFORM = 48  # samples of one waveform
_MALFORMED = 5  # about one in five empty cells is malformed
_CHUNK, _BLOCK = 256, 1 << 15  # broadband samples per chunk of the file, and in memory at a time


def write_makin(
    recording: SyntheticRecording,
    folder,
    name: str,
    *,
    start_s: float = 0.0,
    channels_first: bool = False,
) -> Path:
    """Write `name`.mat and, if there is LFP, `name`.nwb into `folder`; each appears under its name when it is complete.

    Position becomes the cursor in mm at 250 Hz, and LFP the broadband at 24414.0625 Hz, both interpolated with cubic
    splines. A new target appears when the hand has reached the last. The first unit of a channel becomes its hash
    unit, the next ones its sorted units; units after the fourth sorted one join the hash. Waveforms are zeros.

    Channels are named after their array and electrode, such as M1 001. A single array with more than 96 electrodes is
    named as the two published arrays, 96 electrodes each.

    Args:
        recording: of one array or two.
        name: such as indy_20160622_01 or loco_20170210_03.
        start_s: start of the recording on the clock of the files, which starts minutes earlier in published files.
        channels_first: write the broadband as (n, k), not as (k, n).

    Returns:
        the path of the MATLAB file.

    Raises:
        ConfigError: there are more than two arrays.
        DataError: the name has another form, or a file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise DataError(f'"{name}" is not a name of these sessions; indy_YYYYMMDD_NN or loco_YYYYMMDD_NN is needed')
    check_arrays(LAYOUT.name, recording, len(_ARRAY_NAMES))
    if recording.lfp is not None:
        import h5py

        with renamed_when_whole(Path(folder) / f"{name}.nwb") as partial, h5py.File(partial, "w") as file:
            _write_broadband(file, recording, start_s, channels_first)
    path = Path(folder) / f"{name}.mat"
    with matlab73.new_file(path) as file:
        _write_kinematics(file, recording, start_s)
        _write_units(file, recording, start_s)
    return path


def write_sessions(config: SyntheticConfig, folder: Path) -> Iterator[Path]:
    """Write every session of `config`, one monkey per subject, on successive days."""
    subjects = list(dict.fromkeys(subject for _, subject in session_names(config)))
    check_fits(LAYOUT.name, "subjects", len(subjects), len(SUBJECTS))
    for number, recording in enumerate(generate(config)):
        monkey = list(SUBJECTS)[subjects.index(recording.subject)]
        yield write_makin(recording, folder, f"{monkey}_{_FIRST_DAY + timedelta(number):%Y%m%d}_01")


def _on_clock(values, rate_hz, new_rate_hz):
    """The cubic spline through `values`, and the number of samples at `new_rate_hz` from the first to the last."""
    from scipy.interpolate import make_interp_spline

    spline = make_interp_spline(np.arange(len(values)) / rate_hz, values.astype(np.float64), k=3)
    return spline, int((len(values) - 1) / rate_hz * new_rate_hz + 1e-6) + 1


# The MATLAB file


def _write_kinematics(file, recording, start_s):
    spline, k = _on_clock(recording.position, recording.kinematics_rate_hz, _CURSOR_HZ)
    seconds = np.arange(k) / _CURSOR_HZ
    position = spline(seconds)
    matlab73.write_array(file, "t", start_s + seconds[:, None])
    matlab73.write_array(file, "cursor_pos", _MM_PER_CM * position)
    matlab73.write_array(file, "target_pos", _MM_PER_CM * _targets(recording, seconds))
    matlab73.write_array(file, "finger_pos", np.column_stack([np.zeros(k), -position]))  # (z, -x, -y), cm


def _targets(recording, seconds) -> np.ndarray:
    """(k, 2) cm: the next place at which the hand comes to rest."""
    position = recording.position
    moves = np.any(np.diff(position, axis=0) != 0, axis=1)
    stops = np.flatnonzero(moves[:-1] & ~moves[1:]) + 1
    places = np.vstack([position[stops], position[-1:]])
    return places[np.searchsorted(stops / recording.kinematics_rate_hz, seconds, side="right")]


def _write_units(file, recording, start_s):
    n = recording.n_channels
    name_refs = [
        matlab73.write_array(file, matlab73.reference_name(f"name_{c}"), name).ref
        for c, name in enumerate(_channel_names(recording.channels))
    ]
    matlab73.write_cells(file, "chan_names", [name_refs])
    trains = [
        [start_s + recording.spike_times[i] for i in np.flatnonzero(recording.unit_channels == c)] for c in range(n)
    ]
    rows = 3 if max(map(len, trains)) <= 3 else 5
    cells = [[_hash(t, rows) for t in trains]]
    cells += [[t[row] if row < len(t) else np.empty(0) for t in trains] for row in range(1, rows)]
    units = [[_unit_ref(file, cells[r][c], (r, c)) for c in range(n)] for r in range(rows)]
    matlab73.write_cells(file, "spikes", units)
    waveforms = [[_waveforms_ref(file, len(cells[r][c]), (r, c)) for c in range(n)] for r in range(rows)]
    matlab73.write_cells(file, "wf", waveforms)


def _channel_names(channels: ChannelTable) -> list[str]:
    if len(channels.names("array")) == 1:
        return [f"{_ARRAY_NAMES[row >= _ARRAY]} {row % _ARRAY + 1:03d}" for row in range(len(channels))]
    return [f"{array} {int(number):03d}" for array, number in zip(channels.array, channels.electrode, strict=True)]


def _hash(trains, rows) -> np.ndarray:
    """Spike times of a channel's first unit and of the units for which there is no row."""
    return np.sort(np.concatenate([np.empty(0), *trains[:1], *trains[rows:]]))


def _unit_ref(file, times, place):
    """(m, 1) seconds. Without spikes an empty cell or, as in some published cells, a malformed 2 x 2 array."""
    row, channel = place
    name = matlab73.reference_name(f"spikes_{row}_{channel}")
    if len(times):
        return matlab73.write_array(file, name, times[:, None]).ref
    if (row + channel) % _MALFORMED == 0:
        return matlab73.write_array(file, name, np.zeros((2, 2))).ref
    return matlab73.write_array(file, name, np.empty((0, 0))).ref


def _waveforms_ref(file, m, place):
    """(m, 48) zeros."""
    row, channel = place
    name = matlab73.reference_name(f"wf_{row}_{channel}")
    if not m:
        return matlab73.write_array(file, name, np.empty((0, 0))).ref
    return matlab73.write_zeros(file, name, (m, _WAVEFORM)).ref


# The broadband file


def _write_broadband(file, recording, start_s, channels_first):
    spline, k = _on_clock(recording.lfp, recording.lfp_rate_hz, _BROADBAND_HZ)
    n = recording.lfp.shape[1]
    file["nwb_version"] = "NWB-1.0.6"
    file["identifier"] = f"raydistill-synthetic-{recording.session}"
    arrays = "one array" if len(recording.channels.names("array")) == 1 else "two arrays"
    file["session_description"] = (
        f"Simulated planar reaching: the LFP of {arrays}, at the rate of a broadband recorder."
    )
    file["general/extracellular_ephys/electrode_map"] = _electrode_map(recording.channels)
    series = file.create_group("acquisition/timeseries/broadband")
    series.attrs.update(_text(neurodata_type="TimeSeries", source="simulation", description="Broadband Data"))
    series.attrs["ancestry"] = np.array(["TimeSeries", "ElectricalSeries"], dtype="S")
    series["electrode_names"] = np.array(_channel_names(recording.channels), dtype="S")
    series["num_samples"] = np.int32(k)
    stamps = series.create_dataset("timestamps", (k,), np.float64, chunks=(_CHUNK,), maxshape=(None,))
    stamps.attrs.update({"interval": np.int32(1)} | _text(unit="Seconds"))
    order = slice(None, None, -1 if channels_first else 1)
    shape, chunks, most = (k, n)[order], (_CHUNK, min(n, 32))[order], (None, n)[order]
    data = series.create_dataset("data", shape, np.int16, chunks=chunks, maxshape=most)
    data.attrs.update({"conversion": _VOLTS_PER_BIT, "resolution": _VOLTS_PER_BIT} | _text(unit="volt"))
    for a in range(0, k, _BLOCK):
        seconds = np.arange(a, min(a + _BLOCK, k)) / _BROADBAND_HZ
        bits = np.clip(np.rint(spline(seconds) / _VOLTS_PER_BIT), -(2**15), 2**15 - 1).astype(np.int16)  # (samples, n)
        stamps[a : a + len(seconds)] = start_s + seconds
        if channels_first:
            data[:, a : a + len(seconds)] = bits.T
        else:
            data[a : a + len(seconds)] = bits


def _text(**attributes):
    return {name: np.bytes_(text) for name, text in attributes.items()}


def _electrode_map(channels: ChannelTable) -> np.ndarray:
    """(n, 3) metres on the grid of each electrode's array."""
    return np.array([channels.x_um, channels.y_um, channels.z_um], dtype=np.float64).T / 1e6


WRITER = LayoutWriter(layout=LAYOUT.name, write=write_sessions, defaults=(f"subjects={len(SUBJECTS)}",))
