"""The trials of one session in a file of Flint et al.: nested MATLAB 5 struct arrays, read and checked.

Axes: T samples of a trial at 100 Hz.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raydistill.errors import DataError, one_line, suggest
from raydistill.recordings.files.mat import MatFile
from raydistill.recordings.raw import as_columns

RATE_HZ = 100
"""Sampling rate of `Time` and of the kinematics."""
LFP_HZ = 2000
STEP_S = 1 / RATE_HZ
_LFP_SLACK = 40  # samples by which the LFP of a trial may be longer or shorter than its `Time`: 20 ms
_SPIKE_SLACK_S = 0.1  # by which a spike may be outside of its trial


@dataclass(frozen=True, kw_only=True)
class FlintTrial:
    """One trial; T samples of kinematics."""

    number: int
    """Position in the file, from 1."""
    time: np.ndarray
    """(T,) seconds, ascending."""
    velocity: np.ndarray
    """(T, 2) in the unit of the file, which does not state it."""
    spikes: tuple[np.ndarray, ...]
    """For each entry of `Neuron`, its spike times in seconds."""
    lfp: tuple[np.ndarray, ...]
    """For each entry of `Neuron`, about 20 T samples, or none if it has no LFP channel."""


def session_trials(path: Path, part: str | None) -> list[FlintTrial]:
    """The trials of session `part` (from 1; None: the first) that hold samples, in the order of time.

    Raises:
        DataError: the file is damaged, or a field is missing, of another type or length, or off the clock.
    """
    return _trials(_subject(path, part))


def _subject(path: Path, part: str | None) -> np.void:
    try:
        file = MatFile(path)
    except Exception as err:  # a damaged file is reported by exceptions of many kinds
        raise DataError(f"not a readable MATLAB 5 file ({one_line(err)})") from err
    if "Subject" not in file.names():
        raise DataError('there is no variable "Subject"')
    subjects = np.ravel(file.load("Subject"))
    number = int(part) if part and part.isdecimal() else 1 if part is None else 0
    if not 1 <= number <= len(subjects):
        raise DataError(f"`part` must be the number of a session from 1 to {len(subjects)}, but got {part!r}")
    return subjects[number - 1]


def _field(struct: np.ndarray | np.void, name: str, what: str):
    names = getattr(getattr(struct, "dtype", None), "names", None)
    if names is None:
        raise DataError(f"{what} is not a struct but {getattr(struct, 'dtype', 'no')} values")
    if name not in names:
        raise DataError(f'{what} has no field "{name}"{suggest(name, names)}')
    return struct[name]


def _vector(values: np.ndarray, what: str) -> np.ndarray:
    """(n,) in the type of the file; an empty array of any shape becomes (0,)."""
    if values.dtype.kind not in "buif":
        raise DataError(f"{what} holds {values.dtype} values, not real numbers")
    if values.size and values.size != max(values.shape):
        raise DataError(f"{what} has the shape {values.shape}; a vector is needed")
    return values.ravel()


def _trials(subject: np.void) -> list[FlintTrial]:
    structs = _field(subject, "Trial", "Subject").ravel()
    trials = [
        _trial(struct, number)
        for number, struct in enumerate(structs, 1)
        if _field(struct, "Time", f"trial {number}").size
    ]
    if not trials:
        raise DataError(f"none of the {len(structs)} trials has a sample of `Time`")
    for trial in trials:
        if len(trial.spikes) != len(trials[0].spikes):
            raise DataError(
                f"trial {trial.number} has {len(trial.spikes)} entries of Neuron but trial {trials[0].number} has "
                f"{len(trials[0].spikes)}"
            )
    return sorted(trials, key=lambda trial: trial.time[0])


def _trial(struct: np.void, number: int) -> FlintTrial:
    what = f"trial {number}"
    time = _checked_time(struct["Time"], f"{what}: Time")
    velocity = as_columns(_field(struct, "HandVel", what), f"{what}: HandVel")
    if len(velocity) != len(time) or velocity.shape[1] < 2:
        raise DataError(f"{what}: HandVel has the shape {velocity.shape}; ({len(time)}, 2 or more) is needed")
    neurons = _field(struct, "Neuron", what).ravel()
    spikes, lfp = (_field(neurons, name, f"{what}: Neuron") for name in ("Spike", "LFP"))
    return FlintTrial(
        number=number,
        time=time,
        velocity=velocity[:, :2].astype(np.float64),
        spikes=tuple(_checked_spikes(s, time, f"{what}: Spike of neuron {n}") for n, s in enumerate(spikes)),
        lfp=tuple(_checked_lfp(s, time, f"{what}: LFP of neuron {n}") for n, s in enumerate(lfp)),
    )


def _ascending(values: np.ndarray, what: str) -> np.ndarray:
    """(n,) seconds."""
    times = _vector(values, what).astype(np.float64)
    if not np.isfinite(times).all():
        raise DataError(f"{what} is not finite at {int(np.argmin(np.isfinite(times)))}")
    if np.any(np.diff(times) < 0):
        at = int(np.argmax(np.diff(times) < 0)) + 1
        raise DataError(f"{what} is not sorted: {times[at]:.4f} s at {at} follows {times[at - 1]:.4f} s")
    return times


def _checked_time(values: np.ndarray, what: str) -> np.ndarray:
    time = _ascending(values, what)
    off = np.abs(time - time[0] - np.arange(len(time)) * STEP_S)
    if off.max() > STEP_S:
        at = int(np.argmax(off > STEP_S))
        raise DataError(f"{what} is {off[at]:.4f} s off its clock of {RATE_HZ} Hz at sample {at}")
    return time


def _checked_spikes(values: np.ndarray, time: np.ndarray, what: str) -> np.ndarray:
    spikes = _ascending(values, what)
    if len(spikes) and (spikes[0] < time[0] - _SPIKE_SLACK_S or spikes[-1] > time[-1] + STEP_S + _SPIKE_SLACK_S):
        raise DataError(
            f"{what}: spikes from {spikes[0]:.3f} to {spikes[-1]:.3f} s are outside of the trial "
            f"({time[0]:.3f} to {time[-1]:.3f} s); are they on the clock of Time?"
        )
    return spikes


def _checked_lfp(values: np.ndarray, time: np.ndarray, what: str) -> np.ndarray:
    samples, expected = _vector(values, what), len(time) * LFP_HZ // RATE_HZ
    if len(samples) and abs(len(samples) - expected) > _LFP_SLACK:
        raise DataError(
            f"{what} has {len(samples)} samples, but {len(time)} samples of Time at {RATE_HZ} Hz are {expected} at "
            f"{LFP_HZ} Hz; at most {_LFP_SLACK} more or fewer are allowed"
        )
    return samples
