"""Synthetic recordings as the MATLAB 5 files of Flint et al. (2012): struct arrays of sessions, trials and units."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.files import renamed_when_whole
from raydistill.recordings.readers.flint import LAYOUT, SESSIONS
from raydistill.recordings.readers.flint_trials import LFP_HZ, RATE_HZ
from raydistill.simulation.simulate import SyntheticRecording, generate_session, session_names
from raydistill.simulation.writing import LayoutWriter, check_arrays, check_fits

# Without the time of writing, so that the same data give the same bytes.
_HEADER = b"MATLAB 5.0 MAT-file Platform: posix".ljust(116)
_LFP_EXTRA = (-3, 0, 2)  # samples by which the LFP of successive trials deviates from 20 per sample of `Time`


def write_flint(
    recordings: Sequence[SyntheticRecording], folder, *, trial_s: float = 20.0, gap_s: float = 1.0
) -> list[Path]:
    """Write up to 12 recordings to the files `Flint_2012_e1.mat` to `_e5.mat`, which hold 1, 2, 4, 3 and 2 sessions.

    Args:
        recordings: of one array each, LFP at 2000 Hz, kinematics at 100 Hz. Channel c becomes the LFP of entry c of
            `Neuron`.
        trial_s: length of each trial; an incomplete trial at the end is not written.
        gap_s: time left out before the first trial and between trials; 0: there are no gaps.

    Raises:
        ConfigError: a recording has several arrays.
        DataError: too many recordings, other rates, none that holds a trial, or the folder cannot be written to.
    """
    if not 1 <= len(recordings) <= sum(SESSIONS.values()):
        raise DataError(f"1 to {sum(SESSIONS.values())} recordings can be written, but got {len(recordings)}")
    rest, paths = list(recordings), []
    for experiment, count in SESSIONS.items():
        in_file, rest = rest[:count], rest[count:]
        if in_file:
            paths.append(write_flint_file(in_file, folder, experiment, trial_s=trial_s, gap_s=gap_s))
    return paths


def write_flint_file(
    recordings: Sequence[SyntheticRecording], folder, experiment: str, *, trial_s: float = 20.0, gap_s: float = 1.0
) -> Path:
    """Write one of the files, such as `Flint_2012_e2.mat`; see `write_flint` for arguments and errors."""
    from scipy.io import savemat

    path = Path(folder) / f"Flint_2012_{experiment}.mat"
    subjects = _structs([{"Trial": _trials(r, trial_s, gap_s)} for r in recordings])
    with renamed_when_whole(path) as partial:
        savemat(partial, {"Subject": subjects}, appendmat=False)
        with open(partial, "r+b") as file:
            file.write(_HEADER)
    return path


def write_sessions(config: SyntheticConfig, folder: Path) -> Iterator[Path]:
    """Write every session of `config`, all as sessions of monkey C; memory holds the recordings of one file."""
    numbers = list(range(len(session_names(config))))
    check_fits(LAYOUT.name, "sessions", len(numbers), sum(SESSIONS.values()))
    for experiment, count in SESSIONS.items():
        in_file, numbers = numbers[:count], numbers[count:]
        if in_file:
            yield write_flint_file([generate_session(config, number) for number in in_file], folder, experiment)


def _structs(rows: list[dict]) -> np.ndarray:
    """(n, 1) struct array, as MATLAB has it."""
    out = np.empty((len(rows), 1), dtype=[(name, object) for name in rows[0]])
    for i, row in enumerate(rows):
        for name, value in row.items():
            out[name][i, 0] = value
    return out


def _trials(recording: SyntheticRecording, trial_s: float, gap_s: float) -> np.ndarray:
    check_arrays(LAYOUT.name, recording, 1)
    if (recording.lfp_rate_hz, recording.kinematics_rate_hz) != (LFP_HZ, RATE_HZ):
        raise DataError(
            f"{recording.session}: LFP at {LFP_HZ} Hz and kinematics at {RATE_HZ} Hz are needed, but got "
            f"{recording.lfp_rate_hz:g} and {recording.kinematics_rate_hz:g}; simulate with `lfp_rate_hz: {LFP_HZ}` "
            f"and `kinematics_rate_hz: {RATE_HZ}`"
        )
    length, gap = round(trial_s * RATE_HZ), round(gap_s * RATE_HZ)
    starts = range(gap, len(recording.velocity) - length + 1, length + gap)
    if not starts:
        raise DataError(f"{recording.session} is shorter than one trial of {trial_s:g} s")
    return _structs([_trial(recording, a, a + length, i) for i, a in enumerate(starts)])


def _trial(recording: SyntheticRecording, a: int, b: int, number: int) -> dict:
    """Samples [a, b) of the kinematics, with the spikes and LFP of that time."""
    target = np.tile(recording.position[b - 1], (b - a, 1))
    target[: (b - a) // 4] = np.nan  # no target is shown before the reach
    if recording.lfp is None:
        raise DataError(f"{recording.session} has no LFP, which this layout needs")
    per_step = LFP_HZ // RATE_HZ
    lfp = recording.lfp[a * per_step : b * per_step + _LFP_EXTRA[number % len(_LFP_EXTRA)]].astype(np.float64)
    n_units, n_channels = len(recording.spike_times), lfp.shape[1]
    nothing = np.empty((0, 0))
    neurons = [{"Spike": nothing, "LFP": nothing} for _ in range(max(n_units, n_channels))]
    for neuron, times in zip(neurons, recording.spike_times, strict=False):
        inside = times[(times >= a / RATE_HZ) & (times < b / RATE_HZ)]
        neuron["Spike"] = inside[:, None] if len(inside) else nothing
    for neuron, samples in zip(neurons, lfp.T, strict=False):
        neuron["LFP"] = samples[:, None]
    return {
        "Time": np.arange(a, b)[:, None] / RATE_HZ,
        "HandVel": recording.velocity[a:b],
        "HandPos": recording.position[a:b],
        "TargetPos": target,
        "Condition": "good",
        "Neuron": _structs(neurons),
    }


WRITER = LayoutWriter(
    layout=LAYOUT.name,
    write=write_sessions,
    # The files hold the sessions of one monkey.
    defaults=("subjects=1", "sessions_per_subject=12", f"lfp_rate_hz={LFP_HZ}", f"kinematics_rate_hz={RATE_HZ}"),
)
