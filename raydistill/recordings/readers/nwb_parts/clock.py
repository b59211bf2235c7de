"""The clock of an NWB series: a rate, or a time stamp per sample, with gaps where samples are missing.

Time stamps that follow a uniform clock to within 1 ms, or half a sample, are that clock. Otherwise the samples are cut
into runs, each of which follows a clock of the same rate from its own first stamp.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from raydistill.config.manifest import Behavior, Lfp, seconds_per_unit
from raydistill.errors import DataError, counted
from raydistill.recordings.raw import Run

_SLICE = 1_000_000  # time stamps read at once
_BLOCK = 100  # samples over which the step is averaged, so that rounded stamps do not matter
_FEWEST_RUNS = 100  # fewer runs than this are gaps, however short they are
_SHORTEST_S = 0.1  # a clock whose runs are shorter on average is irregular


@dataclass(frozen=True, kw_only=True)
class SampleClock:
    """When the samples of a series were taken."""

    rate_hz: float
    start_s: float
    runs: tuple[Run, ...] = ()
    """See `Signal.runs`."""
    note: str = ""
    """Where the gaps are; empty: there is none."""


def sample_times(series, path: str, n: int, section: Lfp | Behavior) -> np.ndarray:
    """(n,) float64 seconds of the samples of a series, as they are in the file.

    Raises:
        DataError: the series has a rate that is not a positive number, or another number of time stamps.
    """
    if series.timestamps is None:
        rate_hz, start_s = _rate_and_start(series, path, section)
        return start_s + np.arange(n) / rate_hz
    _check_count(series, path, n)
    return np.asarray(series.timestamps[:], dtype=np.float64) * seconds_per_unit(section.time_unit, section.rate_hz)


def uniform_clock(series, path: str, n: int, section: Lfp) -> SampleClock:
    """The clock of n samples at one rate, with gaps if there are some.

    Raises:
        DataError: see `sample_times`; or a time stamp is missing, earlier than the one before it, or too irregular.
    """
    if series.timestamps is None:
        rate_hz, start_s = _rate_and_start(series, path, section)
        return SampleClock(rate_hz=rate_hz, start_s=start_s)
    _check_count(series, path, n)
    if n < 2:
        raise DataError(f"{path} has {counted(n, 'sample')}; at least 2 are needed")
    stamps = _Stamps(series.timestamps, n, seconds_per_unit(section.time_unit, section.rate_hz))
    first, last = _check_order(stamps, path)
    step = (last - first) / (n - 1)
    if _is_uniform(stamps, first, step):
        return SampleClock(rate_hz=1 / step, start_s=first)
    step = _typical_step(stamps)
    for _ in range(2):  # the second time with the step of all samples between the gaps
        anchors = _anchors(stamps, step, path)
        step = _step_within(stamps, anchors) or step
    runs = _runs(anchors, n, step)
    return SampleClock(rate_hz=1 / step, start_s=first, runs=runs, note=_gaps(path, stamps, anchors, runs, step))


@dataclass(frozen=True)
class _Stamps:
    """Time stamps in seconds, read in slices."""

    values: object
    n: int
    scale: float

    def part(self, start: int, stop: int) -> np.ndarray:
        return np.asarray(self.values[start:stop], dtype=np.float64) * self.scale  # type: ignore[index]

    def slices(self) -> Iterator[tuple[int, np.ndarray]]:
        """(number of its first stamp, stamps) of each slice."""
        for start in range(0, self.n, _SLICE):
            yield start, self.part(start, min(start + _SLICE, self.n))

    def at(self, number: int) -> float:
        return float(self.part(number, number + 1)[0])


def _rate_and_start(series, path: str, section: Lfp | Behavior) -> tuple[float, float]:
    if section.time_unit != "s":
        raise DataError(
            f"{path} has a rate and no time stamps, so that `time_unit: {section.time_unit}` does not apply"
        )
    rate_hz, start_s = float(series.rate), float(series.starting_time or 0.0)
    if not (rate_hz > 0 and np.isfinite(rate_hz)):
        raise DataError(
            f"{path} has a rate of {rate_hz:g} Hz, which must be above 0; correct the attribute `rate` of its "
            "starting_time in the file"
        )
    if not np.isfinite(start_s):
        raise DataError(f"{path} has a starting_time of {start_s} s; correct it in the file")
    return rate_hz, start_s


def _check_count(series, path: str, n: int) -> None:
    if np.ndim(series.timestamps) != 1 or len(series.timestamps) != n:
        raise DataError(f"{path} has {n} samples but {len(series.timestamps)} time stamps")


def _check_order(stamps: _Stamps, path: str) -> tuple[float, float]:
    """The first and the last stamp. DataError: a stamp is not finite or earlier than the one before it."""
    before = stamps.at(0)
    for start, part in stamps.slices():
        if not np.isfinite(part).all():
            at = int(np.argmin(np.isfinite(part)))
            raise DataError(f"{path}: time stamp {start + at} is {part[at]}, so that its sample has no time")
        back = np.flatnonzero(np.diff(part, prepend=before) < 0)
        if len(back):
            at = int(back[0])
            previous = part[at - 1] if at else before
            raise DataError(
                f"{path}: time stamp {start + at} at {part[at]:.4f} s is earlier than the one before it "
                f"({previous:.4f} s): the clock was set back, so times are ambiguous; save each part as a separate file"
            )
        before = float(part[-1])
    first = stamps.at(0)
    if not before > first:
        raise DataError(f"{path} has no ascending time stamps: all are {first:.4f} s")
    return first, before


def _tolerance(step: float) -> float:
    return max(1e-3, step / 2)


def _is_uniform(stamps: _Stamps, first: float, step: float) -> bool:
    off = (part - (first + step * np.arange(start, start + len(part))) for start, part in stamps.slices())
    return all(np.abs(difference).max() <= _tolerance(step) for difference in off)


def _anchors(stamps: _Stamps, step: float, path: str) -> list[tuple[int, float]]:
    """(number, seconds) of the first stamp of each run: those off the clock that starts at the run before."""
    anchors = [(0, stamps.at(0))]
    before = anchors[0][1] - step
    for start, part in stamps.slices():
        numbers = start + np.arange(len(part))
        jumps = np.flatnonzero(np.abs(np.diff(part, prepend=before) - step) > 2 * _tolerance(step))
        starts = jumps[jumps + start > 0]
        while True:
            owner = np.searchsorted(starts, np.arange(len(part)), "right") - 1  # -1: the run of the slice before
            number = np.r_[start + starts, anchors[-1][0]][owner]
            time = np.r_[part[starts], anchors[-1][1]][owner]
            off = np.flatnonzero(np.abs(part - time - step * (numbers - number)) > _tolerance(step))
            if len(anchors) + len(starts) > max(_FEWEST_RUNS, (part[-1] - anchors[0][1]) / _SHORTEST_S):
                at = int(starts[0]) if len(anchors) == 1 else anchors[1][0]
                raise DataError(
                    f"{path} is not sampled uniformly: more than {len(anchors) + len(starts) - 1} time stamps are off "
                    f"a clock of {1 / step:.6g} Hz, the first is {at} at {stamps.at(at):.4f} s; resample it to one rate"
                )
            if not len(off):
                break
            starts = np.union1d(starts, off[np.unique(owner[off], return_index=True)[1]])
        anchors += [(int(start + at), float(part[at])) for at in starts]
        before = float(part[-1])
    return anchors


def _typical_step(stamps: _Stamps) -> float:
    """Seconds from one sample to the next where no sample is missing."""
    blocks = []
    for _, part in stamps.slices():
        width = _BLOCK if len(part) > 2 * _BLOCK else 1
        edges = part[::width]
        blocks.append(np.diff(edges) / width)
    steps = np.concatenate(blocks)
    median = np.median(steps)
    return float(steps[np.abs(steps - median) <= 0.02 * median].mean())


def _step_within(stamps: _Stamps, anchors: list[tuple[int, float]]) -> float | None:
    """Mean step within all runs; None: no run has two samples."""
    stops = [number for number, _ in anchors[1:]] + [stamps.n]
    pairs = [(t, stamps.at(stop - 1), stop - 1 - n) for (n, t), stop in zip(anchors, stops, strict=True)]
    steps = sum(count for *_, count in pairs)
    seconds = sum(last - first for first, last, _ in pairs)
    return seconds / steps if steps and seconds > 0 else None


def _runs(anchors: list[tuple[int, float]], n: int, step: float) -> tuple[Run, ...]:
    """The runs. Samples that would be later than the first of the next run are left out: runs do not overlap."""
    ends = [*anchors[1:], (n, np.inf)]
    lengths = [
        min(stop - first, (end - start) / step + 1e-6)
        for (first, start), (stop, end) in zip(anchors, ends, strict=True)
    ]
    return tuple(
        Run(first=first, stop=first + int(length), start_s=start)
        for (first, start), length in zip(anchors, lengths, strict=True)
        if length >= 1
    )


def _gaps(path: str, stamps: _Stamps, anchors: list[tuple[int, float]], runs: tuple[Run, ...], step: float) -> str:
    at, time = anchors[1]
    lost = sum(b.start_s - a.start_s - (a.stop - a.first) * step for a, b in pairwise(runs))
    n = len(anchors) - 1
    if all(abs(time - stamps.at(number - 1) - step) <= _tolerance(step) for number, time in anchors[1:]):
        return (
            f"{path} has time stamps that drift from a clock of {1 / step:.6g} Hz by more than "
            f"{1000 * _tolerance(step):.3g} ms: it is cut at {n} place{'s' * (n > 1)}, first at {time:.4f} s, which no "
            "filter or segment crosses"
        )
    return (
        f"{path} has {n} gap{'s' * (n > 1)} of {lost:.1f} s in all in its time stamps{', first' * (n > 1)}: time stamp "
        f"{at} at {time:.4f} s follows {stamps.at(at - 1):.4f} s; no filter or segment crosses a gap"
    )
