"""A synthetic recording as a MATLAB 7.3 file of Gallego-Carracedo et al.: counts and LFP power per bin of trials."""

from datetime import date
from pathlib import Path

import numpy as np

from raydistill.errors import DataError
from raydistill.files import renamed_when_whole
from raydistill.recordings.readers.gallego import MONKEYS
from raydistill.simulation.simulate import SyntheticRecording

BANDS = ((0, 0), (0.5, 4), (4, 8), (8, 12), (12, 25), (25, 50), (50, 100), (100, 200), (200, 400))
"""Hz; the local motor potential is coded as 0 to 0."""
_LFP_HZ = 1000
_HEADER = b"MATLAB 7.3 MAT-file, HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM"


def write_gallego(
    recording: SyntheticRecording,
    folder,
    *,
    monkey: str = "Chewie",
    day: date = date(2016, 9, 29),
    trial_s: float = 3.0,
    bin_size: float = 0.03,
    band_major: bool = False,
    day_first: bool = False,
) -> Path:
    """Write a file such as `Chewie_CO_20160929.mat` to `folder`; what does not fill a trial at the end is left out.

    Args:
        recording: LFP at 1000 Hz or more.
        monkey: Chewie, Mihili, Han or Lando; the array is the one that is taken of each.
        trial_s: length of every trial.
        bin_size: 0.03 or 0.01 seconds.
        band_major: columns of LFP power lie band by band, not electrode by electrode.
        day_first: the file's name has the day before the month.
    Raises:
        DataError: LFP too slow for the highest band, no whole trial, or the file cannot be written.
    """
    bins = round(trial_s / bin_size)
    trials = _trials(recording, bins, bin_size, band_major)
    array = MONKEYS[monkey][1]
    fields = {"monkey": monkey, "date": f"{day:%m-%d-%Y}", "task": "CO", "bin_size": bin_size}
    rows = [fields | {name.replace("ARRAY", array): v for name, v in trial.items()} for trial in trials]
    name = f"{monkey}_CO_{day:{'%Y%d%m' if day_first else '%Y%m%d'}}.mat"
    return write_trial_data(rows, Path(folder) / name)


def _trials(recording: SyntheticRecording, bins: int, bin_size: float, band_major: bool) -> list[dict]:
    if recording.lfp_rate_hz < _LFP_HZ:
        raise DataError(
            f"{recording.session}: LFP at {_LFP_HZ} Hz or more is needed for bands up to {BANDS[-1][1]} Hz, but got "
            f"{recording.lfp_rate_hz:g}; simulate with `lfp_rate_hz: {_LFP_HZ}`"
        )
    if recording.kinematics_rate_hz * bin_size < 1 - 1e-6:
        raise DataError(
            f"{recording.session}: kinematics at {1 / bin_size:.4g} Hz or more are needed for a sample in every bin, "
            f"but got {recording.kinematics_rate_hz:g}; simulate with `kinematics_rate_hz: 100`"
        )
    n = int(len(recording.velocity) / recording.kinematics_rate_hz / bin_size + 1e-6) // bins * bins
    if not n:
        raise DataError(f"{recording.session} does not last for one trial of {bins} bins")
    edges = np.arange(n + 1) * bin_size
    counts = np.stack([np.histogram(times, edges)[0] for times in recording.spike_times], axis=1)
    power = lfp_power(recording.lfp, recording.lfp_rate_hz, edges)  # (n, C, bands)
    channels, bands = np.meshgrid(np.arange(power.shape[1]), np.arange(len(BANDS)), indexing="ij")
    columns = (channels.T.ravel(), bands.T.ravel()) if band_major else (channels.ravel(), bands.ravel())
    series = {
        "pos": _averaged(recording.position, recording.kinematics_rate_hz, edges),
        "vel": _averaged(recording.velocity, recording.kinematics_rate_hz, edges),
        "ARRAY_spikes": counts.astype(np.float64),
        "ARRAY_lfp": power[:, *columns],
    }
    fixed = {
        "ARRAY_unit_guide": np.stack([recording.unit_channels + 1, np.ones(len(counts.T))], axis=1),
        "ARRAY_lfp_guide": np.column_stack([columns[0] + 1, np.array(BANDS, dtype=float)[columns[1]]]),
        "result": "R",
        "idx_startTime": 1.0,
        "idx_tgtOnTime": 1.0 + bins // 6,
        "idx_goCueTime": 1.0 + bins // 3,
        "idx_movement_on": np.nan,  # not detected
        "idx_endTime": float(bins),
        "idx_trial_end": float(bins),
    }
    return [
        {"trial_id": i + 1.0, "tgtDir": _direction(series["pos"][a], series["pos"][a + bins - 1])}
        | fixed
        | {name: values[a : a + bins] for name, values in series.items()}
        for i, a in enumerate(range(0, n, bins))
    ]


def _direction(start: np.ndarray, stop: np.ndarray) -> float:
    return float(np.arctan2(*(stop - start)[::-1]))


def _averaged(values: np.ndarray, rate_hz: float, edges: np.ndarray) -> np.ndarray:
    """(n, ...) means over bins; every bin has a sample."""
    first = np.round(edges * rate_hz).astype(int)
    return np.add.reduceat(values[: first[-1]], first[:-1], axis=0) / np.diff(first).reshape(
        -1, *[1] * (values.ndim - 1)
    )


def lfp_power(lfp: np.ndarray, rate_hz: float, edges: np.ndarray) -> np.ndarray:
    """(n, C, 9) of each of `BANDS`: the mean potential in microvolts, and the logarithm of the mean power in a band.

    Args:
        lfp: (L, C) volts.
        edges: (n + 1,) of the bins in seconds.
    """
    from scipy.signal import butter, sosfiltfilt

    microvolts = lfp.astype(np.float64) * 1e6
    features = [_averaged(microvolts, rate_hz, edges)]
    for band in BANDS[1:]:
        filtered = sosfiltfilt(butter(2, band, "bandpass", fs=rate_hz, output="sos"), microvolts, axis=0)
        features.append(np.log(_averaged(filtered**2, rate_hz, edges) + 1e-12))
    return np.stack(features, axis=2)


# MATLAB 7.3


def write_trial_data(rows: list[dict], path: Path) -> Path:
    """Write a struct array `trial_data`, an element a row; until it is whole the file is not there under that name.

    Text, numbers, vectors and matrices are turned as MATLAB turns them; empty ones are written as their shape. A
    struct array of one element holds the values themselves, as MATLAB has it.
    """
    import h5py

    with renamed_when_whole(path) as partial:
        with h5py.File(partial, "w", userblock_size=512) as file:
            group = file.create_group("trial_data")
            group.attrs["MATLAB_class"] = np.bytes_("struct")
            for name in rows[0]:
                if len(rows) == 1:
                    _write(group, name, rows[0][name])
                    continue
                references = group.create_dataset(name, (len(rows), 1), dtype=h5py.ref_dtype)
                for i, row in enumerate(rows):
                    references[i, 0] = _write(file, f"#refs#/{name}_{i}", row[name]).ref
        with open(partial, "r+b") as head:
            head.write(_HEADER)
    return path


def _write(group, name: str, value):
    is_text = isinstance(value, str)
    values = np.array([[ord(c) for c in value]], dtype=np.uint16) if is_text else np.atleast_2d(value)
    if values.size:
        dataset = group.create_dataset(name, data=values.T)
    else:
        dataset = group.create_dataset(name, data=np.array(values.shape, dtype=np.uint64))
        dataset.attrs["MATLAB_empty"] = np.uint8(1)
    dataset.attrs["MATLAB_class"] = np.bytes_("char" if is_text else values.dtype.name.replace("float64", "double"))
    return dataset
