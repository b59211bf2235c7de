"""A synthetic recording as a MATLAB 7.3 file of Gallego-Carracedo et al.: counts and LFP power per bin of trials."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.recordings.files import matlab73
from raydistill.recordings.readers.gallego import LAYOUT, MONKEYS
from raydistill.simulation.simulate import SyntheticRecording, generate, session_names
from raydistill.simulation.writing import LayoutWriter, check_fits

BANDS = ((0, 0), (0.5, 4), (4, 8), (8, 12), (12, 25), (25, 50), (50, 100), (100, 200), (200, 400))
"""Hz; the local motor potential is coded as 0 to 0."""
_LFP_HZ = 1000
_FIRST_DAY = date(2016, 9, 29)


def write_gallego(
    recording: SyntheticRecording,
    folder,
    *,
    monkey: str = "Chewie",
    day: date = _FIRST_DAY,
    trial_s: float = 3.0,
    bin_size: float = 0.03,
    band_major: bool = False,
    day_first: bool = False,
) -> Path:
    """Write a file such as `Chewie_CO_20160929.mat` to `folder`; an incomplete trial at the end is not written.

    Args:
        recording: LFP at 1000 Hz or more.
        monkey: Chewie, Mihili, Han or Lando; the first array gets the name of the one that the reader uses by default,
            the others keep their own.
        trial_s: length of every trial.
        bin_size: 0.03 or 0.01 seconds.
        band_major: order the columns of LFP power by band, not by electrode.
        day_first: the file's name has the day before the month.

    Raises:
        DataError: the LFP is too slow for the highest band, there is no complete trial, or the file cannot be written.
    """
    bins = round(trial_s / bin_size)
    fields = {"monkey": monkey, "date": f"{day:%m-%d-%Y}", "task": "CO", "bin_size": bin_size}
    trials = _trials(recording, bins, bin_size, band_major, MONKEYS[monkey][1])
    rows = [fields | trial for trial in trials]
    name = f"{monkey}_CO_{day:{'%Y%d%m' if day_first else '%Y%m%d'}}.mat"
    path = Path(folder) / name
    with matlab73.new_file(path) as file:
        matlab73.write_struct_array(file, "trial_data", rows)
    return path


def _trials(
    recording: SyntheticRecording, bins: int, bin_size: float, band_major: bool, first_array: str
) -> list[dict]:
    if recording.lfp is None:
        raise DataError(f"{recording.session} has no LFP, which this layout needs")
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
        raise DataError(f"{recording.session} is shorter than one trial of {bins} bins")
    edges = np.arange(n + 1) * bin_size
    power = lfp_power(recording.lfp, recording.lfp_rate_hz, edges)
    signals, guides = _array_fields(recording, power, edges, band_major, first_array)
    series = {
        "pos": _averaged(recording.position, recording.kinematics_rate_hz, edges),
        "vel": _averaged(recording.velocity, recording.kinematics_rate_hz, edges),
    } | signals
    fixed = guides | {
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


def _array_fields(
    recording: SyntheticRecording, power: np.ndarray, edges: np.ndarray, band_major: bool, first_array: str
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Of each array, counts and LFP power of all bins, (n, units) and (n, columns), and the guides to their columns.

    Args:
        power: (n, C, bands) of all channels.
        edges: (n + 1,) edges of the bins in seconds.
    """
    counts = np.stack([np.histogram(times, edges)[0] for times in recording.spike_times], axis=1).astype(np.float64)
    arrays, electrodes = np.array(recording.channels.array), np.array(recording.channels.electrode, dtype=float)
    series: dict[str, np.ndarray] = {}
    guides: dict[str, np.ndarray] = {}
    for number, array in enumerate(dict.fromkeys(recording.channels.array)):
        name = array if number else first_array
        channels = np.flatnonzero(arrays == array)
        units = np.flatnonzero(np.isin(recording.unit_channels, channels))
        rows, bands = np.meshgrid(channels, np.arange(len(BANDS)), indexing="ij")
        columns = (rows.T.ravel(), bands.T.ravel()) if band_major else (rows.ravel(), bands.ravel())
        series |= {f"{name}_spikes": counts[:, units], f"{name}_lfp": power[:, *columns]}
        guides |= {
            f"{name}_unit_guide": np.stack([electrodes[recording.unit_channels[units]], np.ones(len(units))], axis=1),
            f"{name}_lfp_guide": np.column_stack([electrodes[columns[0]], np.array(BANDS, dtype=float)[columns[1]]]),
        }
    return series, guides


def _direction(start: np.ndarray, stop: np.ndarray) -> float:
    return float(np.arctan2(*(stop - start)[::-1]))


def _averaged(values: np.ndarray, rate_hz: float, edges: np.ndarray) -> np.ndarray:
    """(n, ...) means over bins, each of which has at least one sample."""
    edge_rows = np.round(edges * rate_hz).astype(int)
    return np.add.reduceat(values[: edge_rows[-1]], edge_rows[:-1], axis=0) / np.diff(edge_rows).reshape(
        -1, *[1] * (values.ndim - 1)
    )


def lfp_power(lfp: np.ndarray, rate_hz: float, edges: np.ndarray) -> np.ndarray:
    """(n, C, 9) features, one per entry of `BANDS`: the mean potential in microvolts, then the log of the mean power.

    Args:
        lfp: (L, C) volts.
        edges: (n + 1,) edges of the bins in seconds.
    """
    from scipy.signal import butter, sosfiltfilt

    microvolts = lfp.astype(np.float64) * 1e6
    features = [_averaged(microvolts, rate_hz, edges)]
    for band in BANDS[1:]:
        filtered = sosfiltfilt(butter(2, band, "bandpass", fs=rate_hz, output="sos"), microvolts, axis=0)
        features.append(np.log(_averaged(filtered**2, rate_hz, edges) + 1e-12))
    return np.stack(features, axis=2)


def write_sessions(config: SyntheticConfig, folder: Path) -> Iterator[Path]:
    """Write every session of `config`, one monkey per subject, on successive days."""
    subjects = list(dict.fromkeys(subject for _, subject in session_names(config)))
    check_fits(LAYOUT.name, "subjects", len(subjects), len(MONKEYS))
    for number, recording in enumerate(generate(config)):
        monkey = list(MONKEYS)[subjects.index(recording.subject)]
        yield write_gallego(recording, folder, monkey=monkey, day=_FIRST_DAY + timedelta(number))


WRITER = LayoutWriter(
    layout=LAYOUT.name,
    write=write_sessions,
    defaults=("lfp_rate_hz=2000",),  # enough for the highest band
)
