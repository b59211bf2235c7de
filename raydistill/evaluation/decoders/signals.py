"""Raw signals as the plain baselines take them: averaged over the recent past, and standardised on train.

Axes: T bins, C units or channels.
"""

import numpy as np

TAP_S = 0.06
"""About this much of the past goes into one value."""


def moving_mean(x, width):
    """(T, C) mean over the last `width` bins, or as many as the segment has had."""
    if width == 1:
        return x
    total = np.cumsum(x, axis=0, dtype=np.float64)
    total[width:] -= total[:-width].copy()
    return (total / np.minimum(np.arange(1, len(x) + 1), width)[:, None]).astype(np.float32)


def statistics(signals):
    """Mean and standard deviation (C,) over all bins; 1 for a column that never changes."""
    n, total, squares = 0, 0.0, 0.0
    for x in signals:
        x = x.astype(np.float64)
        n, total, squares = n + len(x), total + x.sum(axis=0), squares + (x**2).sum(axis=0)
    mean = total / n
    std = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
    return mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32)
