"""The first stage of the LFP chain: raw samples, read once in slices of all channels, become about 500 Hz.

This is where the time of a long recording goes, and the one stage that is easily done in parts: a decimated sample
follows from the raw samples around it alone. Whoever asks for a part gets, bit for bit, what the whole would hold.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

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
    step = _SLICE_BYTES // (4 * signal.n_channels * factor) - 2 * _HALF_TAPS
    step = max(8 * _HALF_TAPS, step)  # shorter slices would read too much twice
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
    stop = stage.n if stop is None else stop
    for a in range(start, stop, stage.step):
        yield _slice(signal, stage, taps, a, min(a + stage.step, stop))


def decimator(factor: int) -> np.ndarray:
    """(8, factor) taps, one row after the other, of a linear-phase low-pass at the decimated Nyquist frequency."""
    from scipy.signal import firwin

    if factor == 1:
        return np.ones((1, 1), dtype=np.float32)
    taps = firwin(2 * _HALF_TAPS * factor - 1, 1 / factor, window=("kaiser", _KAISER))
    # (8 * factor - 1,) -> (8, factor), filled up with one zero
    return np.append(taps, 0.0).reshape(-1, factor).astype(np.float32)


def _slice(signal, stage, taps, a, b):
    """(b - a, C) float32: decimated samples [a, b)."""
    start = stage.first + a * stage.factor - (taps.size - 1) // 2
    raw = _read_padded(signal, start, start + (b - a + len(taps) - 1) * stage.factor, stage.channels)
    with np.errstate(invalid="ignore"):
        samples = _decimate(raw, taps, b - a)
    # What is not finite reaches every sum that it is part of; to look there first saves a pass over the raw samples.
    if np.isfinite(samples).all() or not (lost := ~np.isfinite(raw)).any():
        return samples
    if stage.lfp_nan == "error":
        column = int(np.argmax(lost.any(axis=0)))
        at = signal.start_s + (start + int(np.argmax(lost[:, column]))) / signal.rate_hz
        raise DataError(
            f"LFP channel {stage.channels[column]} is not finite at {at:.3f} s; drop the channel with "
            f"`drop_channels: [{stage.channels[column]}]` or set `lfp_nan: interpolate`"
        )
    found = _decimate((~lost).astype(np.float32), taps, b - a)
    with np.errstate(all="ignore"):
        return np.where(found > 0.5, _decimate(np.where(lost, 0, raw), taps, b - a) / found, np.nan)


def _read_padded(signal, start, stop, channels):
    """Raw samples [start, stop) of the channels as float32; the first and last sample stand for those beyond."""
    inside = max(0, start), min(signal.n_samples, stop)
    raw = signal.read(*inside).astype(np.float32, copy=False)
    raw = raw if len(channels) == signal.n_channels else raw[:, channels]
    before, after = inside[0] - start, stop - inside[1]
    return np.pad(raw, ((before, after), (0, 0)), mode="edge") if before or after else raw


def _decimate(raw, taps, m):
    """(m, C) float32: every `factor`-th sample of raw (samples, C) behind the filter, as matrix products."""
    phases, factor = taps.shape
    if factor == 1:
        return raw
    # ((m + phases - 1) * factor, C) -> (m + phases - 1, factor, C) -> what each row adds to `phases` outputs
    shares = taps @ raw.reshape(m + phases - 1, factor, -1)
    return sum(shares[p : p + m, p] for p in range(phases))
