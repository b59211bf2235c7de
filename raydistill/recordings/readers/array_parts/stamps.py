"""The clock of uniformly sampled signals that come with time stamps, which may have gaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
        n = len(self.runs) - 1
        gaps = "1 gap," if n == 1 else f"{n} gaps, the first"
        between = f"from {stop_s:.3f} to {self.runs[1].start_s:.3f} s"
        return (f"{path} has {gaps} {between}; nothing is filtered across {'it' if n == 1 else 'them'}",)


def stamped_clock(stamps: np.ndarray, path: str, windows: Sequence[tuple[float, float]] = ()) -> StampedClock:
    """The clock of samples at (n,) `stamps` in seconds.

    Args:
        path: names the stamps in messages.
        windows: start and end of each part of the time to use. If the clock was set back, only the samples between two
            such stamps are used that hold all of the windows.

    Raises:
        DataError: a stamp is not finite, runs back, or is off the clock of its run.
    """
    if len(stamps) < 2:
        raise DataError(f"{path} has {len(stamps)} time stamps; two are needed")
    if not np.isfinite(stamps).all():
        raise DataError(f"{path}: time stamp {int(np.argmin(np.isfinite(stamps)))} is not a number")
    first, stop = _ascending(stamps, path, windows)
    stamps = stamps[first:stop]
    steps = np.diff(stamps)
    step = float(np.median(steps))
    if not step > 0:
        raise DataError(
            f"{path} repeats its time stamps, such as {stamps[0]:.4f} s; if one stamp stands for several samples, give "
            "`rate_hz` and `start_s` instead"
        )
    edges = [0, *(np.flatnonzero(steps > _GAP * step) + 1).tolist(), len(stamps)]
    bounds = [(a, b) for a, b in pairwise(edges)]
    sampled = sum(b - a - 1 for a, b in bounds)
    seconds = sum(float(stamps[b - 1] - stamps[a]) for a, b in bounds)
    rate_hz = sampled / seconds if seconds > 0 else 1 / step
    for a, b in bounds:
        _check_uniform(stamps[a:b], first + a, rate_hz, path)
    runs = [Run(first=first + a, stop=first + b, start_s=float(stamps[a])) for a, b in bounds]
    return StampedClock(rate_hz=rate_hz, runs=tuple(runs))


def _ascending(stamps: np.ndarray, path: str, windows: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """[first, stop) of the samples to use, whose stamps ascend."""
    back = (np.flatnonzero(np.diff(stamps) < 0) + 1).tolist()
    parts = list(pairwise([0, *back, len(stamps)]))
    used = [(a, b) for a, b in parts if any(start < stamps[b - 1] and stop > stamps[a] for start, stop in windows)]
    if len(parts) == 1 or (len(used) == 1 and used[0][1] - used[0][0] > 1):
        return (used or parts)[0]
    at = back[0]
    raise DataError(
        f"{path} runs back at time stamp {at}: {stamps[at]:.4f} s comes after {stamps[at - 1]:.4f} s; use a part of "
        "the recording whose times do not come twice, with `interval`"
    )


def _check_uniform(stamps: np.ndarray, first: int, rate_hz: float, path: str) -> None:
    """Raise DataError if a stamp of a run, whose first is stamp number `first`, is off a clock of `rate_hz`."""
    off = np.abs(stamps - (stamps[0] + np.arange(len(stamps)) / rate_hz))
    worst = int(np.argmax(off))
    if off[worst] > max(_JITTER_S, 0.5 / rate_hz):
        raise DataError(
            f"{path} is not sampled uniformly: time stamp {first + worst} ({stamps[worst]:.4f} s) is "
            f"{off[worst] * 1e3:.3g} ms off a clock of {rate_hz:.6g} Hz; resample the signal to a uniform clock"
        )
