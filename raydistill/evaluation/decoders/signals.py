"""Raw signals as the baselines read them: averaged over the recent past, and standardised on the training segments.

Axes: T bins, C units or channels.
"""

from collections.abc import Iterable

import numpy as np

from raydistill.store.session import Segment

TAP_S = 0.06
"""Duration in s of a tap: the signal is averaged over about this much time."""


def tap_bins(bin_width_ms: float) -> int:
    """Number of bins in a tap, at least 1."""
    return max(1, round(TAP_S * 1000 / bin_width_ms))


def sqrt_counts(segment: Segment) -> np.ndarray:
    """(T, units) square roots of the spike counts, float32."""
    assert segment.spikes is not None  # the baseline suits only sessions that have them; likewise below
    return np.sqrt(segment.spikes, dtype=np.float32)


def lfp_of(segment: Segment) -> np.ndarray:
    """(T, channels) z-scored LFP, float32."""
    assert segment.lfp is not None
    return segment.lfp


def behavior_of(segment: Segment) -> np.ndarray:
    """(T, K) z-scored behavior, NaN where it was lost."""
    assert segment.behavior is not None
    return segment.behavior


def moving_mean(x: np.ndarray, width: int) -> np.ndarray:
    """(T, C) mean of x (T, C) over the last `width` bins, or over all bins so far near the start of the segment."""
    if width == 1:
        return x
    total = np.cumsum(x, axis=0, dtype=np.float64)
    total[width:] -= total[:-width].copy()
    return (total / np.minimum(np.arange(1, len(x) + 1), width)[:, None]).astype(np.float32)


def mean_and_sd(signals: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (C,) over all bins of signals (T, C); the SD of a constant column is set to 1."""
    n, total, squares = 0, np.zeros(()), np.zeros(())
    for x in signals:
        x = x.astype(np.float64)
        n, total, squares = n + len(x), total + x.sum(axis=0), squares + (x**2).sum(axis=0)
    mean = total / n
    std = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
    return mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32)
