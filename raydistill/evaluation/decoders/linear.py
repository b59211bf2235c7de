"""Linear maps fitted in one pass over the data: least squares and ridge from running sums, and causal lags.

Axes: n rows, T bins, C channels or units, D features, K targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class LinearMap:
    """prediction (n, K) = x (n, D) @ weights (D, K) + intercept (K,)."""

    weights: np.ndarray
    """(D, K)"""
    intercept: np.ndarray
    """(K,)"""

    def predict(self, x) -> np.ndarray:
        """(n, K) float64 predictions from x (n, D)."""
        return np.asarray(x, dtype=np.float64) @ self.weights + self.intercept


class LeastSquares:
    """Least squares over rows that need not fit into memory: the state is D x (D + K) numbers.

    Sums are kept in float64 about the running means (Chan, Golub and LeVeque 1983), so that features with a large
    mean and a small variance lose no digits. See docs/methods.md, Decoding and metrics.
    """

    n: int
    """Rows added."""
    xx: np.ndarray
    """(D, D) sum over rows of the products of x about its mean; `xy` (D, K) likewise of x and y."""
    precision: float
    """Relative rounding error of the features: that of the coarsest type in which rows came."""

    def __init__(self) -> None:
        self.n, self.precision = 0, 0.0

    def add(self, x, y) -> None:
        """Add the rows x (n, D) and y (n, K), all finite."""
        given, y = np.asarray(x), np.asarray(y, dtype=np.float64)
        x = given.astype(np.float64, copy=False)
        if not len(x):
            return
        if given.dtype.kind == "f":
            self.precision = max(self.precision, float(np.finfo(given.dtype).eps))
        if not self.n:
            self.mean_x, self.mean_y = np.zeros(x.shape[1]), np.zeros(y.shape[1])
            self.xx, self.xy = np.zeros((x.shape[1], x.shape[1])), np.zeros((x.shape[1], y.shape[1]))
        total = self.n + len(x)
        step_x, step_y = x.mean(axis=0) - self.mean_x, y.mean(axis=0) - self.mean_y
        # The shift between the old mean and this chunk's enters the sums as one more row.
        shift = np.sqrt(self.n * len(x) / total)
        rows_x = np.vstack([x - x.mean(axis=0), shift * step_x])
        rows_y = np.vstack([y - y.mean(axis=0), shift * step_y])
        self.xx += rows_x.T @ rows_x
        self.xy += rows_x.T @ rows_y
        self.mean_x += step_x * (len(x) / total)
        self.mean_y += step_y * (len(x) / total)
        self.n = total

    def solve(self, penalty: float | np.ndarray = 0.0, features: int | None = None) -> LinearMap:
        """The map that minimises |y - x w - b|^2 + penalty |w|^2; the intercept b is not penalised.

        Without a penalty, directions in which x does not vary by more than its rounding errors get no weight (the
        minimum-norm solution). A LayerNorm leaves such a direction.

        Args:
            penalty: one for all features, or one for each of them, all above 0.
            features: fit on this many leading features only, as if the others had never been added; None: on all.
        Raises:
            ValueError: no row has been added.
        """
        if not self.n:
            raise ValueError("`solve` needs at least one row; `add` some first")
        xx, xy, mean_x = self.xx[:features, :features], self.xy[:features], self.mean_x[:features]
        if np.any(penalty):
            weights = _positive_solve(xx + penalty * np.eye(len(xx)), xy)
        else:
            weights = _minimum_norm(xx, xy, self.precision)
        return LinearMap(weights, self.mean_y - mean_x @ weights)


def _positive_solve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The solution of a @ w = b for a positive definite a (D, D): in half the time of a general one."""
    from scipy.linalg import solve  # imported here because planning reads the table of baselines

    return solve(a, b, assume_a="pos", overwrite_a=True)


def side_by_side(maps: Sequence[LinearMap]) -> LinearMap:
    """G maps of the same features as one, whose predictions are (n, G * K)."""
    weights = np.concatenate([m.weights for m in maps], axis=1)
    return LinearMap(weights, np.concatenate([m.intercept for m in maps]))


def padded(linear: LinearMap, features: int) -> LinearMap:
    """The same map over `features` inputs; the added ones, at the end, get weight 0."""
    return LinearMap(np.pad(linear.weights, ((0, features - len(linear.weights)), (0, 0))), linear.intercept)


def _minimum_norm(xx: np.ndarray, xy: np.ndarray, precision: float) -> np.ndarray:
    """The shortest w (D, K) with xx @ w = xy, for a positive semi-definite xx of features of this precision."""
    # The rank is that of the correlations, so that a feature in small units counts as much as one in large units.
    scale = np.sqrt(np.diag(xx))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(xx / np.outer(scale, scale))
    # Squares of singular values of the features, which have the usual tolerance, D * precision.
    tolerance = max(len(values) * np.finfo(np.float64).eps, (len(values) * precision) ** 2)
    free = values <= tolerance * max(values[-1], 0.0)
    spanned = vectors[:, ~free]
    weights = spanned @ ((spanned.T @ (xy / scale[:, None])) / values[~free, None]) / scale[:, None]
    if free.any():  # any step along `null` predicts the same; take the one that makes w shortest
        null = vectors[:, free] / scale[:, None]
        weights -= null @ np.linalg.lstsq(null, weights, rcond=None)[0]
    return weights


def lagged(x, lags: int, stride: int = 1) -> np.ndarray:
    """The present and the past of one segment, side by side: (T, C) -> (T, lags * C), ordered by lag.

    Columns [l * C, (l + 1) * C) of row t hold bin t - l * stride. Before the start of the segment they are 0, the mean
    of standardised input: lags never reach into another segment.

    Raises:
        ValueError: `lags` or `stride` is below 1.
    """
    if lags < 1 or stride < 1:
        raise ValueError(f"`lags` and `stride` must be at least 1, but got ({lags=}, {stride=})")
    x = np.asarray(x)
    out = np.zeros((len(x), lags, x.shape[1]), dtype=x.dtype)
    for lag in range(lags):
        shift = min(lag * stride, len(x))
        out[shift:, lag] = x[: len(x) - shift]
    return out.reshape(len(x), -1)  # (T, lags, C) -> (T, lags * C)
