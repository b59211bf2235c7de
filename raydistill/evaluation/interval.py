"""The interval of one score, R² or AUC: how much it depends on which segments were scored.

Axes: n scored examples of a label, C classes, U trials or segments that are resampled, B resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raydistill.evaluation.decoders.classify import ScoredExamples
from raydistill.evaluation.units import ScoredUnits

FEWEST_UNITS = 10
"""Resampling fewer trials or segments gives an interval that is far too narrow, so there is none."""
DRAWS = 2000
LEVEL = 0.95
_AT_ONCE = 4_000_000  # weights of examples that are in memory, 8 bytes each, a few times


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreInterval:
    """The 95 % interval of the R² or AUC of one model on one session.

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

    def metrics(self, key: str) -> dict[str, Any]:
        """As part of metrics.json, where the score is `key`: r2 or auc."""
        ends = None if self.low is None else [self.low, self.high]
        return {f"{key}_interval": ends, f"{key}_interval_of": {"n": self.n, "unit": self.unit}}

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, Any], key: str) -> "ScoreInterval | None":
        """The interval in a metrics.json; None if the job was scored without one."""
        of = metrics.get(f"{key}_interval_of")
        if not isinstance(of, dict):
            return None
        low, high = metrics.get(f"{key}_interval") or (None, None)
        return cls(n=int(of["n"]), unit=str(of["unit"]), low=low, high=high)

    def in_words(self) -> str:
        """Such as "0.312 to 0.498 (95 %, 24 trials resampled)"."""
        if self.low is None or self.high is None:
            return f"none: {self.n} scored {self.unit} are too few to resample (at least {FEWEST_UNITS})"
        return f"{self.low:.3f} to {self.high:.3f} (95 %, {self.n} {self.unit} resampled)"


def r2_interval(units: ScoredUnits, seed: int = 0) -> ScoreInterval:
    """The interval of the mean R² over behavior columns, from trials, or else segments, resampled with replacement.

    Args:
        seed: of the resampling.
    """
    n = len(units.numbers)
    if n < FEWEST_UNITS:
        return ScoreInterval(n=n, unit=units.unit, low=None, high=None)
    return _interval(units.r2(_times(n, seed)), n, units.unit)


def auc_interval(
    examples: ScoredExamples, numbers: Sequence[int], trials: Sequence[int | None], seed: int = 0
) -> ScoreInterval:
    """The interval of the mean AUC over classes, from trials, or else segments, resampled with replacement.

    A class that a resample lacks is left out of its mean, as one that the scored folds lack is left out of the AUC.

    Args:
        numbers: of the scored segments.
        trials: trial of each of them, whose segments are one unit. If one has no trial, segments are the units.
        seed: of the resampling.
    """
    has_trials = all(trial is not None for trial in trials)
    unit, of_segment = "trials" if has_trials else "segments", np.array(trials if has_trials else numbers)
    units, unit_of = np.unique(of_segment[examples.segment], return_inverse=True)
    if len(units) < FEWEST_UNITS:
        return ScoreInterval(n=len(units), unit=unit, low=None, high=None)
    times = _times(len(units), seed)
    per_class = [
        _resampled_auc(examples.probabilities[:, code], examples.codes == code, unit_of, times)
        for code in examples.classes
    ]
    of_resamples = np.array(per_class)  # (C, B)
    there = np.isfinite(of_resamples)
    means = np.where(there, of_resamples, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    return _interval(means[there.any(axis=0)], len(units), unit)


def _times(n: int, seed: int) -> np.ndarray:
    """(B, n) how often each of n units is drawn."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)


def _interval(values: np.ndarray, n: int, unit: str) -> ScoreInterval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return ScoreInterval(n=n, unit=unit, low=float(low), high=float(high))


def _resampled_auc(p: np.ndarray, is_class: np.ndarray, unit_of: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(B,) AUC of a class with its examples drawn as often as their units are; NaN where one side has no example.

    AUC is the share of pairs, of an example of the class and another one, in which the first has the higher
    probability; a pair with equal ones counts half.

    Args:
        p: (n,) probabilities of the class.
        is_class: (n,) whether it is the class of the example.
        unit_of: (n,) unit of the example.
        times: (B, U) how often each unit is drawn.
    """
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(p[order]) > 0])  # of examples with the same probability
    drawn, of_class, results = unit_of[order], is_class[order], []
    for some in np.array_split(times, -(-len(times) * len(p) // _AT_ONCE)):
        weights = some[:, drawn].astype(np.float64)  # (b, n)
        positive = np.add.reduceat(weights * of_class, starts, axis=1)
        negative = np.add.reduceat(weights * ~of_class, starts, axis=1)
        won = (positive * (np.cumsum(negative, axis=1) - negative / 2)).sum(axis=1)
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        results.append(won / np.where(pairs > 0, pairs, np.nan))
    return np.concatenate(results)
