"""The interval of one R²: how much it depends on which segments were scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FEWEST_UNITS = 10
"""Resampling fewer trials or segments gives an interval that is far too narrow, so there is none."""
DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class R2Interval:
    """The 95 % interval of the R² of one model on one session.

    It holds the model and the split: another seed, or other trials in the test fold, vary in addition. Neighbouring
    segments count as independent.
    """

    n: int
    """Number of trials, or of segments, that were resampled."""
    unit: str
    """trials or segments."""
    low: float | None
    """None: there are fewer than FEWEST_UNITS."""
    high: float | None

    def metrics(self) -> dict[str, Any]:
        """As part of metrics.json."""
        ends = None if self.low is None else [self.low, self.high]
        return {"r2_interval": ends, "r2_interval_of": {"n": self.n, "unit": self.unit}}

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any]) -> "R2Interval | None":
        """The interval in a metrics.json; None if the job was scored without one."""
        of = metrics.get("r2_interval_of")
        if not isinstance(of, dict):
            return None
        low, high = metrics.get("r2_interval") or (None, None)
        return cls(n=int(of["n"]), unit=str(of["unit"]), low=low, high=high)

    def in_words(self) -> str:
        """Such as "0.312 to 0.498 (95 %, 24 trials resampled)"."""
        if self.low is None or self.high is None:
            return f"none: {self.n} scored {self.unit} are too few to resample (at least {FEWEST_UNITS})"
        return f"{self.low:.3f} to {self.high:.3f} (95 %, {self.n} {self.unit} resampled)"


def r2_interval(
    recorded: Sequence[np.ndarray], decoded: Sequence[np.ndarray], trials: Sequence[int | None], seed: int = 0
) -> R2Interval:
    """The interval of the mean R² over behavior columns, from trials, or else segments, resampled with replacement.

    Args:
        recorded: behavior (T, K) of each of S scored segments, NaN where it was lost.
        decoded: (T, K) of the same segments.
        trials: (S,) trial of each segment; segments of one trial are drawn together. If one has no trial, segments are
            drawn.
        seed: of the resampling.
    """
    has_trials = all(trial is not None for trial in trials)
    _, unit_of = np.unique(trials if has_trials else range(len(recorded)), return_inverse=True)
    sums, used = _sums(recorded, decoded)
    _, unit_of = np.unique(unit_of[used], return_inverse=True)
    n = int(unit_of.max()) + 1 if len(unit_of) else 0
    unit = "trials" if has_trials else "segments"
    if n < FEWEST_UNITS:
        return R2Interval(n=n, unit=unit, low=None, high=None)
    by_unit = np.zeros((n, *sums.shape[1:]))
    np.add.at(by_unit, unit_of, sums[used])
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)  # (DRAWS, n)
    low, high = np.quantile(_r2(np.tensordot(times, by_unit, axes=1)), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return R2Interval(n=n, unit=unit, low=float(low), high=float(high))


def _sums(recorded: Sequence[np.ndarray], decoded: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(S, 4, K) sums over the bins of each segment, from which R² follows, and (S,) whether it has any such bin.

    The sums are of ones, of the target, of its square and of the squared error. The target is about its mean over all
    segments, so that its variance is no difference of large numbers.
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


def _r2(sums: np.ndarray) -> np.ndarray:
    """(draws,) R², as a mean over columns, of sums (draws, 4, K)."""
    n, total, squares, errors = np.moveaxis(sums, 1, 0)
    variance = squares - total**2 / n
    return (1 - errors / np.where(variance > 0, variance, np.nan)).mean(axis=1)
