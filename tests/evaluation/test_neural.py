"""Measures of neural prediction, on cases whose values follow by hand from their definitions."""

import math

import numpy as np
import pytest
from scipy.stats import pearsonr, poisson
from sklearn.metrics import r2_score, roc_auc_score

from raydistill.evaluation.neural import bits_per_spike, correlation_per_column, prediction_power, r2_per_column


def test_bits_per_spike_of_a_case_by_hand():
    """Unit 0: counts 2, 0 (mean 1), rates 2, 0.5. Unit 1: counts 1, 1 (mean 1), rates 1, 1, so that it adds nothing.

    The log-likelihood of a count n with rate r is n ln r - r - ln n!, so unit 0 has 2 ln 2 - 2 - 0.5 - ln 2!, and with
    its mean 0 - 1 - 1 - ln 2!. The difference is 2 ln 2 - 0.5, over 4 spikes and ln 2.
    """
    rates, counts = np.array([[2.0, 1.0], [0.5, 1.0]]), np.array([[2, 1], [0, 1]])
    assert bits_per_spike(rates, counts) == pytest.approx((2 * math.log(2) - 0.5) / 4 / math.log(2), rel=1e-12)


def test_bits_per_spike_equals_the_difference_of_poisson_likelihoods():
    random = np.random.default_rng(0)
    rates = random.gamma(1.0, 0.3, size=(500, 7))
    counts = random.poisson(rates)
    model, null = (poisson.logpmf(counts, r).sum() for r in (rates, counts.mean(0)))
    assert bits_per_spike(rates, counts) == pytest.approx((model - null) / counts.sum() / np.log(2), rel=1e-10)
    assert bits_per_spike(np.broadcast_to(counts.mean(0), counts.shape), counts) == pytest.approx(0, abs=1e-12)


def test_rates_of_zero_count_as_very_small_ones_and_silence_has_no_score():
    counts = np.array([[1], [0]])
    by_hand = (math.log(1e-9) - math.log(0.5) + 1.0 - 1e-9) / math.log(2)  # second bin: 1e-9, as the first
    assert bits_per_spike(np.zeros((2, 1)), counts) == pytest.approx(by_hand - 1e-9 / math.log(2), rel=1e-9)
    assert bits_per_spike(np.ones((2, 1)), np.zeros((2, 1))) is None


def test_a_silent_unit_costs_what_is_predicted_of_it():
    counts, rates = np.array([[1, 0], [1, 0]]), np.array([[1.0, 0.25], [1.0, 0.25]])
    assert bits_per_spike(rates, counts) == pytest.approx(-0.5 / 2 / math.log(2), rel=1e-6)


def test_prediction_power_is_twice_the_area_under_the_curve_minus_one():
    random = np.random.default_rng(1)
    rates = np.round(random.random((300, 3)), 1)  # with ties
    counts = random.poisson(rates)
    areas = [roc_auc_score(counts[:, k] > 0, rates[:, k]) for k in range(3)]
    assert prediction_power(rates, counts) == pytest.approx(2 * np.mean(areas) - 1, rel=1e-12)
    always = np.concatenate([counts, np.ones((300, 1))], axis=1)  # a unit that fires in every bin tells nothing
    assert prediction_power(np.column_stack([rates, rates[:, 0]]), always) == prediction_power(rates, counts)
    assert prediction_power(rates, np.ones((300, 3))) is None


def test_r2_and_correlation_per_column_and_a_constant_column():
    random = np.random.default_rng(2)
    target = random.normal(size=(200, 3))
    prediction = 0.5 * target + random.normal(size=(200, 3)) + 0.1
    target[:, 2] = 4.0
    r2, correlation = r2_per_column(target, prediction), correlation_per_column(target, prediction)
    pairs = [(target[:, k], prediction[:, k]) for k in range(2)]
    np.testing.assert_allclose(r2[:2], [r2_score(*pair) for pair in pairs], rtol=1e-12)
    np.testing.assert_allclose(correlation[:2], [pearsonr(*pair).statistic for pair in pairs], rtol=1e-12)
    assert np.isnan(r2[2]) and np.isnan(correlation[2])
