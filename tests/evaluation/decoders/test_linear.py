import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge

from raydistill.evaluation.decoders.linear import LeastSquares, lagged


def _fitted(x, y, chunk=37):
    fit = LeastSquares()
    for i in range(0, len(x), chunk):
        fit.add(x[i : i + chunk], y[i : i + chunk])
    return fit


def _regression(seed, n=400, features=12, targets=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, features)) @ rng.normal(size=(features, features)) + rng.normal(0, 3, features)
    return x, x @ rng.normal(size=(features, targets)) + rng.normal(size=(n, targets)) + 5


def test_least_squares_on_float32_chunks_equals_scikit_learn():
    x, y = _regression(0)
    x, y = x.astype(np.float32), y.astype(np.float32)
    ours, theirs = _fitted(x, y).solve(), LinearRegression().fit(x.astype(np.float64), y.astype(np.float64))
    np.testing.assert_allclose(ours.weights, theirs.coef_.T, atol=1e-6)
    np.testing.assert_allclose(ours.intercept, theirs.intercept_, atol=1e-6)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x.astype(np.float64)), atol=1e-6)


def test_least_squares_on_features_far_from_zero_loses_no_digits():
    x, y = _regression(1)
    x = x + 1e5
    theirs = LinearRegression().fit(x, y)
    np.testing.assert_allclose(_fitted(x, y).solve().weights, theirs.coef_.T, atol=1e-6)


def test_least_squares_on_features_in_different_units_equals_scikit_learn():
    x, y = _regression(2)
    units = 10.0 ** np.linspace(-5, 5, x.shape[1])
    np.testing.assert_allclose(
        _fitted(x * units, y).solve().weights * units[:, None], LinearRegression().fit(x, y).coef_.T, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["copied", "constant", "fewer rows than features"])
def test_least_squares_on_deficient_rank_takes_the_shortest_weights(kind):
    x, y = _regression(3, n=9 if kind == "fewer rows than features" else 400)
    if kind == "copied":
        x = np.concatenate([x, 2 * x[:, :3], x[:, :1] - x[:, 1:2]], axis=1)
    if kind == "constant":
        x[:, 4] = 7.0
    theirs = LinearRegression().fit(x, y)
    ours = _fitted(x, y).solve()
    np.testing.assert_allclose(ours.weights, theirs.coef_.T, atol=1e-6)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), atol=1e-6)


def test_least_squares_give_no_weight_to_the_rounding_errors_of_normed_float32_features():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(5000, 64)) * 0.1 + rng.normal(size=64)
    x = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True) * rng.uniform(0.8, 1.2, 64) + 0.1
    y = x[:, :2] + rng.normal(size=(5000, 2))
    exact, rounded = _fitted(x, y).solve(), _fitted(x.astype(np.float32), y).solve()
    np.testing.assert_allclose(rounded.weights, exact.weights, atol=1e-4)
    again = x.astype(np.float32) * np.float32(1 + 1e-6)  # as another batch or machine may round
    np.testing.assert_allclose(rounded.predict(again), exact.predict(x), atol=1e-4)


@given(seed=st.integers(0, 1000), penalty=st.floats(1e-2, 1e5), chunk=st.integers(1, 400))
@settings(max_examples=25)
def test_ridge_in_any_chunks_equals_scikit_learn(seed, penalty, chunk):
    x, y = _regression(seed)
    ours, theirs = _fitted(x, y, chunk).solve(penalty), Ridge(alpha=penalty).fit(x, y)
    np.testing.assert_allclose(ours.weights, theirs.coef_.T, atol=1e-6)
    np.testing.assert_allclose(ours.intercept, theirs.intercept_, atol=1e-6)


@pytest.mark.parametrize("penalty", [0.0, 10.0])
def test_solve_on_leading_features_equals_a_fit_without_the_others(penalty):
    x, y = _regression(4)
    np.testing.assert_allclose(
        _fitted(x, y).solve(penalty, features=5).weights, _fitted(x[:, :5], y).solve(penalty).weights, atol=1e-9
    )


def test_solve_without_rows_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        LeastSquares().solve()


def test_lagged_puts_the_past_lag_by_lag_and_zeros_before_the_segment():
    x = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    np.testing.assert_array_equal(lagged(x, 2), [[1, 10, 0, 0], [2, 20, 1, 10], [3, 30, 2, 20]])
    np.testing.assert_array_equal(lagged(x, 2, stride=2)[:, 2:], [[0, 0], [0, 0], [1, 10]])
    assert not lagged(x, 9)[:, 6:].any()


@given(bins=st.integers(1, 30), lags=st.integers(1, 8), stride=st.integers(1, 4), at=st.integers(0, 29))
def test_lagged_when_one_bin_changes_leaves_earlier_rows_alone(bins, lags, stride, at):
    at = min(at, bins - 1)
    x = np.random.default_rng(0).normal(size=(bins, 3)).astype(np.float32)
    changed = x.copy()
    changed[at] += 1
    np.testing.assert_array_equal(lagged(x, lags, stride)[:at], lagged(changed, lags, stride)[:at])


def test_lagged_without_a_lag_is_refused():
    with pytest.raises(ValueError, match="lags=0"):
        lagged(np.zeros((3, 1)), 0)
