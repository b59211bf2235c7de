"""The result of a reader: the modalities of a raw file, on their own clocks. Long signals are read only on request."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from raydistill.config.manifest import Behavior
from raydistill.errors import DataError
from raydistill.store.channels import ChannelTable
from raydistill.store.session import Session


@dataclass(frozen=True, kw_only=True)
class SpikeTrains:
    """Spike times of sorted units."""

    times: tuple[np.ndarray, ...]
    """For each unit, its spike times in seconds, ascending."""
    ids: tuple[int, ...]
    """Position of each unit in the file, from 0. Messages and `drop_units` use this number."""
    observed: tuple[float, float] | None = None
    """Start and end, in seconds, of the time in which spikes were sorted; None: the file does not state it."""
    channels: ChannelTable | None = None
    """One row per unit; None: the file does not say where units were recorded."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Spike counts of a file that is already binned, starting at its bin 0."""

    values: np.ndarray
    """(T, units) whole numbers."""
    ids: tuple[int, ...] | None = None
    """Position of each unit in the file, from 0; None: its column."""
    channels: ChannelTable | None = None
    """One row per unit; None: the file does not say where units were recorded."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Samples [first, stop) of a signal, between two gaps of its clock. The rate of a run is that of the signal."""

    first: int
    stop: int
    start_s: float
    """Time of sample `first` in seconds."""


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
    runs: tuple[Run, ...] = ()
    """The stretches between gaps, in the order of time; empty: there is no gap, and `start_s` is the whole clock."""
    channels: ChannelTable | None = None
    """One row per electrode (n_channels / bands); None: the file says nothing about them."""
    bad: tuple[int, ...] = ()
    """Channels that the file marks as bad."""
    number: int = 0
    """Position among the series of its recording."""

    @property
    def covers(self) -> tuple[float, float]:
        """Start and end of the signal in seconds."""
        if self.runs:
            last = self.runs[-1]
            return self.runs[0].start_s, last.start_s + (last.stop - last.first) / self.rate_hz
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
    processing: Behavior = field(default_factory=Behavior)
    """How the trace is processed: `lost_value`, `max_speed`, `smooth_s`, `derive`, `circular`, `columns`."""

    @property
    def covers(self) -> tuple[float, float]:
        """Start and end of the trace in seconds; (inf, -inf) if it has fewer than two time stamps."""
        stamps = np.unique(self.times[np.isfinite(self.times)])
        if self.span or len(stamps) < 2:
            return self.span or (np.inf, -np.inf)
        return float(stamps[0]), float(stamps[-1] + np.median(np.diff(stamps)))


@dataclass(frozen=True, kw_only=True)
class RawLabel:
    """The classes of bins or intervals under one name."""

    name: str
    values: np.ndarray
    """(n,) text: the class of each bin of the session, or of each interval; empty where unknown."""
    intervals: np.ndarray | None = None
    """(n, 2) start and stop in seconds; None: there is a value per bin."""
    outside: str | None = None
    """The class of bins in none of the intervals, or, with a value per bin, of bins without a class."""


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One recording as its file holds it."""

    spikes: SpikeTrains | Counts | None = None
    lfp: tuple[Signal, ...] = ()
    """Series of LFP, each on its own clock; their channels are stored side by side."""
    behavior: tuple[Trace, ...] = ()
    """Traces of behavior, each on its own clock; their columns are stored side by side."""
    trial_labels: np.ndarray | None = None
    """(T,) trial label of each bin, for a file that is already binned."""
    trial_intervals: np.ndarray | None = None
    """(trials, 2) start and stop in seconds."""
    trial_numbers: np.ndarray | None = None
    """(trials,) the place of each of `trial_intervals` in its file, if some were left out; None: all are there."""
    labels: tuple[RawLabel, ...] = ()
    pieces: np.ndarray | None = None
    """(pieces, 2) start and stop in seconds of each recorded interval; None: the recording has no gap.

    No segment crosses from one piece to the next. The time between pieces is left out."""
    n_bins: int | None = None
    """Number of bins of a file that is already binned; its bin 0 starts at 0 s. None: the times define the clock."""
    is_end_to_end: bool = False
    """Whether trials follow each other on a clock of their own, without the time between them. Signals of other files
    must then have the same pieces."""
    windows: tuple[tuple[float, float], ...] = ()
    """Start and end, in seconds, of each part of the time to use; empty: all the time that the modalities share."""
    session: Session | None = None
    """A session that raydistill exported from a store, with its bins and folds; the fields above are then empty."""
    subject: str | None = None
    """Subject as named in the file."""
    region: str = ""
    taken: tuple[str, ...] = ()
    """What was read from where, in a few words each, such as "LFP of 4 channels from acquisition/LFP_probe0"."""
    notes: tuple[str, ...] = ()
    """What the reader saw and left out, one line each, with the setting that would take it."""


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
