"""Signals that are stored trial by trial, laid end to end on one clock.

A trial is a cell or an element of a struct array, or one index of a tensor. The clock of the session begins at 0 s; the
k-th trial begins where the one before it ends, at the edge of a bin. All signals must agree on the trials.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.config.manifest import Lfp
from raydistill.errors import DataError
from raydistill.recordings.files.nodes import Cells, Node
from raydistill.recordings.raw import Run, Signal
from raydistill.recordings.readers.array_parts.lists import is_vector
from raydistill.recordings.readers.array_parts.matrices import Described, Matrix, oriented, scaled, trial_slices
from raydistill.store.channels import ChannelTable

_ROUNDING = 1e-6  # of a sample or bin
_TURNED = 10  # times more columns than samples in every trial: trials that lie the other way round


@dataclass(frozen=True, kw_only=True)
class TrialSignal:
    """A signal with one matrix per trial."""

    described: Described
    trials: tuple[Matrix, ...]
    """(samples, columns) each."""
    lengths: tuple[int, ...]
    """Samples of each trial before the rows of NaN at its end."""
    rate_hz: float
    """Samples, or bins, per second."""
    is_binned: bool

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.trials[0].shape[1]

    def seconds(self, k: int) -> float:
        """Duration of trial k."""
        return self.lengths[k] / self.rate_hz

    def longest(self, k: int) -> float:
        """Duration that trial k can have: behavior may be lost, and then is NaN, at the end of a trial."""
        return self.trials[k].shape[0] / self.rate_hz if self.described.name == "behavior" else self.seconds(k)

    def told(self, k: int) -> str:
        """Trial k in a message."""
        n = self.lengths[k]
        count = f"{n} bins of {1000 / self.rate_hz:g} ms" if self.is_binned else f"{n} samples at {self.rate_hz:g} Hz"
        return f"{self.described.path} has {count} ({self.seconds(k):.3f} s)"


@dataclass(frozen=True, kw_only=True)
class TrialClock:
    """Where trials are on the session's clock."""

    numbers: tuple[int, ...]
    """Position of each trial in the file, from 0."""
    n_bins: np.ndarray
    """(trials,) bins of the session."""
    bin_s: float

    @property
    def first_bins(self) -> np.ndarray:
        """(trials,) the first bin of each."""
        return np.cumsum(self.n_bins) - self.n_bins

    @property
    def total(self) -> int:
        """Bins of all trials."""
        return int(self.n_bins.sum())

    @property
    def intervals(self) -> np.ndarray:
        """(trials, 2) start and stop in seconds."""
        return np.column_stack([self.first_bins, self.first_bins + self.n_bins]) * self.bin_s

    @property
    def labels(self) -> np.ndarray:
        """(bins,) int32 position in the file of the trial of each bin."""
        return np.repeat(np.array(self.numbers, dtype=np.int32), self.n_bins)


def is_in_trials(node: Node, axes: Sequence[str]) -> bool:
    """Whether a variable holds one matrix per trial."""
    if "trials" in axes:
        return True
    is_pattern = isinstance(node, Cells) and node.is_pattern
    return node.kind == "cell" and not is_pattern and int(np.prod(node.shape)) > 1


def trial_matrices(node: Node, described: Described) -> tuple[Matrix, ...]:
    """The matrix of each trial, all with the same number of columns.

    Raises:
        DataError: trials are not matrices, differ in their columns, or lie the other way round.
    """
    axes = described.section.axes
    if node.kind != "cell":
        return tuple(trial_slices(node, axes))
    if max(node.shape, default=1) != int(np.prod(node.shape)):
        raise DataError(f"{node.path} is {node.described}; a vector of cells with one matrix per trial is needed")
    nodes = node.elements().ravel().tolist()
    are_vectors = all(is_vector(trial) for trial in nodes)
    trials = [oriented(trial, described, is_row=not are_vectors) for trial in nodes]
    filled = [trial for trial in trials if 0 not in trial.shape]
    if not filled:
        raise DataError(f"{node.path} holds no trial that is not empty")
    first = filled[0].shape
    if any(trial.shape[1] != first[1] for trial in filled):
        _refuse_widths(filled, described)
    if not described.has_axes and all(trial.shape[1] > _TURNED * trial.shape[0] for trial in filled):
        stated = f"[trials, time, {described.columns}]"
        raise DataError(f"a trial of {described.turned(first)}, or `axes: {stated}` if it is right")
    return tuple(trial if 0 not in trial.shape else _Empty(trial.path, first[1]) for trial in trials)


class _Empty:
    """A trial without samples."""

    def __init__(self, path: str, width: int):
        self.path, self.shape, self.dtype = path, (0, width), "float64"

    def read(self, start: int, stop: int) -> np.ndarray:
        """No samples."""
        return np.empty((0, self.shape[1]))


def _refuse_widths(filled: Sequence[Matrix], described: Described) -> None:
    if len({trial.shape[0] for trial in filled}) == 1:
        raise DataError(f"a trial of {described.turned(filled[0].shape)}")
    other = next(trial for trial in filled if trial.shape[1] != filled[0].shape[1])
    raise DataError(
        f"trials differ in their {described.columns}: {filled[0].path} has {filled[0].shape[1]}, {other.path} has "
        f"{other.shape[1]}"
    )


def length_without_padding(trial: Matrix) -> int:
    """Samples of a trial before the rows at its end that are completely NaN."""
    n = trial.shape[0]
    if not n or not trial.dtype.startswith("float") or not np.isnan(trial.read(n - 1, n)).all():
        return n
    held = ~np.isnan(trial.read(0, n)).all(axis=1)
    return int(np.flatnonzero(held)[-1]) + 1 if held.any() else 0


def common_clock(signals: Sequence[TrialSignal], bin_s: float, chosen: np.ndarray, notes: list[str]) -> TrialClock:
    """The clock of trials on which all signals agree.

    Args:
        bin_s: width of the session's bins in seconds.
        chosen: (trials,) which trials to use.
        notes: what is left out is added to it.

    Raises:
        DataError: two signals differ in the number or duration of trials.
    """
    seconds = np.array([_common_seconds(signals, k) if chosen[k] else 0.0 for k in range(len(chosen))])
    n_bins = np.floor(seconds / bin_s + _ROUNDING).astype(int)
    numbers = np.flatnonzero(n_bins)
    if not len(numbers):
        raise DataError(f"no trial of {signals[0].described.path} is as long as a bin of {bin_s * 1000:g} ms")
    if short := int(np.sum(chosen & (n_bins == 0))):
        notes.append(f"{short} trials are shorter than a bin of {bin_s * 1000:g} ms and were left out")
    rest = float(np.sum(seconds[numbers] - n_bins[numbers] * bin_s))
    if rest > bin_s * _ROUNDING * len(numbers):
        notes.append(
            f"{rest:.3f} s at the ends of trials ({rest / seconds.sum():.2%}) do not fill a bin of {bin_s * 1000:g} ms "
            "and were left out"
        )
    return TrialClock(numbers=tuple(numbers.tolist()), n_bins=n_bins[numbers], bin_s=bin_s)


def check_same_number(signals: Sequence[TrialSignal]) -> int:
    """The number of trials.

    Raises:
        DataError: it differs between two signals.
    """
    first = signals[0]
    for signal in signals[1:]:
        if len(signal.trials) != len(first.trials):
            raise DataError(
                f"{first.described.path} has {len(first.trials)} trials but {signal.described.path} has "
                f"{len(signal.trials)}"
            )
    return len(first.trials)


def _common_seconds(signals: Sequence[TrialSignal], k: int) -> float:
    """Duration of trial k in all signals.

    Two that differ by more than one sample of a sampled signal are an error, as this means a wrong rate.
    """
    certain = [s for s in signals if s.described.name != "behavior"] or list(signals)
    first = next((s for s in certain if s.is_binned), certain[0])
    seconds = first.seconds(k)
    for signal in signals:
        steps = [1 / s.rate_hz for s in (first, signal) if not s.is_binned]
        tolerance = max(steps, default=0.0) + _ROUNDING / first.rate_hz
        if not signal.seconds(k) - tolerance <= seconds <= signal.longest(k) + tolerance:
            for turned, other in ((signal, seconds), (first, signal.seconds(k))):
                if abs(turned.width / turned.rate_hz - other) <= tolerance:
                    raise DataError(f"a trial of {turned.described.turned(turned.trials[k].shape)}")
            raise DataError(
                f"signals differ in the duration of trial {k}: {first.told(k)} but {signal.told(k)}; check `rate_hz`, "
                "`bin_width_ms` and `transpose`"
            )
    return min([seconds, *(signal.longest(k) for signal in signals)])


def sampled_signal(
    signal: TrialSignal, clock: TrialClock, section: Lfp, channels: ChannelTable | None, bad: tuple[int, ...]
) -> Signal:
    """A signal whose trials follow each other, read trial by trial.

    Samples are on one uniform clock if each trial holds a whole number of them, otherwise in one run per trial.
    """
    exact = clock.n_bins * clock.bin_s * signal.rate_hz  # (trials,) samples
    n_samples = np.minimum(np.ceil(exact - _ROUNDING), [signal.lengths[k] for k in clock.numbers]).astype(int)
    edges = np.concatenate([[0], np.cumsum(n_samples)])
    trials = [signal.trials[k] for k in clock.numbers]

    def read(start: int, stop: int) -> np.ndarray:
        at = np.searchsorted(edges, start, side="right") - 1
        parts = []
        while start < stop and at < len(trials):
            end = min(stop, int(edges[at + 1]))
            parts.append(trials[at].read(start - int(edges[at]), end - int(edges[at])))
            start, at = end, at + 1
        whole = np.concatenate(parts) if parts else np.empty((0, signal.width))
        return scaled(whole, section.scale)

    centre = 0.5 / signal.rate_hz if signal.is_binned else 0.0
    starts = clock.first_bins * clock.bin_s
    is_uniform = np.allclose(np.cumsum(exact), edges[1:], rtol=0, atol=1e-3)
    runs = [
        Run(first=int(a), stop=int(b), start_s=float(start))
        for a, b, start in zip(edges[:-1], edges[1:], starts, strict=True)
    ]
    return Signal(
        read=read,
        n_samples=int(edges[-1]),
        n_channels=signal.width,
        rate_hz=signal.rate_hz,
        start_s=centre,
        span=(0.0, clock.total * clock.bin_s) if signal.is_binned else None,
        bands=section.bands,
        channels=channels,
        bad=bad,
        runs=() if is_uniform else tuple(runs),
    )


def trial_values(signal: TrialSignal, clock: TrialClock) -> tuple[np.ndarray, np.ndarray]:
    """(K,) seconds and (K, columns) float64 of the samples of all trials, for behavior."""
    offset = 0.5 if signal.is_binned else 0.0
    times, values = [], []
    for k, (start, stop) in zip(clock.numbers, clock.intervals, strict=True):
        trial = signal.trials[k]
        n = min(trial.shape[0], int(np.ceil((stop - start) * signal.rate_hz - offset - _ROUNDING)))
        times.append(start + (np.arange(n) + offset) / signal.rate_hz)
        values.append(trial.read(0, n).astype(np.float64))
    return np.concatenate(times), np.concatenate(values)


def trial_trains(
    by_unit: Sequence[Sequence[np.ndarray]], clock: TrialClock, starts_s: np.ndarray | None, scale: float
) -> tuple[list[np.ndarray], int]:
    """The spike times in seconds of each unit on the clock of the trials, and how many spikes are outside of theirs.

    Args:
        by_unit: unit -> trial of the file -> times in units of `scale` seconds.
        starts_s: (trials of the file,) the start of each trial on the clock of the times; None: they are from there.
    """
    trains, outside = [], 0
    for unit in by_unit:
        parts = []
        for k, (start, stop) in zip(clock.numbers, clock.intervals, strict=True):
            times = np.asarray(unit[k], dtype=np.float64) * scale - (0.0 if starts_s is None else starts_s[k])
            inside = (times >= 0) & (times < stop - start)
            outside += len(times) - int(inside.sum())
            parts.append(times[inside] + start)
        trains.append(np.sort(np.concatenate(parts)))
    return trains, outside
