"""What some of the values of a variable say about it."""

from dataclasses import dataclass

import numpy as np

_MOST_DISTINCT = 100_000


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What was seen of the numbers of a variable, without those that are not finite."""

    n: int
    """How many numbers were seen."""
    is_all: bool
    """Whether these are all."""
    low: float = np.nan
    high: float = np.nan
    first: float = np.nan
    last: float = np.nan
    is_integer: bool = False
    """Whether all are whole numbers."""
    is_ascending: bool = False
    """Whether none is smaller than the one before it."""
    is_uniform: bool = False
    """Whether they ascend by equal steps."""
    back_share: float = 0.0
    """Which part of the numbers is smaller than the one before."""
    n_distinct: int = 0
    n_changes: int = 0
    """How often a number differs from the one before it."""
    nan_share: float = 0.0

    @property
    def begins_late(self) -> bool:
        """Whether times begin long after 0, as seconds since 1970 do, so that the last says nothing of how long."""
        return self.low > self.high - self.low

    @property
    def range(self) -> str:
        """The range in words."""
        if not np.isfinite(self.low):
            return "not one finite number"
        kind = "whole numbers" if self.is_integer else "numbers"
        return f"{kind} from {self.low:.6g} to {self.high:.6g}" + (" and NaN" if self.nan_share else "")


def facts(values: np.ndarray, is_all: bool) -> Facts:
    """What there is to see in some values, in the order of the file."""
    flat = np.ravel(values)
    finite = flat[np.isfinite(flat)].astype(np.float64)
    if not len(finite):
        return Facts(n=len(flat), is_all=is_all, nan_share=float(len(flat) > 0))
    steps = np.diff(finite)
    some = finite[:_MOST_DISTINCT]
    return Facts(
        n=len(flat),
        is_all=is_all,
        low=float(finite.min()),
        high=float(finite.max()),
        first=float(finite[0]),
        last=float(finite[-1]),
        is_integer=bool(np.all(finite == np.round(finite))),
        is_ascending=bool(np.all(steps >= 0)),
        is_uniform=_is_uniform(steps),
        back_share=float(np.mean(steps < 0)) if len(steps) else 0.0,
        n_distinct=len(np.unique(some)),
        n_changes=int(np.sum(steps != 0)),
        nan_share=1 - len(finite) / len(flat),
    )


def _is_uniform(steps: np.ndarray) -> bool:
    if not len(steps):
        return False
    step = float(np.median(steps))
    return step > 0 and bool(np.all(np.abs(steps - step) <= 0.01 * step))


def is_counts(seen: Facts, most: float = 1000) -> bool:
    """Whether these can be numbers of spikes in bins."""
    return seen.is_integer and seen.low >= 0 and seen.high <= most and seen.n_distinct <= most


def period_of(column: np.ndarray) -> float | None:
    """2 pi, 360 or 1 if a column of behavior jumps between the ends of such a range, as angles do; else None.

    It is not sought in columns that rarely move, such as states of a task.
    """
    column = np.asarray(column, dtype=np.float64)
    column = column[np.isfinite(column)]
    if len(column) < 20:
        return None
    steps = np.abs(np.diff(column))
    low, extent = float(column.min()), float(np.ptp(column))
    for period in (2 * np.pi, 360.0):
        starts = min(abs(low), abs(low + period / 2))
        if 0.9 * period < extent <= 1.001 * period and starts < 0.06 * period:
            jumps = steps > 0.8 * period
            if jumps.any() and np.mean(jumps) < 0.2 and np.median(steps) < 0.2 * period and np.median(steps) > 0:
                return period
    return None


def time_unit_guess(seen: Facts, is_spikes: bool) -> tuple[str, str]:
    """The most likely unit of ascending times, and why.

    A recording lasts from some seconds to some hours, and seconds and sample numbers differ in that only the latter are
    whole numbers. Times that begin late, such as seconds since 1970, are told by how long they last.
    """
    lasting = seen.high - seen.low
    last, words = (lasting, "they last") if seen.begins_late else (seen.high, "the last time is")
    if seen.is_integer and last > 1000:
        if is_spikes:
            unit = "ms" if last <= 3e6 else "samples" if last <= 1e9 else "us"
        else:
            unit = "ms" if last <= 2e7 else "us"
    else:
        unit = "s" if last <= 3e4 else "ms" if last <= 3e7 else "us"
    kind = "whole" if seen.is_integer else "not whole"
    return unit, f"{words} {last:.6g} and times are {kind} numbers"
