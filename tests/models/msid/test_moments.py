"""Moments of windows, compared with a direct evaluation of their definitions."""

import numpy as np
import pytest
import torch

from raydistill.errors import DataError
from raydistill.models.msid.moments import hankel_moments, log_rate_moments
from tests.models.msid.systems import simulated

HORIZON, N_UNITS = 3, 4


@pytest.fixture(scope="module")
def segments():
    """Three segments of several lengths, one of them too short for a window."""
    _, _, counts, lfp = simulated(n_bins=260, n_units=N_UNITS, n_channels=2, rate=0.6)
    signals = torch.from_numpy(np.concatenate([counts, lfp], axis=1).astype(float))
    return list(signals.split([150, 5, 105]))


def windows(segments):
    """(W, 2hn) the rows of every window within a segment: future and past of each unit, then of each channel."""
    rows = []
    for segment in (s.numpy() for s in segments):
        for t in range(HORIZON, len(segment) - HORIZON + 1):
            future, past = segment[t : t + HORIZON], segment[t - HORIZON : t][::-1]
            parts = (future[:, :N_UNITS], past[:, :N_UNITS], future[:, N_UNITS:], past[:, N_UNITS:])
            rows.append(np.concatenate([part.ravel() for part in parts]))
    return np.array(rows)


def test_hankel_moments_equal_those_of_all_windows_within_segments(segments):
    moments = hankel_moments(segments, N_UNITS, HORIZON)
    mean = torch.cat(segments).mean(0).numpy()
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12)
    rows = windows(segments)
    means = np.concatenate([np.tile(mean[:N_UNITS], 2 * HORIZON), np.tile(mean[N_UNITS:], 2 * HORIZON)])
    assert moments.n_windows == len(rows) == (150 - 5) + (105 - 5)
    np.testing.assert_allclose(moments.covariance, (rows - means).T @ (rows - means) / len(rows), atol=1e-12)


def test_log_rate_moments_equal_the_formulas(segments):
    moments = hankel_moments(segments, N_UNITS, HORIZON)
    result = log_rate_moments(moments)
    n = 2 * HORIZON * N_UNITS
    covariance, rates = moments.covariance.numpy().copy(), np.tile(moments.mean[:N_UNITS].numpy(), 2 * HORIZON)
    for i in range(n):
        scale = max(1.0, np.sqrt(1.01 * rates[i] / covariance[i, i]))
        covariance[i] *= scale
        covariance[:, i] *= scale
    counts, floored = covariance[:n, :n].copy(), 0
    for i in range(n):
        for j in range(n):
            product = counts[i, j] + rates[i] * rates[j] - (rates[i] if i == j else 0)
            floored += product < 0.5 / moments.n_windows and i < j
            covariance[i, j] = np.log(max(product, 0.5 / moments.n_windows)) - np.log(rates[i] * rates[j])
    covariance[:n, n:] /= rates[:, None]
    covariance[n:, :n] /= rates
    values, vectors = np.linalg.eigh(covariance)
    covariance = vectors @ np.diag(values.clip(min=1e-5)) @ vectors.T
    units, channels = HORIZON * N_UNITS, HORIZON * 2
    future = [*range(units), *range(n, n + channels)]
    past = [*range(units, n), *range(n + channels, n + 2 * channels)]
    present = [*range(N_UNITS), n, n + 1]
    np.testing.assert_allclose(result.future_past, covariance[np.ix_(future, past)], atol=1e-9)
    np.testing.assert_allclose(result.present, covariance[np.ix_(present, present)], atol=1e-9)
    log_means = 2 * np.log(rates) - 0.5 * np.log(np.diag(counts) + rates**2 - rates)
    np.testing.assert_allclose(result.mean[:N_UNITS], log_means[:N_UNITS], atol=1e-12)
    np.testing.assert_array_equal(result.mean[N_UNITS:], moments.mean[N_UNITS:])
    assert result.n_floored == floored


def test_units_that_never_fire_together_are_counted_and_stay_finite():
    counts = torch.zeros(400, 2, dtype=torch.float64)
    counts[::20, 0], counts[10::20, 1] = 1, 1
    result = log_rate_moments(hankel_moments([counts], 2, 2))
    assert result.n_floored > 0 and result.future_past.isfinite().all()


def test_segments_shorter_than_two_horizons_are_refused(segments):
    with pytest.raises(DataError, match="no segment of the train fold has 400 bins"):
        hankel_moments(segments, N_UNITS, 200)
