"""The result of a reader: the modalities of a raw file, on their own clocks. Long signals are read only on request."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raydistill.errors import DataError


@dataclass(frozen=True, kw_only=True)
class SpikeTrains:
    """Spike times of sorted units."""

    times: tuple[np.ndarray, ...]
    """For each unit, its spike times in seconds, ascending."""
    ids: tuple[int, ...]
    """Position of each unit in the file, from 0. Messages and `drop_units` use this number."""
    observed: tuple[float, float] | None = None
    """Start and end, in seconds, of the time in which spikes were sorted; None: the file does not state it."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Spike counts of a file that is already binned, starting at its bin 0."""

    values: np.ndarray
    """(T, units) whole numbers."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Uniformly sampled channels, read in slices and never held in memory as a whole."""

    read: Callable[[int, int], np.ndarray]
    """read(start, stop) -> (stop - start, C) float32 samples in physical units."""
    n_samples: int
    n_channels: int
    rate_hz: float
    start_s: float
    """Time of sample 0 in seconds."""
    span: tuple[float, float] | None = None
    """Start and end of the signal in seconds; None: from sample 0 to one step after the last sample."""
    bands: int = 1
    """Features per electrode, such as band powers. The features of one electrode are adjacent columns."""

    @property
    def covers(self) -> tuple[float, float]:
        """Start and end of the signal in seconds."""
        return self.span or (self.start_s, self.start_s + self.n_samples / self.rate_hz)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Behavior on its own, possibly irregular, time stamps. K samples, D columns."""

    times: np.ndarray
    """(K,) float64 seconds, in the order of the file. They may repeat, decrease or be NaN."""
    values: np.ndarray
    """(K, D) float64, NaN where tracking was lost."""
    names: tuple[str, ...]
    units: tuple[str, ...]
    span: tuple[float, float] | None = None
    """Start and end of the trace in seconds; None: from the first stamp to one median step after the last."""

    @property
    def covers(self) -> tuple[float, float]:
        """Start and end of the trace in seconds; (inf, -inf) if it has fewer than two time stamps."""
        stamps = np.unique(self.times[np.isfinite(self.times)])
        if self.span or len(stamps) < 2:
            return self.span or (np.inf, -np.inf)
        return float(stamps[0]), float(stamps[-1] + np.median(np.diff(stamps)))


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One recording as its file holds it."""

    spikes: SpikeTrains | Counts | None = None
    lfp: Signal | None = None
    behavior: Trace | None = None
    trial_labels: np.ndarray | None = None
    """(T,) trial label of each bin, for a file that is already binned."""
    trial_intervals: np.ndarray | None = None
    """(trials, 2) start and stop in seconds."""
    pieces: np.ndarray | None = None
    """(pieces, 2) start and stop in seconds of each recorded interval; None: the recording has no gap.

    No segment crosses from one piece to the next. The time between pieces is left out."""
    n_bins: int | None = None
    """Number of bins of a file that is already binned; its bin 0 starts at 0 s. None: the times define the clock."""
    window: tuple[float, float] | None = None
    """Start and end, in seconds, of the time to use; None: all the time that the modalities share."""
    subject: str | None = None
    """Subject as named in the file."""
    region: str = ""


def as_columns(values, what: str) -> np.ndarray:
    """A vector as (K, 1), a matrix unchanged.

    Raises:
        DataError: `values` has another shape or another type than real numbers; the message starts with `what`.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "buif":
        raise DataError(f"{what} holds {values.dtype} values, not real numbers")
    if values.ndim == 1:
        return values[:, None]  # (K,) -> (K, 1)
    if values.ndim != 2:
        raise DataError(f"{what} has the shape {values.shape}; a vector or a (samples, columns) matrix is needed")
    return values
