"""A synthetic recording in the layout of Makin's published sessions (spec A1): MATLAB 7.3, and NWB 1.0.6 beside it.

What MATLAB would have written is written: object references into #refs#, its attributes, its header of 512 bytes,
empty cells that hold their own size. k samples, n channels, u rows of units.
"""

import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from raydistill.errors import DataError
from raydistill.files import renamed_when_whole
from raydistill.simulation.simulate import SyntheticRecording

_NAME = re.compile(r"(indy|loco)_\d{8}_\d{2}")
_CURSOR_HZ = 250.0
_BROADBAND_HZ = 24414.0625
_VOLTS_PER_BIT = np.float32(0.01 / 32767)  # the published files' conversion
_MM_PER_CM = 10.0
_ARRAY = 96  # electrodes of one array
_PITCH_M = 400e-6
_WAVEFORM = 48  # samples of one waveform
_MALFORMED = 5  # of so many empty cells, about one is malformed
_CHUNK, _BLOCK = 256, 1 << 15  # broadband samples in one chunk of the file, and held at once
_HEADER = b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Wed Jan  1 00:00:00 2020 HDF5 schema 1.00 ."


def write_makin(
    recording: SyntheticRecording,
    folder,
    name: str,
    *,
    start_s: float = 0.0,
    channels_first: bool = False,
) -> Path:
    """Write `name`.mat and, if there is LFP, `name`.nwb into `folder`; each appears under its name when it is whole.

    Position becomes the cursor in mm at 250 Hz, LFP the broadband at 24414.0625 Hz, both along cubic splines. A new
    target shows when the hand has reached the last. The first unit of a channel becomes its hash unit, the next ones
    its sorted units; those beyond the fourth sorted one join the hash. Waveforms are zeros.

    Args:
        name: such as indy_20160622_01 or loco_20170210_03.
        start_s: time of the recording's start on the clock of the files; published ones run for minutes before.
        channels_first: broadband as (n, k), otherwise (k, n).
    Returns:
        the MATLAB file.
    Raises:
        DataError: a name of another form, or a file that cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise DataError(f'"{name}" is no name of these sessions; indy_YYYYMMDD_NN or loco_YYYYMMDD_NN is needed')
    if recording.lfp is not None:
        with _new_file(Path(folder) / f"{name}.nwb") as file:
            _write_broadband(file, recording, start_s, channels_first)
    path = Path(folder) / f"{name}.mat"
    with _new_file(path, header=_HEADER.ljust(116) + bytes(8) + b"\x00\x02IM") as file:
        _write_kinematics(file, recording, start_s)
        _write_units(file, recording, start_s)
    return path


@contextmanager
def _new_file(path, header=b""):
    """An HDF5 file under another name, which becomes `path` at the end, and nothing if there is an error."""
    import h5py

    with renamed_when_whole(path) as partial:
        with h5py.File(partial, "w", userblock_size=512 if header else 0) as file:
            yield file
        with open(partial, "r+b") as block:
            block.write(header)


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
    _matlab_numbers(file, "t", start_s + seconds[:, None])
    _matlab_numbers(file, "cursor_pos", _MM_PER_CM * position)
    _matlab_numbers(file, "target_pos", _MM_PER_CM * _targets(recording, seconds))
    _matlab_numbers(file, "finger_pos", np.column_stack([np.zeros(k), -position]))  # (z, -x, -y), cm


def _targets(recording, seconds) -> np.ndarray:
    """(k, 2) cm: the next place at which the hand comes to rest."""
    position = recording.position
    moves = np.any(np.diff(position, axis=0) != 0, axis=1)
    stops = np.flatnonzero(moves[:-1] & ~moves[1:]) + 1
    places = np.vstack([position[stops], position[-1:]])
    return places[np.searchsorted(stops / recording.kinematics_rate_hz, seconds, side="right")]


def _write_units(file, recording, start_s):
    n = recording.n_channels
    names = [_matlab_text(file, f"name_{c}", name) for c, name in enumerate(_channel_names(n))]
    _matlab_cell(file, "chan_names", [names])
    trains = [
        [start_s + recording.spike_times[i] for i in np.flatnonzero(recording.unit_channels == c)] for c in range(n)
    ]
    rows = 3 if max(map(len, trains)) <= 3 else 5
    cells = [[_hash(t, rows) for t in trains]]
    cells += [[t[row] if row < len(t) else np.empty(0) for t in trains] for row in range(1, rows)]
    places = [[(row, channel) for channel in range(n)] for row in range(rows)]
    _matlab_cell(file, "spikes", [[_matlab_unit(file, cells[r][c], (r, c)) for r, c in row] for row in places])
    _matlab_cell(file, "wf", [[_matlab_waveforms(file, len(cells[r][c]), (r, c)) for r, c in row] for row in places])


def _channel_names(n):
    return [f"{'M1' if c < _ARRAY else 'S1'} {c % _ARRAY + 1:03d}" for c in range(n)]


def _hash(trains, rows) -> np.ndarray:
    """Spike times of a channel's first unit and of those that the rows do not hold."""
    return np.sort(np.concatenate([np.empty(0), *trains[:1], *trains[rows:]]))


def _matlab_numbers(file, name, values):
    """A matrix that MATLAB shows as `values`."""
    file.create_dataset(name, data=np.ascontiguousarray(values.T)).attrs["MATLAB_class"] = np.bytes_("double")


def _matlab_cell(file, name, references):
    """A cell array, of which h5py sees `references`."""
    import h5py

    cells = file.create_dataset(name, (len(references), len(references[0])), h5py.ref_dtype)
    cells[...] = np.array(references, dtype=h5py.ref_dtype)
    cells.attrs["MATLAB_class"] = np.bytes_("cell")


def _referred(file, name, matlab_class, **dataset):
    """A new dataset that a cell can refer to."""
    new = file.create_dataset(f"#refs#/{name}", **dataset)
    new.attrs["MATLAB_class"] = np.bytes_(matlab_class)
    return new


def _matlab_text(file, name, text):
    new = _referred(file, name, "char", data=np.array([[ord(c)] for c in text], dtype=np.uint16))
    new.attrs["MATLAB_int_decode"] = np.int32(2)
    return new.ref


def _matlab_unit(file, times, place):
    """(m, 1) seconds; without spikes a cell's size, or, as in some published cells, 2 x 2 numbers that mean nothing."""
    name = "spikes_{}_{}".format(*place)
    if len(times):
        return _referred(file, name, "double", data=times[None]).ref
    if sum(place) % _MALFORMED == 0:
        return _referred(file, name, "double", data=np.zeros((2, 2))).ref
    return _empty(file, name)


def _matlab_waveforms(file, m, place):
    """(m, 48) zeros, which take no room, as nothing is written into the dataset."""
    name = "wf_{}_{}".format(*place)
    return _referred(file, name, "double", shape=(_WAVEFORM, m), dtype=np.float64).ref if m else _empty(file, name)


def _empty(file, name):
    new = _referred(file, name, "double", data=np.zeros(2, dtype=np.uint64))
    new.attrs["MATLAB_empty"] = np.uint8(1)
    return new.ref


# The broadband file


def _write_broadband(file, recording, start_s, channels_first):
    spline, k = _on_clock(recording.lfp, recording.lfp_rate_hz, _BROADBAND_HZ)
    n = recording.lfp.shape[1]
    file["nwb_version"] = "NWB-1.0.6"
    file["identifier"] = f"raydistill-synthetic-{recording.session}"
    file["session_description"] = (
        "Simulated planar reaching: the LFP of one array, at the rate of a broadband recorder."
    )
    file["general/extracellular_ephys/electrode_map"] = _electrode_map(n)
    series = file.create_group("acquisition/timeseries/broadband")
    series.attrs.update(_text(neurodata_type="TimeSeries", source="simulation", description="Broadband Data"))
    series.attrs["ancestry"] = np.array(["TimeSeries", "ElectricalSeries"], dtype="S")
    series["electrode_names"] = np.array(_channel_names(n), dtype="S")
    series["num_samples"] = np.int32(k)
    stamps = series.create_dataset("timestamps", (k,), np.float64, chunks=(_CHUNK,), maxshape=(None,))
    stamps.attrs.update({"interval": np.int32(1)} | _text(unit="Seconds"))
    shape, chunks, most = (k, n), (_CHUNK, min(n, 32)), (None, n)
    shape, chunks, most = (axes[::-1] if channels_first else axes for axes in (shape, chunks, most))
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


def _electrode_map(n) -> np.ndarray:
    """(n, 3) metres: a square array."""
    row, column = np.divmod(np.arange(n), int(np.ceil(np.sqrt(n))))
    return _PITCH_M * np.column_stack([column, row, np.zeros(n)])
