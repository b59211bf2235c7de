"""The first stage of LFP preprocessing: raw samples, read once in slices, are decimated to about 500 Hz.

It takes most of the time of a long recording. It can be computed in parts, because a decimated sample depends only on
the raw samples around it: the parts are equal, bit for bit, to the same samples of the whole
(docs/methods.md, Data and preprocessing).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided

from raydistill.errors import DataError
from raydistill.recordings.raw import Signal

_DECIMATED_HZ = 500.0
_BINS = 2.5  # fewest decimated samples per bin
_SLICE_BYTES = 2 << 20  # of raw samples in float32
_RATE_ROUNDING = 1e-6
_HALF_TAPS = 4  # of the filter, in decimated samples
_KAISER = 7.0  # its window: -70 dB


@dataclass(frozen=True, kw_only=True, eq=False)
class Decimation:
    """The parameters of the stage: decimated sample i is at raw sample first + i * factor."""

    first: int
    n: int
    """Number of decimated samples."""
    factor: int
    channels: np.ndarray
    """(C,) numbers of the channels to use."""
    lfp_nan: Literal["error", "interpolate"]
    step: int
    """Decimated samples per slice; parts of the stage start and end at multiples of it."""


Decimate = Callable[[Signal, Decimation], Iterator[np.ndarray]]
"""A function that computes the stage: all of its slices (m, C), in order."""


def planned(signal: Signal, first: int, stop: int, bin_hz: float, channels: np.ndarray, lfp_nan) -> Decimation:
    """The decimation of raw samples [first, stop), to 500 Hz or more and at least 2.5 samples per bin."""
    factor = factor_of(signal.rate_hz, bin_hz)
    frames = _SLICE_BYTES // (4 * signal.n_channels * factor)
    step = max(8 * _HALF_TAPS, frames - 2 * _HALF_TAPS)  # the first slice also reads those of the filter
    return Decimation(
        first=first,
        n=-(-(stop - first) // factor),
        factor=factor,
        channels=channels,
        lfp_nan=lfp_nan,
        step=step,
    )


def factor_of(rate_hz: float, bin_hz: float) -> int:
    """How many raw samples become one, for 500 Hz or more and at least 2.5 samples per bin."""
    # A rate from time stamps is 999.9999 Hz as likely as 1000 Hz.
    return max(1, int(rate_hz / max(_DECIMATED_HZ, _BINS * bin_hz) * (1 + _RATE_ROUNDING)))


def decimated(signal: Signal, stage: Decimation, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """Slices (m, C) float32 of the decimated samples [start, stop), by default all; NaN where most values are missing.

    Up to 0.55 times the bin rate, above which later stages remove everything, the filter is flat to 0.03 % and
    aliasing is below -70 dB. A signal with a rate that is already low passes unchanged.

    Args:
        start, stop: multiples of `stage.step`, or the end.
    Raises:
        DataError: a value is not finite, unless `lfp_nan` is "interpolate".
    """
    taps = decimator(stage.factor)
    beyond = len(taps) - 1  # frames of raw samples that a slice shares with the next, read only once
    shares = np.empty((stage.step + beyond, len(taps), len(stage.channels)), dtype=np.float32)
    stop = stage.n if stop is None else stop
    for a in range(start, stop, stage.step):
        b, n_shared = min(a + stage.step, stop), 0 if a == start else beyond
        slice_shares = shares[: b - a + beyond]
        _share(_read(signal, stage, taps, a + n_shared, b + beyond), taps, slice_shares[n_shared:])
        samples = _summed(slice_shares)
        # A value that is not finite makes its sums not finite. Checking the sums saves a pass over the raw samples.
        yield samples if np.isfinite(samples).all() else _without_missing(signal, stage, taps, a, b)
        shares[:beyond] = shares[b - a : b - a + beyond]


def decimator(factor: int) -> np.ndarray:
    """(8, factor) taps, row by row, of a linear-phase low-pass at the decimated Nyquist frequency."""
    from scipy.signal import firwin

    if factor == 1:
        return np.ones((1, 1), dtype=np.float32)
    taps = firwin(2 * _HALF_TAPS * factor - 1, 1 / factor, window=("kaiser", _KAISER))
    # (8 * factor - 1,) -> (8, factor), filled up with one zero
    return np.append(taps, 0.0).reshape(-1, factor).astype(np.float32)


def _without_missing(signal, stage, taps, a, b):
    """(b - a, C) float32: decimated samples [a, b) from the raw samples that are finite."""
    raw = _read(signal, stage, taps, a, b + len(taps) - 1)
    missing = ~np.isfinite(raw)
    if stage.lfp_nan == "error" and missing.any():
        column = int(np.argmax(missing.any(axis=0)))
        at = signal.start_s + (_first_raw(stage, taps, a) + int(np.argmax(missing[:, column]))) / signal.rate_hz
        raise DataError(
            f"LFP channel {stage.channels[column]} is not finite at {at:.3f} s; drop the channel with "
            f"`drop_channels: [{stage.channels[column]}]` or set `lfp_nan: interpolate`"
        )
    weight = _decimate((~missing).astype(np.float32), taps)
    with np.errstate(all="ignore"):
        return np.where(weight > 0.5, _decimate(np.where(missing, 0, raw), taps) / weight, np.nan)


def _first_raw(stage, taps, frame):
    """The first raw sample of a frame; decimated sample i is the sum over frames i to i + len(taps) - 1."""
    return stage.first + frame * stage.factor - (taps.size - 1) // 2


def _read(signal, stage, taps, a, b):
    """Raw samples of the frames [a, b) as float32; beyond its ends the signal repeats its first and last sample."""
    start, stop = _first_raw(stage, taps, a), _first_raw(stage, taps, b)
    first = min(max(0, start), signal.n_samples - 1)
    last = max(first, min(signal.n_samples, stop) - 1)
    raw = signal.read(first, last + 1).astype(np.float32, copy=False)
    raw = raw if len(stage.channels) == signal.n_channels else raw[:, stage.channels]
    inside = first == start and last == stop - 1
    return raw if inside else raw[np.clip(np.arange(start, stop), first, last) - first]


def _decimate(raw, taps):
    """(m, C) float32: every `factor`-th sample of raw (samples, C) after the filter."""
    shares = np.empty((len(raw) // taps.shape[1], len(taps), raw.shape[1]), dtype=np.float32)
    _share(raw, taps, shares)
    return _summed(shares)


def _share(raw, taps, out):
    """Fill `out` (frames, phases, C) with what each frame of raw samples adds to the decimated samples, per phase."""
    # (frames * factor, C) -> (frames, factor, C)
    frames = raw.reshape(len(out), taps.shape[1], -1)
    if taps.size == 1:
        out[:] = frames
    else:
        with np.errstate(invalid="ignore"):
            np.matmul(taps, frames, out=out)


def _summed(shares):
    """(m, C): decimated sample i is the sum of shares[i + p, p] over the phases p."""
    frames, phases, width = shares.shape
    frame, phase, column = shares.strides
    diagonals = as_strided(shares, (frames - phases + 1, phases, width), (frame, frame + phase, column))
    with np.errstate(invalid="ignore"):
        return diagonals.sum(axis=1)
