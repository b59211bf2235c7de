"""From uniform samples to the times of bins, as a sparse matrix with one row per bin, the same for all channels.

Axes: M samples, T bins.
"""

from functools import cache

import numpy as np

from raydistill.recordings.preprocessing.bins import Bins
from raydistill.recordings.raw import Signal

_ZERO_CROSSINGS = 10  # of the sinc, on each side
_KAISER = 8.0  # its window: -80 dB, flat to 0.75 of the samples' Nyquist frequency
_PHASES = 4096  # positions between two samples, in steps of 1/4096 (0.5 us at 500 Hz)


def at_places(places: np.ndarray, n: int):
    """(T, n) sparse float32: the value at each fractional position among n samples, by a sinc over 10 on each side.

    At the position of a sample, the value is exactly that sample. Beyond the ends, the first or last sample is used.
    """
    from scipy.sparse import csr_array

    weights = _sinc_table()
    nearest, phase = np.divmod(np.round(places * _PHASES).astype(np.int64), _PHASES)
    # (T, 1) + (taps,) -> (T, taps)
    columns = nearest[:, None] + np.arange(-_ZERO_CROSSINGS, _ZERO_CROSSINGS + 1)
    np.clip(columns, 0, n - 1, out=columns)
    starts = np.arange(len(places) + 1) * columns.shape[1]
    return csr_array((weights[phase].ravel(), columns.ravel(), starts), shape=(len(places), n))


def at_published_stamps(signal: Signal, bins: Bins, rate_hz: float, n: int):
    """(T, n) sparse float32: bins as in the published code, from n samples at `rate_hz` of the whole signal.

    That code resamples S seconds to k = int(S / bin width) samples. Sample i is at i * S / k, but its time stamp is
    that of linspace(0, end, k), as if the last sample were at the end. Values between and beyond the stamps are
    interpolated linearly. The LFP therefore drifts by one bin against the spikes from the first to the last bin. We
    reproduce the stamps and the interpolation, but not the FFT that resamples in chunks and rings at their edges
    (docs/methods.md, Slips of the released code). Values are interpolated at bin centres, like our behavior; the
    published code uses bin starts for both.
    """
    from scipy.sparse import csr_array

    seconds, end_s = signal.n_samples / signal.rate_hz, (signal.n_samples - 1) / signal.rate_hz
    k = max(2, int(seconds / bins.width_s + 1e-6))
    places = (bins.centres - signal.start_s) * ((k - 1) / end_s)
    before = np.clip(np.floor(places).astype(np.int64), 0, k - 2)
    share = places - before
    weights, columns = np.column_stack([1 - share, share]), np.column_stack([before, before + 1])
    lines = csr_array((weights.ravel(), columns.ravel(), np.arange(bins.n + 1) * 2), shape=(bins.n, k))
    return (lines @ at_places(np.arange(k) * (seconds / k * rate_hz), n)).astype(np.float32)


@cache
def _sinc_table():
    """(phases, 2 * 10 + 1) float32 weights of the samples around a position phase / _PHASES after the middle one."""
    half = _ZERO_CROSSINGS
    offsets = np.arange(-half, half + 1)[None] - np.arange(_PHASES)[:, None] / _PHASES
    window = np.i0(_KAISER * np.sqrt(np.maximum(0.0, 1 - (offsets / half) ** 2)))
    weights = np.sinc(offsets) * window * (np.abs(offsets) <= half)
    weights[np.abs(weights) < 1e-12 * weights.max()] = 0.0
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
