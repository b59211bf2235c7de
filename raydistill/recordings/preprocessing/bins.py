"""The bins of a session, and the time that its modalities share (docs/methods.md, Data and preprocessing)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.raw import Raw, Signal, SpikeTrains, Trace

_SHORT_S = 1.0  # less than this of an interval that is not recorded is not worth a note
_ROUNDING = 1e-6  # of a bin: a time this close to the edge of a bin is on the edge
_MOST_BINS = 100_000_000  # 11 days of bins of 10 ms: more of them mean a wrong unit of time, and do not fit in memory
_FEWEST_HZ = 0.05  # mean rate of a unit: fewer spikes mean a wrong unit of time, or a damaged time


@dataclass(frozen=True, kw_only=True)
class Bins:
    """n bins; bin t covers [origin + (first + t) * width, origin + (first + t + 1) * width) seconds."""

    origin_s: float
    width_s: float
    first: int
    n: int

    @property
    def start_s(self) -> float:
        """Start of the first bin in seconds."""
        return self.origin_s + self.first * self.width_s

    @property
    def stop_s(self) -> float:
        """End of the last bin in seconds."""
        return self.origin_s + (self.first + self.n) * self.width_s

    @property
    def edges(self) -> np.ndarray:
        """(n + 1,) seconds."""
        return self.origin_s + (self.first + np.arange(self.n + 1)) * self.width_s

    @property
    def centres(self) -> np.ndarray:
        """(n,) seconds."""
        return self.origin_s + (self.first + np.arange(self.n) + 0.5) * self.width_s

    @property
    def rows(self) -> slice:
        """The slice of these bins among those of the file."""
        return slice(self.first, self.first + self.n)

    def index(self, times: np.ndarray) -> np.ndarray:
        """The bin of each time; below 0 or at least n if the time is outside."""
        return np.floor((times - self.start_s) / self.width_s + _ROUNDING).astype(np.int64)


def covered(raw: Raw, width_s: float) -> tuple[float, float]:
    """Start and end, in seconds, of the time that all modalities of a recording cover.

    Spikes cover the time that the file states as observed. If it states none, they cover what the others cover.

    Raises:
        DataError: no bin is covered by all.
    """
    spans = extents(raw, width_s)
    if not spans and isinstance(raw.spikes, SpikeTrains):
        ends = [t[[0, -1]] for t in raw.spikes.times if len(t)]
        spans["spikes"] = (min(a for a, _ in ends), max(b for _, b in ends)) if ends else (0.0, 0.0)
        if not raw.windows:
            _check_density(sum(map(len, raw.spikes.times)), len(raw.spikes.times), *spans["spikes"])
        spans["spikes"] = _with_trials(*spans["spikes"], raw.trial_intervals)
    return _shared(spans, width_s)


def _with_trials(start: float, stop: float, trials: np.ndarray | None) -> tuple[float, float]:
    """The time from the first to the last spike, and the rest of the trials that are mostly in it."""
    if trials is None:
        return start, stop
    first, last = trials[np.isfinite(trials).all(axis=1)].T
    is_in = np.minimum(last, stop) - np.maximum(first, start) > (last - first) / 2
    return min([start, *first[is_in]]), max([stop, *last[is_in]])


def _check_density(n_spikes: int, n_units: int, first: float, last: float) -> None:
    """Raise DataError if spikes, which alone define the time of a recording, are spread over far too long a time."""
    if n_spikes < _FEWEST_HZ * n_units * (last - first):
        raise DataError(
            f"the {n_spikes} spikes of {n_units} units extend from {first:.6g} to {last:.6g} s, which is "
            f"{(last - first) / 3600:.3g} hours: are they in seconds? Set `time_unit` or `rate_hz` of `spikes`, or use "
            "a part with `interval`"
        )


def extents(raw: Raw, width_s: float) -> dict[str, tuple[float, float]]:
    """Signal -> start and end, in seconds, of the time that it covers, for all signals whose files state it."""
    spans: dict[str, tuple[float, float]] = {}
    if raw.n_bins is not None:
        spans["bins"] = (0.0, raw.n_bins * width_s)
    modalities: dict[str, Sequence[Signal | Trace]] = {"lfp": raw.lfp, "behavior": raw.behavior}
    for word, signals in modalities.items():
        for number, signal in enumerate(signals, start=1):
            spans[word if len(signals) == 1 else f"{word} {number}"] = signal.covers
    if isinstance(raw.spikes, SpikeTrains) and raw.spikes.observed is not None:
        spans["spikes"] = raw.spikes.observed
    return spans


def common_bins(raw: Raw, width_s: float) -> Bins:
    """The bins that all modalities cover, from the first to the last of the recording's windows if it has any.

    A file that is already binned keeps its bins; otherwise bin 0 starts at the first time that all modalities cover.

    Raises:
        DataError: no bin is covered by all, or there are too many.
    """
    spans = {"recording": covered(raw, width_s)}
    if raw.windows:
        spans["interval"] = (min(start for start, _ in raw.windows), max(stop for _, stop in raw.windows))
    start, stop = _shared(spans, width_s)
    if (stop - start) / width_s > _MOST_BINS:
        raise DataError(
            f"the recording extends from {start:.6g} to {stop:.6g} s, which is more than {_MOST_BINS} bins of "
            f"{width_s * 1000:g} ms: are the times in seconds? Set the `time_unit`, or use a part with `interval`"
        )
    if raw.n_bins is None:
        return Bins(origin_s=start, width_s=width_s, first=0, n=int((stop - start) / width_s + _ROUNDING))
    first = int(np.ceil(start / width_s - _ROUNDING))
    return Bins(origin_s=0.0, width_s=width_s, first=first, n=int(stop / width_s + _ROUNDING) - first)


def recorded_windows(raw: Raw, width_s: float, notes: list[str]) -> tuple[tuple[float, float], ...]:
    """The parts of the time to use, in the order of time, cut to the time that all modalities cover.

    Args:
        notes: what is not recorded is added to it.

    Raises:
        DataError: two parts overlap, or one is outside the recording.
    """
    windows = sorted(raw.windows)
    for (start, stop), (next_start, next_stop) in pairwise(windows):
        if next_start < stop - _ROUNDING * width_s:
            raise DataError(f"intervals {_told(start, stop)} and {_told(next_start, next_stop)} overlap")
    if not windows:
        return ()
    first, last = covered(raw, width_s)
    for start, stop in windows:
        if not min(stop, last) - max(start, first) >= width_s * (1 - _ROUNDING):
            raise DataError(
                f"the interval {_told(start, stop)} is outside the recording ({_told(first, last)}); are both in "
                "seconds?"
            )
        if any(_SHORT_S < unused < np.inf for unused in (first - start, stop - last)):
            notes.append(
                f"of the interval {_told(start, stop)}, only {_told(max(start, first), min(stop, last))} is recorded"
            )
    return tuple((max(start, first), min(stop, last)) for start, stop in windows)


def _told(start: float, stop: float) -> str:
    return f"{start:.6g} to {stop:.6g} s"


def _shared(spans, width_s):
    start, stop = max(a for a, _ in spans.values()), min(b for _, b in spans.values())
    if not stop - start >= width_s * (1 - _ROUNDING):
        listed = ", ".join(f"{name} {a:.3f} to {b:.3f} s" for name, (a, b) in spans.items())
        raise DataError(f"no bin of {width_s * 1000:g} ms is covered by all: {listed}; are the clocks in seconds?")
    return float(start), float(stop)
