"""The Kalman filter: the textbook's recursion, a system that is known, and settings chosen without the test fold."""

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.evaluation.decoders.kalman import Moments, kalman_on_lfp, kalman_on_spikes
from raydistill.evaluation.decoders.ridge import ridge_on_lfp
from raydistill.store.session import Segment

A = np.array([[0.97, 0.05], [-0.05, 0.97]])
H = np.random.default_rng(1).normal(size=(9, 2))


def segments(seed, n, split, bins=120, noise=3.0):
    """Behavior that turns and fades as A says, seen through nine noisy channels of LFP and six units."""
    chance = np.random.default_rng(seed)
    made = []
    for number in range(n):
        x = np.zeros((bins, 2))
        for t in range(1, bins):
            x[t] = A @ x[t - 1] + chance.normal(0, 0.2, 2)
        lfp = (x @ H.T + chance.normal(0, noise, (bins, 9))).astype(np.float32)
        spikes = chance.poisson(np.exp(0.5 + 0.6 * x @ H[:6].T)).clip(0, 200).astype(np.uint8)
        made.append(Segment("s", number, split, 0.0, spikes, lfp, x.astype(np.float32)))
    return made


@pytest.fixture(scope="module")
def folds():
    return [segments(i, n, split) for i, (split, n) in enumerate((("train", 40), ("valid", 8), ("test", 8)))]


def test_kalman_filter_is_the_textbooks_recursion(folds):
    moments = Moments()
    for s in folds[0]:
        moments.add(s.lfp, s.behavior)
    fitted = moments.fit()
    z = folds[2][0].lfp - fitted.mean_z
    x, p, expected = np.zeros(2), fitted.start, []
    for t in range(len(z)):
        if t:
            x, p = fitted.a @ x, fitted.a @ p @ fitted.a.T + fitted.w
        gain = p @ fitted.h.T @ np.linalg.inv(fitted.h @ p @ fitted.h.T + fitted.q)
        x, p = x + gain @ (z[t] - fitted.h @ x), (np.eye(2) - gain @ fitted.h) @ p
        expected.append(x + fitted.mean_x)
    np.testing.assert_allclose(fitted.decode(folds[2][0].lfp), expected, atol=1e-8)


def test_fit_recovers_the_system_that_made_the_data(folds):
    moments = Moments()
    for s in folds[0]:
        moments.add(s.lfp, s.behavior)
    fitted = moments.fit()
    np.testing.assert_allclose(fitted.a, A, atol=0.02)
    np.testing.assert_allclose(fitted.h, H, atol=0.2)
    np.testing.assert_allclose(fitted.w, 0.04 * np.eye(2), atol=0.005)
    np.testing.assert_allclose(np.diag(fitted.q), 9.0, rtol=0.1)


def test_kalman_beats_ridge_where_behavior_moves_smoothly_and_signals_are_noisy(folds):
    kalman, ridge = (f(*folds, 100.0, ("a", "b")) for f in (kalman_on_lfp, ridge_on_lfp))
    assert kalman.r2 > ridge.r2 + 0.05 and kalman.settings["delay_bins"] == 0
    assert kalman.n_test == sum(s.n_bins for s in folds[2])
    assert kalman_on_spikes(*folds, 100.0, ("a", "b")).r2 > 0.6


def test_kalman_settings_are_selected_without_the_test_fold(folds):
    train, valid, test = folds
    chance = np.random.default_rng(0)
    shuffled = [Segment("s", s.number, "test", 0.0, s.spikes, chance.permutation(s.lfp), s.behavior) for s in test]
    a, b = (kalman_on_lfp(train, valid, t, 100.0, ("a", "b")) for t in (test, shuffled))
    assert a.settings == b.settings and a.valid_r2 == b.valid_r2 and b.r2 < a.r2 - 0.3


def test_kalman_excludes_bins_whose_behavior_was_lost(folds):
    train = [Segment("s", s.number, "train", 0.0, s.spikes, s.lfp, s.behavior.copy()) for s in folds[0]]
    for s in train:
        s.behavior[10:20] = np.nan
    found = kalman_on_lfp(train, *folds[1:], 100.0, ("a", "b"))
    assert found.n_train == sum(s.n_bins - 10 for s in train) and found.r2 > 0.3


def test_kalman_without_adjacent_bins_raises_an_error(folds):
    train = [Segment("s", 0, "train", 0.0, s.spikes, s.lfp, np.full_like(s.behavior, np.nan)) for s in folds[0][:2]]
    with pytest.raises(DataError, match="adjacent bins with behavior"):
        kalman_on_lfp(train, *folds[1:], 100.0, ("a", "b"))
