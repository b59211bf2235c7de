"""The interval of a gain: wide where sessions differ, and where few trials are scored."""

import numpy as np
import pytest

from raydistill.evaluation.comparisons import compare
from raydistill.evaluation.gain_interval import interval_of_gain
from raydistill.evaluation.scores import Score
from raydistill.evaluation.units import scored_units


def unknown(n):
    """Pairs of n sessions without the trials of their scores."""
    return [[(1, None, None)]] * n


def test_interval_without_trials_resamples_sessions_and_not_seeds():
    rng = np.random.default_rng(0)
    effect = rng.normal(0.1, 0.05, 17)
    differences = np.repeat(effect, 3) + rng.normal(0, 1e-4, 51)
    sessions = np.repeat([f"s{i:02}" for i in range(17)], 3)
    low, high = interval_of_gain(differences, sessions, unknown(17), seed=0)
    assert low < differences.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * effect.std() / np.sqrt(17), rel=0.1)
    narrow = interval_of_gain(differences, np.arange(51), unknown(51), seed=0)
    assert narrow[1] - narrow[0] < 0.7 * (high - low)


def test_interval_is_a_function_of_its_seed_and_is_not_given_for_two_sessions():
    d, c = np.random.default_rng(0).normal(size=30), np.repeat(list("abcdefghij"), 3)
    assert interval_of_gain(d, c, unknown(10), seed=3) == interval_of_gain(d, c, unknown(10), seed=3)
    assert interval_of_gain(d, c, unknown(10), seed=3) != interval_of_gain(d, c, unknown(10), seed=4)
    assert np.isnan(interval_of_gain(d[:6], c[:6], unknown(2), seed=3)).all()


def test_interval_in_parts_is_that_of_one_draw(monkeypatch):
    rng = np.random.default_rng(3)
    differences, sessions = rng.normal(size=90), np.repeat(np.arange(30), 3)
    whole = interval_of_gain(differences, sessions, unknown(30), seed=5)
    monkeypatch.setattr("raydistill.evaluation.gain_interval._AT_ONCE", 1000)
    assert interval_of_gain(differences, sessions, unknown(30), seed=5) == whole


def decodings(n_sessions, n_trials, noises, seed=0):
    """Scores of methods with this noise on sessions that are all alike, of trials that differ in noise."""
    rng, scores = np.random.default_rng(seed), []
    for session in range(n_sessions):
        recorded = [rng.normal(size=(40, 2)) for _ in range(n_trials)]
        size = rng.uniform(0.2, 2, n_trials)
        for method, noise in noises.items():
            decoded = [x + rng.normal(0, noise * s, x.shape) for x, s in zip(recorded, size, strict=True)]
            units = scored_units(recorded, decoded, range(n_trials), range(n_trials))
            r2 = float(units.r2(np.ones((1, n_trials)))[0])
            scores.append(Score(method, f"s{session}", "m", 0, r2, "", units=units))
    return scores


def test_interval_widens_with_the_spread_of_few_trials():
    """In sessions that are all alike, a gain varies only by which trials were scored."""
    widths = {}
    for n_trials in (8, 200):
        gain = compare("good", "poor", decodings(6, n_trials, {"good": 0.3, "poor": 0.6}))
        widths[n_trials] = gain.ci_high - gain.ci_low
        assert gain.ci_low < gain.mean_difference < gain.ci_high
    assert widths[8] > 3 * widths[200]


def test_interval_resamples_the_same_trials_for_both_methods():
    """The same decoding twice has a gain of exactly 0, whichever trials are drawn."""
    scores = decodings(5, 10, {"a": 0.5})
    twin = [Score("b", s.session, "m", 0, s.value, "", units=s.units) for s in scores]
    gain = compare("a", "b", scores + twin)
    assert (gain.ci_low, gain.ci_high) == (0.0, 0.0)


def test_interval_covers_the_true_gain_as_often_as_it_says():
    """The true gain is that of very many trials; sessions are alike, so trials are all that varies."""
    noises = {"good": 0.3, "poor": 0.6}
    true = compare("good", "poor", decodings(20, 400, noises, seed=100)).mean_difference
    covered = 0
    for seed in range(20):
        gain = compare("good", "poor", decodings(8, 15, noises, seed=seed))
        covered += gain.ci_low <= true <= gain.ci_high
    assert covered >= 18  # of 20; resampling both levels is a little too wide rather than too narrow
