"""The Kalman filter as a plain baseline: behavior moves smoothly, and neural signals tell where it is.

After Wu et al. (2006): x_t = A x_{t-1} + w and z_t = H x_t + q, where x is behavior and z the neural signal, averaged
over about 60 ms and taken some of these earlier. A, H and the covariances W, Q of the noise are fitted on train by
least squares; how much earlier, and how far Q is drawn towards a multiple of the identity, is chosen on the validation
fold alone.

Axes: T bins, D units or channels, K behavior columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.decoders.scoring import Decoding, evaluate, pooled_r2
from raydistill.evaluation.decoders.signals import TAP_S, moving_mean, statistics

DELAYS = (0, 1, 2, 3)
"""Taps of about 60 ms by which the signal leads behavior."""
SHRINKAGES = (0.01, 0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True)
class KalmanFilter:
    """Means, and the matrices of the model above."""

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

    def decode(self, z) -> np.ndarray:
        """Behavior (T, K) of one segment z (T, D), each bin from its past and present alone."""
        inverse_h = np.linalg.solve(self.q, self.h)  # (D, K)
        told, sure = (np.asarray(z, dtype=np.float64) - self.mean_z) @ inverse_h, self.h.T @ inverse_h  # (T, K), (K, K)
        x, p, found = np.zeros(len(self.a)), self.start, np.empty_like(told)
        one = np.eye(len(self.a))
        for t, evidence in enumerate(told):
            if t:
                x, p = self.a @ x, self.a @ p @ self.a.T + self.w
            p = np.linalg.solve(one + p @ sure, p)  # the inverse of p^-1 + H' Q^-1 H
            found[t] = x = x + p @ (evidence - sure @ x)
        return found + self.mean_x


class Moments:
    """Sums over bins from which the filter is fitted, a segment at a time."""

    def __init__(self):
        self.n = self.steps = 0
        self.x = self.z = self.xx = self.zx = self.zz = self.before = self.across = self.after = 0.0

    def add(self, z, x) -> None:
        """A segment of signal z (T, D) and behavior x (T, K); bins whose behavior was lost (NaN) count for nothing."""
        z, x = np.asarray(z, dtype=np.float64), np.asarray(x, dtype=np.float64)
        known = np.isfinite(x).all(axis=1)
        both = known[1:] & known[:-1]
        old, new = x[:-1][both], x[1:][both]
        self.before, self.across = self.before + _square(old, old), self.across + _square(new, old)
        self.after, self.steps = self.after + _square(new, new), self.steps + len(old)
        z, x = z[known], x[known]
        self.n, self.x, self.z = self.n + len(x), self.x + x.sum(axis=0), self.z + z.sum(axis=0)
        self.xx, self.zx, self.zz = self.xx + _square(x, x), self.zx + _square(z, x), self.zz + _square(z, z)

    def fit(self) -> KalmanFilter:
        """Raises DataError where no two neighbouring bins have behavior."""
        if not self.steps:
            raise DataError("a Kalman filter needs neighbouring bins with behavior in train, and there are none")
        mean_x, mean_z = self.x / self.n, self.z / self.n
        spread = self.xx / self.n - np.outer(mean_x, mean_x)  # (K, K)
        with_x = self.zx / self.n - np.outer(mean_z, mean_x)  # (D, K)
        h = with_x @ np.linalg.pinv(spread)
        q = self.zz / self.n - np.outer(mean_z, mean_z) - h @ with_x.T
        # Steps are taken about the mean of all bins, too.
        shift = np.outer(mean_x, mean_x)
        before, across, after = (each / self.steps - shift for each in (self.before, self.across, self.after))
        a = across @ np.linalg.pinv(before)
        w = after - a @ across.T
        tiny = 1e-9 * np.trace(spread) / len(spread) * np.eye(len(spread))
        return KalmanFilter(mean_x, mean_z, a, (w + w.T) / 2 + tiny, h, (q + q.T) / 2, spread + tiny)


def _square(a, b):
    return np.einsum("nd,nk->dk", a, b, optimize=True)


def shrunk(filter_: KalmanFilter, share: float) -> KalmanFilter:
    """With Q drawn by `share` (0 to 1) towards the identity times its mean variance."""
    q = filter_.q
    level = np.trace(q) / len(q)
    parts = {name: getattr(filter_, name) for name in KalmanFilter.__slots__}
    return KalmanFilter(**parts | {"q": (1 - share) * q + share * level * np.eye(len(q))})


def kalman_on_spikes(train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """Kalman filter on square-root counts; DataError as `decode`."""
    return _kalman(lambda s: np.sqrt(s.spikes, dtype=np.float32), train, valid, test, bin_width_ms, columns)


def kalman_on_lfp(train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """Kalman filter on LFP; DataError as `decode`."""
    return _kalman(lambda s: s.lfp, train, valid, test, bin_width_ms, columns)


def _kalman(signal: Callable, train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """The filter from `signal(segment)` (T, D) to behavior that reads the validation fold best."""
    if not train:
        raise DataError("the train fold has no segment; give the session more segments under `splits`")
    width = max(1, round(TAP_S * 1000 / bin_width_ms))
    smooth = lambda s: moving_mean(signal(s), width)  # noqa: E731
    mean, std = statistics(smooth(s) for s in train)

    def delayed(segments, delay):
        for s in segments:
            z = (smooth(s) - mean) / std
            shift = min(delay * width, len(z))
            yield np.concatenate([np.zeros_like(z[:shift]), z[: len(z) - shift]]), s.behavior

    def decoded(segments, delay, fitted):
        for z, behavior in delayed(segments, delay):
            yield fitted.decode(z), behavior

    candidates = {}
    for delay in DELAYS:
        moments = Moments()
        for z, behavior in delayed(train, delay):
            moments.add(z, behavior)
        fitted = moments.fit()
        candidates |= {(delay, share): shrunk(fitted, share) for share in SHRINKAGES}
    identity = lambda x: x  # noqa: E731
    reached = {
        (delay, share): pooled_r2(identity, decoded(valid, delay, candidates[delay, share]), "valid", columns)[0].mean()
        for delay, share in product(DELAYS, SHRINKAGES)
    }
    delay, share = max(reached, key=reached.get)
    best = candidates[delay, share]
    return evaluate(
        identity,
        decoded(valid, delay, best),
        decoded(test, delay, best),
        columns,
        n_train=moments.n,
        settings={"delay_bins": delay * width, "tap_bins": width, "shrinkage": share},
    )
