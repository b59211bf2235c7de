"""Smoothing over time against a Gaussian filter, and against lines, which it must not bend."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from raydistill.recordings.preprocessing.smoothing import derivative, smoothed


@pytest.mark.parametrize("sd_s", [0.03, 0.05, 0.3])
def test_smoothing_at_equal_steps_is_the_gaussian_mean(sd_s, rng):
    times = 100 + np.arange(2000) / 50
    values = rng.normal(1e4, 1.0, (2000, 2))
    inner = slice(100, -100)
    expected = gaussian_filter1d(values, sd_s * 50, axis=0)
    assert np.abs(smoothed(times, values, sd_s, 1.0) - expected)[inner].max() < 2e-4  # they end at 4 SDs


def test_smoothing_leaves_a_line_a_line_at_uneven_steps_and_at_the_ends(rng):
    times = np.sort(rng.uniform(0, 20, 1500))
    line = (3 * times + 7)[:, None]
    assert np.abs(smoothed(times, line, 0.1, 1.0) - line).max() < 1e-6


def test_smoothing_weighs_samples_by_time_and_not_by_place_in_the_file(rng):
    """Twice as many samples in one half of the time must not pull the other half towards them."""
    times = np.concatenate([np.arange(0, 10, 0.02), np.arange(10, 20, 0.005)])
    out = smoothed(times, np.sin(times)[:, None], 0.1, 1.0)[:, 0]
    inner = (times > 1) & (times < 19)
    assert np.abs(out - np.sin(times) * np.exp(-0.005))[inner].max() < 2e-3


def test_smoothing_shorter_than_the_steps_changes_nothing(rng):
    times, values = np.arange(100) / 10, rng.normal(size=(100, 1))
    assert np.array_equal(smoothed(times, values, 1e-6, 1.0), values)


def test_smoothing_dense_samples_is_fast_and_right():
    times = np.arange(200_000) / 10_000
    out = smoothed(times, np.sin(times)[:, None], 0.2, 1.0)[:, 0]
    inner = (times > 1) & (times < 19)
    assert np.abs(out - np.sin(times) * np.exp(-0.02))[inner].max() < 1e-3


def test_smoothing_and_derivative_keep_runs_apart_and_nan_nan():
    times = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 9.0])
    values = np.array([0.0, 1.0, 2.0, 100.0, 101.0, 7.0])[:, None]
    values = np.hstack([values, np.where(np.arange(6) == 1, np.nan, values[:, 0])[:, None]])
    assert np.allclose(smoothed(times, values, 0.5, 1.0), values, atol=1e-9, equal_nan=True)
    expected = [[10, 10], [10, np.nan], [10, 10], [10, 10], [10, 10], [np.nan, np.nan]]
    assert np.allclose(derivative(times, values, 1.0), expected, equal_nan=True)
