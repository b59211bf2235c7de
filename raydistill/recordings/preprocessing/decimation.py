"""The first stage of the LFP chain: raw samples, read once in slices of all channels, become about 500 Hz.

This is where the time of a long recording goes, and the one stage that is easily done in parts: a decimated sample
follows from the raw samples around it alone. Whoever asks for a part gets, bit for bit, what the whole would hold.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import as_strided

from raydistill.errors import DataError
from raydistill.recordings.readers import Signal

_DECIMATED_HZ = 500.0
_BINS = 2.5  # decimated samples a bin, at least
_SLICE_BYTES = 2 << 20  # of raw samples in float32
_HALF_TAPS = 4  # of the filter, in decimated samples
_KAISER = 7.0  # its window: -70 dB


@dataclass(frozen=True, kw_only=True, eq=False)
class Decimation:
    """All that names the stage beside its signal: decimated sample i stands at raw sample first + i * factor."""

    first: int
    n: int
    """Decimated samples."""
    factor: int
    channels: np.ndarray
    """(C,) numbers of the channels to take."""
    lfp_nan: Literal["error", "interpolate"]
    step: int
    """Decimated samples of a slice; parts of the stage begin and end at multiples of it."""


Decimate = Callable[[Signal, Decimation], Iterator[np.ndarray]]
"""Who does the stage: all of its slices (m, C), in order."""


def planned(signal: Signal, first: int, stop: int, bin_hz: float, channels: np.ndarray, lfp_nan) -> Decimation:
    """The decimation of raw samples [first, stop), to 500 Hz or more and at least 2.5 samples a bin."""
    factor = max(1, int(signal.rate_hz / max(_DECIMATED_HZ, _BINS * bin_hz)))
    frames = _SLICE_BYTES // (4 * signal.n_channels * factor)
    step = max(8 * _HALF_TAPS, frames - 2 * _HALF_TAPS)  # the first slice reads those of the filter, too
    return Decimation(
        first=first,
        n=-(-(stop - first) // factor),
        factor=factor,
        channels=channels,
        lfp_nan=lfp_nan,
        step=step,
    )


def decimated(signal: Signal, stage: Decimation, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """Slices (m, C) float32 of the decimated samples [start, stop), by default of all; NaN where most was lost.

    The filter is flat to 0.03 % and lets through no more than -70 dB of what would fold, both up to 0.55 bin rates:
    the chain keeps nothing above. A signal whose rate is low already passes unchanged.

    Args:
        start, stop: multiples of `stage.step`, or the end.
    Raises:
        DataError: a value is not finite, unless `lfp_nan` is "interpolate".
    """
    taps = decimator(stage.factor)
    beyond = len(taps) - 1  # frames of raw samples that a slice shares with the next, and that are read once
    shares = np.empty((stage.step + beyond, len(taps), len(stage.channels)), dtype=np.float32)
    stop = stage.n if stop is None else stop
    for a in range(start, stop, stage.step):
        b, known = min(a + stage.step, stop), 0 if a == start else beyond
        own = shares[: b - a + beyond]
        _share(_read(signal, stage, taps, a + known, b + beyond), taps, own[known:])
        samples = _summed(own)
        # What is not finite reaches every sum that it is part of; to look there first saves a pass over raw samples.
        yield samples if np.isfinite(samples).all() else _without_lost(signal, stage, taps, a, b)
        shares[:beyond] = shares[b - a : b - a + beyond]


def decimator(factor: int) -> np.ndarray:
    """(8, factor) taps, one row after the other, of a linear-phase low-pass at the decimated Nyquist frequency."""
    from scipy.signal import firwin

    if factor == 1:
        return np.ones((1, 1), dtype=np.float32)
    taps = firwin(2 * _HALF_TAPS * factor - 1, 1 / factor, window=("kaiser", _KAISER))
    # (8 * factor - 1,) -> (8, factor), filled up with one zero
    return np.append(taps, 0.0).reshape(-1, factor).astype(np.float32)


def _without_lost(signal, stage, taps, a, b):
    """(b - a, C) float32: decimated samples [a, b) from the raw samples that are finite."""
    raw = _read(signal, stage, taps, a, b + len(taps) - 1)
    lost = ~np.isfinite(raw)
    if stage.lfp_nan == "error" and lost.any():
        column = int(np.argmax(lost.any(axis=0)))
        at = signal.start_s + (_first_raw(stage, taps, a) + int(np.argmax(lost[:, column]))) / signal.rate_hz
        raise DataError(
            f"LFP channel {stage.channels[column]} is not finite at {at:.3f} s; drop the channel with "
            f"`drop_channels: [{stage.channels[column]}]` or set `lfp_nan: interpolate`"
        )
    found = _decimate((~lost).astype(np.float32), taps)
    with np.errstate(all="ignore"):
        return np.where(found > 0.5, _decimate(np.where(lost, 0, raw), taps) / found, np.nan)


def _first_raw(stage, taps, frame):
    """The raw sample with which a frame begins; decimated sample i is the sum over frames i to i + len(taps) - 1."""
    return stage.first + frame * stage.factor - (taps.size - 1) // 2


def _read(signal, stage, taps, a, b):
    """Raw samples of the frames [a, b) as float32; the first and last sample stand for those beyond."""
    start, stop = _first_raw(stage, taps, a), _first_raw(stage, taps, b)
    first = min(max(0, start), signal.n_samples - 1)
    last = max(first, min(signal.n_samples, stop) - 1)
    raw = signal.read(first, last + 1).astype(np.float32, copy=False)
    raw = raw if len(stage.channels) == signal.n_channels else raw[:, stage.channels]
    inside = first == start and last == stop - 1
    return raw if inside else raw[np.clip(np.arange(start, stop), first, last) - first]


def _decimate(raw, taps):
    """(m, C) float32: every `factor`-th sample of raw (samples, C) behind the filter."""
    shares = np.empty((len(raw) // taps.shape[1], len(taps), raw.shape[1]), dtype=np.float32)
    _share(raw, taps, shares)
    return _summed(shares)


def _share(raw, taps, out):
    """Put what each frame of raw samples adds to decimated ones, one a phase, into `out`, (frames, phases, C)."""
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
