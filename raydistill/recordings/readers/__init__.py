"""What a reader makes of a raw file: modalities on their own clocks, the long ones read when asked for.

A reader is one file for one layout, with `opened(path, source)`: a context manager that yields a `Raw`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.published import Published
from raydistill.recordings.remote import Remote

ARRAY_ENDINGS = (".h5", ".hdf5", ".mat", ".npz")
ENDINGS = (".nwb", *ARRAY_ENDINGS)


@dataclass(frozen=True, kw_only=True)
class SpikeTrains:
    """Spike times of sorted units."""

    times: tuple[np.ndarray, ...]
    """For each unit, its spike times in seconds, ascending."""
    ids: tuple[int, ...]
    """Place of each unit in the file, from 0: what messages and `drop_units` call it."""
    observed: tuple[float, float] | None = None
    """Seconds between which spikes were sorted; None: not stated."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Spike counts that the file gives per bin, from its bin 0 on."""

    values: np.ndarray
    """(T, units) whole numbers."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Uniformly sampled channels, never in memory as a whole."""

    read: Callable[[int, int], np.ndarray]
    """read(start, stop) -> (stop - start, C) float32 samples in physical units."""
    n_samples: int
    n_channels: int
    rate_hz: float
    start_s: float
    """Time of sample 0."""
    span: tuple[float, float] | None = None
    """Seconds covered; None: from sample 0 to one step after the last."""
    bands: int = 1
    """Features of each electrode, such as band powers; they lie beside each other among the C columns."""

    @property
    def covers(self) -> tuple[float, float]:
        return self.span or (self.start_s, self.start_s + self.n_samples / self.rate_hz)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Behavior on its own, possibly irregular, time stamps. K samples, D columns."""

    times: np.ndarray
    """(K,) float64 seconds, in the order of the file: may repeat, run back or be NaN."""
    values: np.ndarray
    """(K, D) float64, NaN where lost."""
    names: tuple[str, ...]
    units: tuple[str, ...]
    span: tuple[float, float] | None = None
    """Seconds covered; None: from the first stamp to one median step after the last."""

    @property
    def covers(self) -> tuple[float, float]:
        stamps = np.unique(self.times[np.isfinite(self.times)])
        if self.span or len(stamps) < 2:
            return self.span or (np.inf, -np.inf)
        return float(stamps[0]), float(stamps[-1] + np.median(np.diff(stamps)))


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One recording as its file gives it."""

    spikes: SpikeTrains | Counts | None = None
    lfp: Signal | None = None
    behavior: Trace | None = None
    trial_labels: np.ndarray | None = None
    """(T,) label of each bin of a file that is binned."""
    trial_intervals: np.ndarray | None = None
    """(trials, 2) start and stop in seconds."""
    pieces: np.ndarray | None = None
    """(pieces, 2) start and stop in seconds of the stretches that were recorded; None: there is no gap.

    No segment crosses from one piece to the next; what lies between them is left out."""
    n_bins: int | None = None
    """Bins of a file that is binned: its bin 0 begins at 0 s. None: the clock follows from the times."""
    window: tuple[float, float] | None = None
    """Seconds to keep; None: all that the modalities share."""
    subject: str | None = None
    """As the file names it."""
    region: str = ""


def opened(path: Path | Remote, source, bin_width_ms: float) -> AbstractContextManager[Raw]:
    """The recording in `path`, read as `source` says; the file stays open inside the context.

    Args:
        source: a manifest's Source, or a Published.
        bin_width_ms: of the session to be made; files of bins with trials between them are rebinned to it, and
            gaps within one bin are none.

    Raises:
        DataError: the file is missing, damaged, or not as `source` describes it.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if isinstance(source, Published):
        reader = import_module(f"raydistill.recordings.readers.{source.layout}")
        return (
            reader.opened(path, source, bin_width_ms) if source.layout == "neurotask" else reader.opened(path, source)
        )
    if path.suffix.lower() == ".nwb":
        from raydistill.recordings.readers import nwb

        return nwb.opened(path, source, bin_width_ms)
    from raydistill.recordings.readers import arrays

    return arrays.opened(path, source)


def as_columns(values, what: str) -> np.ndarray:
    """A vector as (K, 1), a matrix as it is; DataError for any other shape or for values that are no numbers."""
    values = np.asarray(values)
    if values.dtype.kind not in "buif":
        raise DataError(f"{what} holds {values.dtype} values, not real numbers")
    if values.ndim == 1:
        return values[:, None]  # (K,) -> (K, 1)
    if values.ndim != 2:
        raise DataError(f"{what} has the shape {values.shape}; a vector or a (samples, columns) matrix is needed")
    return values
