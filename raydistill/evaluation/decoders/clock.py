"""The time since a trial began: as features of a decoder, and as a decoder of its own.

Segments must be whole trials that begin at the same event. What repeats in every trial is decoded from this time alone,
without neural data; see docs/methods.md, Skill over the clock.

Axes: T bins of one trial, K behavior columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.decoders.context import longest_of
from raydistill.evaluation.decoders.linear import LeastSquares, LinearMap
from raydistill.evaluation.decoders.scoring import Decoding, evaluate, finite_bins, mean_r2
from raydistill.evaluation.decoders.signals import behavior_of, mean_and_sd

PENALTIES = (1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5)
MAX_COLUMNS = 256
"""Neighbouring bins of longer trials share a column, since the time of a fit grows with the cube of the columns."""


@dataclass(frozen=True, slots=True)
class ClockCode:
    """A one-hot code of the bin within a trial."""

    longest: int
    """Bins of the longest trial."""

    @property
    def bins_per_column(self) -> int:
        """Number of neighbouring bins with the same code."""
        return max(1, -(-self.longest // MAX_COLUMNS))

    @property
    def width(self) -> int:
        """Number of columns."""
        return -(-self.longest // self.bins_per_column)

    def columns(self, n_bins: int) -> np.ndarray:
        """(n_bins, width) float32: 1 in the column of each bin of a trial, 0 in the others."""
        out = np.zeros((n_bins, self.width), dtype=np.float32)
        if self.width:
            bins = np.arange(n_bins)
            out[bins, bins // self.bins_per_column] = 1.0
        return out


@dataclass(frozen=True, eq=False)
class FittedClock:
    """Ridge from the code to behavior, with its penalty selected on the validation fold."""

    code: ClockCode
    mean: np.ndarray
    """(width,) of the code over the training bins; `std` likewise."""
    std: np.ndarray
    linear: LinearMap
    penalty: float
    n_train: int
    """Bins fitted."""

    def columns(self, n_bins: int) -> np.ndarray:
        """(n_bins, width) the standardised code of a trial."""
        return (self.code.columns(n_bins) - self.mean) / self.std

    def predict(self, n_bins: int) -> np.ndarray:
        """(n_bins, K) behavior of a trial as the clock predicts it."""
        return self.linear.predict(self.columns(n_bins))


def fit_clock(
    train: Sequence[np.ndarray], valid: Sequence[np.ndarray], longest: int, columns: Sequence[str]
) -> FittedClock:
    """The clock of a session. Raises DataError as `decode`.

    Args:
        train, valid: behavior (T, K) of each trial.
        longest: bins of the longest trial that will be decoded; for bins later than any in training, the prediction is
            the training mean.
    """
    code, fit = ClockCode(longest), LeastSquares()
    mean, std = mean_and_sd(code.columns(len(behavior)) for behavior in train)

    def pairs(trials: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for behavior in trials:
            yield (code.columns(len(behavior)) - mean) / std, behavior

    for features, behavior in finite_bins(pairs(train), "train"):
        fit.add(features, behavior)
    maps = [fit.solve(penalty) for penalty in PENALTIES]
    best = int(np.argmax(mean_r2(maps, pairs(valid), columns)))
    return FittedClock(code, mean, std, maps[best], PENALTIES[best], fit.n)


def clock(train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """Ridge on the bin within its trial alone: how far behavior is predictable without neural data.

    Args and errors: as `ridge_on_spikes`.
    """
    train, valid, test = ([behavior_of(s) for s in fold] for fold in (train, valid, test))
    fitted = fit_clock(train, valid, longest_of(train, valid, test), columns)
    valid, test = ([(fitted.predict(len(behavior)), behavior) for behavior in fold] for fold in (valid, test))
    settings = {"penalty": fitted.penalty}
    return evaluate(lambda x: x, valid, test, columns, n_train=fitted.n_train, settings=settings)
