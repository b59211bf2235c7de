"""The Kalman filter as a baseline: behavior moves smoothly, and neural signals are noisy observations of it.

After Wu et al. (2006): x_t = A x_{t-1} + w and z_t = H x_t + q, where x is behavior and z the neural signal, averaged
over about 60 ms (a tap) and delayed by some taps. A, H and the noise covariances W, Q are fitted on the training
segments by least squares. The delay and the shrinkage of Q towards a multiple of the identity are selected on the
validation fold alone. See docs/methods.md, Baselines.

Axes: T bins, D units or channels, K behavior columns.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.decoders.scoring import Decoding, evaluate, pooled_r2
from raydistill.evaluation.decoders.signals import (
    behavior_of,
    lfp_of,
    mean_and_sd,
    moving_mean,
    sqrt_counts,
    tap_bins,
)
from raydistill.store.session import Segment, Segments

DELAYS = (0, 1, 2, 3)
"""Candidate delays: taps by which the signal leads behavior."""
SHRINKAGES = (0.01, 0.1, 0.5, 0.9)
"""Candidate shares of the identity in Q."""


@dataclass(frozen=True, slots=True)
class KalmanFilter:
    """The fitted means and matrices of the model above."""

    mean_x: np.ndarray
    """(K,)"""
    mean_z: np.ndarray
    """(D,)"""
    a: np.ndarray
    """(K, K)"""
    w: np.ndarray
    """(K, K)"""
    h: np.ndarray
    """(D, K)"""
    q: np.ndarray
    """(D, D)"""
    start: np.ndarray
    """(K, K) covariance of behavior before the first bin, about its mean."""

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Behavior (T, K) of one segment z (T, D); each bin is decoded from present and past bins only."""
        inverse_h = np.linalg.solve(self.q, self.h)  # (D, K) Q^-1 H
        evidence = (np.asarray(z, dtype=np.float64) - self.mean_z) @ inverse_h  # (T, K) H' Q^-1 z
        information = self.h.T @ inverse_h  # (K, K) H' Q^-1 H
        x, p, decoded = np.zeros(len(self.a)), self.start, np.empty_like(evidence)
        identity = np.eye(len(self.a))
        for t, observed in enumerate(evidence):
            if t:
                x, p = self.a @ x, self.a @ p @ self.a.T + self.w
            p = np.linalg.solve(identity + p @ information, p)  # the inverse of p^-1 + H' Q^-1 H
            decoded[t] = x = x + p @ (observed - information @ x)
        return decoded + self.mean_x


class Moments:
    """Sums over bins from which the filter is fitted, added one segment at a time."""

    def __init__(self) -> None:
        self.n = self.steps = 0
        self.x = self.z = self.xx = self.zx = self.zz = np.zeros(())
        self.before = self.across = self.after = np.zeros(())

    def add(self, z: np.ndarray, x: np.ndarray) -> None:
        """Add a segment of signal z (T, D) and behavior x (T, K); bins whose behavior is lost (NaN) are ignored."""
        z, x = np.asarray(z, dtype=np.float64), np.asarray(x, dtype=np.float64)
        finite = np.isfinite(x).all(axis=1)
        is_pair = finite[1:] & finite[:-1]  # (T - 1,) whether a bin and the next have behavior
        old, new = x[:-1][is_pair], x[1:][is_pair]
        self.before, self.across = self.before + _products(old, old), self.across + _products(new, old)
        self.after, self.steps = self.after + _products(new, new), self.steps + len(old)
        z, x = z[finite], x[finite]
        self.n, self.x, self.z = self.n + len(x), self.x + x.sum(axis=0), self.z + z.sum(axis=0)
        self.xx, self.zx, self.zz = self.xx + _products(x, x), self.zx + _products(z, x), self.zz + _products(z, z)

    def fit(self) -> KalmanFilter:
        """The filter of all bins added. Raises DataError unless two adjacent bins have behavior."""
        if not self.steps:
            raise DataError("a Kalman filter needs adjacent bins with behavior in the train fold, which has none")
        mean_x, mean_z = self.x / self.n, self.z / self.n
        spread = self.xx / self.n - np.outer(mean_x, mean_x)  # (K, K)
        with_x = self.zx / self.n - np.outer(mean_z, mean_x)  # (D, K)
        h = with_x @ np.linalg.pinv(spread)
        q = self.zz / self.n - np.outer(mean_z, mean_z) - h @ with_x.T
        # The moments of transitions are taken about the mean of all bins, too.
        shift = np.outer(mean_x, mean_x)
        before, across, after = (sums / self.steps - shift for sums in (self.before, self.across, self.after))
        a = across @ np.linalg.pinv(before)
        w = after - a @ across.T
        tiny = 1e-9 * np.trace(spread) / len(spread) * np.eye(len(spread))
        return KalmanFilter(mean_x, mean_z, a, (w + w.T) / 2 + tiny, h, (q + q.T) / 2, spread + tiny)


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(D, K) sums over bins of the products of a (n, D) and b (n, K)."""
    return np.einsum("nd,nk->dk", a, b, optimize=True)


def shrunk(kalman: KalmanFilter, share: float) -> KalmanFilter:
    """The filter with Q shrunk by `share` (0 to 1) towards the identity times the mean variance of Q."""
    q = kalman.q
    level = np.trace(q) / len(q)
    return dataclasses.replace(kalman, q=(1 - share) * q + share * level * np.eye(len(q)))


def kalman_on_spikes(train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """Kalman filter on square-root counts; arguments and errors as `ridge_on_spikes`."""
    return _kalman(sqrt_counts, train, valid, test, columns, tap_bins(bin_width_ms))


def kalman_on_lfp(train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """Kalman filter on LFP; arguments and errors as `ridge_on_spikes`."""
    return _kalman(lfp_of, train, valid, test, columns, tap_bins(bin_width_ms))


def _kalman(
    signal: Callable[[Segment], np.ndarray],
    train: Segments,
    valid: Segments,
    test: Segments,
    columns: Sequence[str],
    width: int,
) -> Decoding:
    """The filter from `signal(segment)` (T, D) to behavior with the highest R² on the validation fold.

    Args:
        width: bins of a tap.
    """
    if not len(train):
        raise DataError("the train fold has no segment; give the session more segments under `splits`")
    mean, std = mean_and_sd(moving_mean(signal(s), width) for s in train)

    def delayed(segments: Segments, delay: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for s in segments:
            z = (moving_mean(signal(s), width) - mean) / std
            shift = min(delay * width, len(z))
            yield np.concatenate([np.zeros_like(z[:shift]), z[: len(z) - shift]]), behavior_of(s)

    def decoded(segments: Segments, delay: int, kalman: KalmanFilter):
        for z, behavior in delayed(segments, delay):
            yield kalman.decode(z), behavior

    def moments_of(delay: int) -> Moments:
        moments = Moments()
        for z, behavior in delayed(train, delay):
            moments.add(z, behavior)
        return moments

    identity = lambda x: x  # noqa: E731
    moments = {delay: moments_of(delay) for delay in DELAYS}
    fitted = {delay: moments[delay].fit() for delay in DELAYS}
    candidates = {(delay, share): shrunk(fitted[delay], share) for delay, share in product(DELAYS, SHRINKAGES)}
    valid_r2 = {
        (delay, share): pooled_r2(identity, decoded(valid, delay, kalman), "valid", columns)[0].mean()
        for (delay, share), kalman in candidates.items()
    }
    delay, share = max(candidates, key=lambda key: valid_r2[key])
    best = candidates[delay, share]
    return evaluate(
        identity,
        decoded(valid, delay, best),
        decoded(test, delay, best),
        columns,
        n_train=moments[delay].n,
        settings={"delay_bins": delay * width, "tap_bins": width, "shrinkage": share},
    )
