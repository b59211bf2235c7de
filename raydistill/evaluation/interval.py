"""The interval of one R²: how much it depends on which segments were scored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raydistill.evaluation.units import ScoredUnits

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


def r2_interval(units: ScoredUnits, seed: int = 0) -> R2Interval:
    """The interval of the mean R² over behavior columns, from trials, or else segments, resampled with replacement.

    Args:
        seed: of the resampling.
    """
    n = len(units.numbers)
    if n < FEWEST_UNITS:
        return R2Interval(n=n, unit=units.unit, low=None, high=None)
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)  # (DRAWS, n)
    low, high = np.quantile(units.r2(times), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return R2Interval(n=n, unit=units.unit, low=float(low), high=float(high))
