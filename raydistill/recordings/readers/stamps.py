"""The clock of uniformly sampled signals that come with time stamps, which may have gaps."""

import itertools
from dataclasses import dataclass

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.raw import Run

_GAP = 1.5  # times the median step between two stamps
_JITTER_S = 1e-3  # a stamp may be this far off its run's clock, or half a step


@dataclass(frozen=True, kw_only=True)
class StampedClock:
    """A sampling rate and the stretches between gaps."""

    rate_hz: float
    runs: tuple[Run, ...]

    def notes(self, path: str) -> tuple[str, ...]:
        """What to tell of the gaps of a signal."""
        if len(self.runs) == 1:
            return ()
        first = self.runs[0]
        stop_s = first.start_s + (first.stop - first.first) / self.rate_hz
        return (
            f"{path} has {len(self.runs) - 1} gaps, the first from {stop_s:.3f} to {self.runs[1].start_s:.3f} s; "
            "nothing is filtered across them",
        )


def stamped_clock(stamps: np.ndarray, path: str) -> StampedClock:
    """The clock of samples at (n,) `stamps` in seconds. `path` names the stamps in messages.

    Raises:
        DataError: a stamp is not finite, runs back, or is off the clock of its run.
    """
    if len(stamps) < 2:
        raise DataError(f"{path} has {len(stamps)} time stamps; two are needed")
    if not np.isfinite(stamps).all():
        raise DataError(f"{path}: time stamp {int(np.argmin(np.isfinite(stamps)))} is not a number")
    steps = np.diff(stamps)
    if np.any(steps < 0):
        at = int(np.argmax(steps < 0)) + 1
        raise DataError(
            f"{path} runs back at time stamp {at}: {stamps[at]:.4f} s comes after {stamps[at - 1]:.4f} s; use a part "
            "of the recording with `interval`, or store the parts as separate sessions"
        )
    step = float(np.median(steps))
    if not step > 0:
        raise DataError(
            f"{path} repeats its time stamps, such as {stamps[0]:.4f} s; if one stamp stands for several samples, give "
            "`rate_hz` and `start_s` instead"
        )
    edges = [0, *(np.flatnonzero(steps > _GAP * step) + 1).tolist(), len(stamps)]
    bounds = [(a, b) for a, b in itertools.pairwise(edges)]
    sampled = sum(b - a - 1 for a, b in bounds)
    seconds = sum(float(stamps[b - 1] - stamps[a]) for a, b in bounds)
    rate_hz = sampled / seconds if seconds > 0 else 1 / step
    for a, b in bounds:
        _check_uniform(stamps[a:b], a, rate_hz, path)
    return StampedClock(rate_hz=rate_hz, runs=tuple(Run(first=a, stop=b, start_s=float(stamps[a])) for a, b in bounds))


def _check_uniform(stamps: np.ndarray, first: int, rate_hz: float, path: str) -> None:
    """Raise DataError if a stamp of a run, whose first is stamp number `first`, is off a clock of `rate_hz`."""
    off = np.abs(stamps - (stamps[0] + np.arange(len(stamps)) / rate_hz))
    worst = int(np.argmax(off))
    if off[worst] > max(_JITTER_S, 0.5 / rate_hz):
        raise DataError(
            f"{path} is not sampled uniformly: time stamp {first + worst} ({stamps[worst]:.4f} s) is "
            f"{off[worst] * 1e3:.3g} ms off a clock of {rate_hz:.6g} Hz; resample the signal to a uniform clock"
        )
