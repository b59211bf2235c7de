"""What resampling the scored trials or segments of a job needs: sums over each of them, from which R² follows.

Axes: S scored segments, T bins of one, n trials or segments that are resampled, K behavior columns, B resamples.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raydistill.ownership import check_owner

FILE = "scored_units.npz"


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class ScoredUnits:
    """The trials, or else the segments, that were scored: each is resampled as a whole."""

    unit: str
    """trials or segments."""
    numbers: np.ndarray
    """(n,) trial labels or segment numbers."""
    sums: np.ndarray
    """(n, 4, K) sums over the bins of each: of ones, of the target, of its square and of the squared error."""

    def r2(self, times: np.ndarray) -> np.ndarray:
        """(B,) R², as a mean over columns, of the units as often as they were drawn, `times` (B, n)."""
        n, total, squares, errors = np.moveaxis(np.tensordot(times, self.sums, axes=1), 1, 0)  # (B, K) each
        variance = squares - total**2 / n
        return (1 - errors / np.where(variance > 0, variance, np.nan)).mean(axis=1)


def scored_units(
    recorded: Sequence[np.ndarray], decoded: Sequence[np.ndarray], numbers: Sequence[int], trials: Sequence[int | None]
) -> ScoredUnits:
    """The units of one decoding.

    Args:
        recorded: behavior (T, K) of each scored segment, NaN where it was lost.
        decoded: (T, K) of the same segments.
        numbers: (S,) segment numbers.
        trials: (S,) trial of each segment, whose segments are one unit. If one has no trial, segments are the units.
    """
    has_trials = all(trial is not None for trial in trials)
    sums, used = _sums(recorded, decoded)
    labels, unit_of = np.unique(np.array(trials if has_trials else numbers)[used], return_inverse=True)
    by_unit = np.zeros((len(labels), *sums.shape[1:]))
    np.add.at(by_unit, unit_of, sums[used])
    return ScoredUnits(unit="trials" if has_trials else "segments", numbers=labels.astype(np.int64), sums=by_unit)


def write_units(units: ScoredUnits, folder: Path) -> None:
    """Write the units into a job's folder."""
    check_owner(folder)
    with open(folder / FILE, "wb") as file:
        np.savez(file, unit=units.unit, numbers=units.numbers, sums=units.sums)


def read_units(folder: Path) -> ScoredUnits | None:
    """The units in a job's folder; None if the file is missing or damaged, because only an interval depends on it."""
    try:
        with np.load(folder / FILE, allow_pickle=False) as file:
            return ScoredUnits(unit=str(file["unit"]), numbers=file["numbers"], sums=file["sums"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def _sums(recorded: Sequence[np.ndarray], decoded: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(S, 4, K) sums over the bins of each segment, as in `ScoredUnits`, and (S,) whether it has any such bin.

    The target is about its mean over all segments, so that its variance is no difference of large numbers.
    """
    pairs = [_finite_pair(*pair) for pair in zip(recorded, decoded, strict=True)]
    everything = np.concatenate([target for target, _ in pairs])
    mean = everything.mean(axis=0) if len(everything) else 0.0
    sums = [
        [np.full(target.shape[1], len(target)), *(part.sum(axis=0) for part in _parts(target - mean, error))]
        for target, error in pairs
    ]
    return np.array(sums, dtype=np.float64), np.array([len(target) > 0 for target, _ in pairs])


def _finite_pair(recorded: np.ndarray, decoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Target and error (n, K) of the bins with behavior."""
    target = np.asarray(recorded, dtype=np.float64)
    is_there = np.isfinite(target).all(axis=1)
    return target[is_there], target[is_there] - np.asarray(decoded, dtype=np.float64)[is_there]


def _parts(target: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return target, target**2, error**2
