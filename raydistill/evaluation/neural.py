"""How well neural signals, and behavior column by column, are predicted (docs/methods.md, Neural metrics).

Functions of arrays alone. Axes: N bins, U units, C columns.
"""

import numpy as np
from scipy.stats import rankdata

LEAST_RATE = 1e-9
"""Mean count per bin that replaces a predicted one of zero, whose likelihood would be zero."""


def bits_per_spike(rates: np.ndarray, counts: np.ndarray) -> float | None:
    """Log-likelihood of counts above that of each unit's mean count over the same bins, per spike, in bits.

    With rates of units that the model was not given, this is co-smoothing, and with those of later bins, forward
    prediction, as in the Neural Latents Benchmark (Pei et al., 2021). 0: no better than the mean count of each unit.

    Args:
        rates: (N, U) predicted mean counts per bin, of at least 0.
        counts: (N, U) spike counts.
    Returns:
        None if there is no spike.
    """
    counts, rates = np.asarray(counts, dtype=np.float64), np.maximum(np.asarray(rates, dtype=np.float64), LEAST_RATE)
    n_spikes = counts.sum()
    if not n_spikes:
        return None
    mean = np.maximum(counts.mean(axis=0), LEAST_RATE)
    gain = (counts * np.log(rates / mean) - (rates - mean)).sum()  # the factorials of the counts cancel
    return float(gain / n_spikes / np.log(2))


def prediction_power(rates: np.ndarray, counts: np.ndarray) -> float | None:
    """2 AUC - 1 for telling bins with a spike from those without by their rates: a mean over units.

    0: chance; 1: every bin with a spike has a higher rate than every bin without. Equal rates count half.

    Args:
        rates, counts: (N, U).
    Returns:
        None if every unit fires in all bins or in none.
    """
    has_spike = np.asarray(counts) > 0
    n_with = has_spike.sum(axis=0)
    n_without = len(has_spike) - n_with
    used = (n_with > 0) & (n_without > 0)
    if not used.any():
        return None
    ranks = rankdata(np.asarray(rates)[:, used], axis=0)
    above = (ranks * has_spike[:, used]).sum(axis=0) - n_with[used] * (n_with[used] + 1) / 2
    return float(np.mean(2 * above / (n_with[used] * n_without[used]) - 1))


def r2_per_column(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """(C,) R² of each column about its mean over the N bins; NaN for a constant column.

    Args:
        target, prediction: (N, C).
    """
    target, prediction = np.asarray(target, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    total = ((target - target.mean(axis=0)) ** 2).sum(axis=0)
    return 1 - ((target - prediction) ** 2).sum(axis=0) / np.where(_varies(target), total, np.nan)


def correlation_per_column(target: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """(C,) Pearson's correlation of each column over the N bins; NaN if target or prediction is constant.

    Args:
        target, prediction: (N, C).
    """
    target, prediction = np.asarray(target, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    a, b = target - target.mean(axis=0), prediction - prediction.mean(axis=0)
    norms = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return (a * b).sum(axis=0) / np.where(_varies(target) & _varies(prediction), norms, np.nan)


def _varies(values: np.ndarray) -> np.ndarray:
    """(C,) whether a column has different values."""
    return values.max(axis=0) > values.min(axis=0)
