"""The LFP chain of spec A1 in its sound form: from raw voltages onto bin centres, at true times, in bounded memory.

1. The file is read once, in slices of all channels; a linear-phase FIR decimates them to about 500 Hz, and the
   decimated samples wait in temporary files, one for each block of channels.
2. Each block is notched, high-passed and low-passed in one zero-phase cascade of second-order sections (float64).
3. A windowed sinc takes the signal at the bin centres: it is the anti-aliasing filter and the interpolation in one,
   and since a bin's weights follow from its own time there is no drift, however long the recording.
4. The common average comes last. All channels see the same linear filters, so it commutes with them.

Axes: M decimated samples, C channels, T bins.
"""

from contextlib import ExitStack
from tempfile import TemporaryFile

import numpy as np

from raydistill.config.recordings import IngestConfig, LfpFilters
from raydistill.errors import DataError
from raydistill.recordings.bins import Bins
from raydistill.recordings.readers import Signal

_DECIMATED_HZ = 500.0
_BLOCK_BYTES = 8 << 20  # of one channel block in float64, and of one slice of raw samples
_NOTCH_Q = 30.0
_ORDER = 2
_HALF_TAPS = 12  # of the decimator, in output samples
_ZERO_CROSSINGS = 10  # of the sinc, on either side
_PHASES = 4096  # offsets between a bin centre and a sample, in steps of 1/4096 sample (0.5 us at 500 Hz)


def lfp_on_bins(signal: Signal, bins: Bins, config: IngestConfig, channels: np.ndarray) -> np.ndarray:
    """The chosen channels, filtered and taken at the bin centres.

    Args:
        signal: (samples, C) in physical units, read in slices.
        bins: the session's clock; inside of what `signal` covers.
        config: `filters` (None: only resampled, and unchanged if already one sample a bin) and `lfp_nan`.
        channels: (C,) numbers of the channels to take.
    Returns:
        (T, C) float32.
    Raises:
        DataError: fewer samples than bins, values that are not finite, or a common average of one channel.
    """
    filters = config.filters
    bin_hz = 1 / bins.width_s
    if signal.rate_hz < bin_hz * (1 - 1e-6):
        raise DataError(
            f"LFP is sampled at {signal.rate_hz:g} Hz, below the {bin_hz:g} bins a second; "
            f"set `bin_width_ms` to {1000 / signal.rate_hz:g} or more"
        )
    if filters is not None and filters.common_average and len(channels) == 1:
        raise DataError("the common average of one LFP channel leaves nothing; set `filters.common_average: false`")
    factor = max(1, int(signal.rate_hz / max(_DECIMATED_HZ, 2.5 * bin_hz)))
    first, stop = _needed_samples(signal, bins, filters)
    rate_hz, start_s = signal.rate_hz / factor, signal.start_s + first / signal.rate_hz
    n = -(-(stop - first) // factor)
    sections = filter_sections(filters, rate_hz, bin_hz)
    per_block = max(1, _BLOCK_BYTES // (8 * n))
    blocks = [slice(a, a + per_block) for a in range(0, len(channels), per_block)]
    out = np.empty((bins.n, len(channels)), dtype=np.float32)
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile()) for _ in blocks]
        for samples in _decimated(signal, first, n, factor, channels, config.lfp_nan):
            for file, block in zip(files, blocks, strict=True):
                file.write(samples[:, block].tobytes())
        for file, block in zip(files, blocks, strict=True):
            file.seek(0)
            # (M * width,) -> (M, width)
            samples = np.frombuffer(file.read(), dtype=np.float32).reshape(n, -1).astype(np.float64)
            _fill_gaps(samples, channels[block])
            if len(sections):
                samples = _zero_phase(samples, sections, rate_hz, filters)
            out[:, block] = _sampled_at((bins.centres - start_s) * rate_hz, samples, min(1.0, bin_hz / rate_hz))
    if filters is not None and filters.common_average:
        out -= out.mean(axis=1, keepdims=True)
    return out


def filter_sections(filters: LfpFilters | None, rate_hz: float, bin_hz: float) -> np.ndarray:
    """Second-order sections of notch, high-pass and low-pass at `rate_hz`; (0, 6) where there is nothing to filter.

    The low-pass is never above half the bin rate; stages at or above the Nyquist frequency drop out.
    """
    from scipy.signal import butter, iirnotch

    nyquist, sections = rate_hz / 2, []
    if filters is not None and filters.notch_hz:
        for frequency in np.arange(filters.notch_hz, nyquist, filters.notch_hz):
            sections.append(np.hstack(iirnotch(frequency, _NOTCH_Q, rate_hz))[None])  # b, a -> (1, 6)
    if filters is not None and filters.highpass_hz and filters.highpass_hz < nyquist:
        sections.append(butter(_ORDER, filters.highpass_hz, "highpass", fs=rate_hz, output="sos"))
    if filters is not None and filters.lowpass_hz:
        lowpass_hz = min(filters.lowpass_hz, bin_hz / 2)
        if lowpass_hz < nyquist:
            sections.append(butter(_ORDER, lowpass_hz, "lowpass", fs=rate_hz, output="sos"))
    return np.concatenate(sections) if sections else np.empty((0, 6))


def _needed_samples(signal, bins, filters):
    """[first, stop) of the raw samples behind the bins, with room for the filters to settle on both sides."""
    settle_s = _settling_s(filters) + 2 * _ZERO_CROSSINGS * bins.width_s
    first = int((bins.start_s - settle_s - signal.start_s) * signal.rate_hz)
    stop = int(np.ceil((bins.stop_s + settle_s - signal.start_s) * signal.rate_hz)) + 1
    return max(0, first), min(signal.n_samples, stop)


def _settling_s(filters):
    return 1 / filters.highpass_hz if filters is not None and filters.highpass_hz else 0.0


def _decimated(signal, first, n, factor, channels, lfp_nan):
    """Slices (m, C) float32 of the n decimated samples; sample i stands at raw sample first + i * factor."""
    taps = _decimator(factor)
    step = max(1, _BLOCK_BYTES // (8 * signal.n_channels * max(factor, 2 * _HALF_TAPS)))
    for a in range(0, n, step):
        b = min(a + step, n)
        start = first + a * factor - (_HALF_TAPS * factor if factor > 1 else 0)
        raw = _read_padded(signal, start, start + (b - a + len(taps) - 1) * factor, channels)
        lost = ~np.isfinite(raw)
        if not lost.any():
            yield _decimate(raw, taps, b - a)
            continue
        if lfp_nan == "error":
            column = int(np.argmax(lost.any(axis=0)))
            at = signal.start_s + (start + int(np.argmax(lost[:, column]))) / signal.rate_hz
            raise DataError(
                f"LFP channel {channels[column]} is not finite at {at:.3f} s; drop the channel with "
                f"`drop_channels: [{channels[column]}]` or set `lfp_nan: interpolate`"
            )
        share = _decimate((~lost).astype(np.float32), taps, b - a)
        with np.errstate(all="ignore"):
            yield np.where(share > 0.5, _decimate(np.where(lost, 0, raw), taps, b - a) / share, np.nan)


def _read_padded(signal, start, stop, channels):
    """Raw samples [start, stop) of the channels as float32; the first and last sample stand for those beyond."""
    inside = max(0, start), min(signal.n_samples, stop)
    raw = signal.read(*inside).astype(np.float32, copy=False)
    raw = raw if len(channels) == signal.n_channels else raw[:, channels]
    before, after = inside[0] - start, stop - inside[1]
    return np.pad(raw, ((before, after), (0, 0)), mode="edge") if before or after else raw


def _decimator(factor):
    """(phases, factor) taps of a Kaiser low-pass at the decimated Nyquist frequency: -80 dB from 1.2 times it."""
    from scipy.signal import firwin

    if factor == 1:
        return np.ones((1, 1), dtype=np.float32)
    taps = firwin(2 * _HALF_TAPS * factor + 1, 1 / factor, window=("kaiser", 8.0))
    # (24 * factor + 1,) -> (25, factor), the last row filled up with zeros
    return np.pad(taps, (0, factor - 1)).reshape(-1, factor).astype(np.float32)


def _decimate(raw, taps, m):
    """(m, C) float32: every `factor`-th sample of raw (samples, C) behind the filter, as matrix products."""
    phases, factor = taps.shape
    if factor == 1:
        return raw
    # ((m + phases - 1) * factor, C) -> (m + phases - 1, factor, C) -> what each row adds to `phases` outputs
    shares = taps @ raw.reshape(m + phases - 1, factor, -1)
    return sum(shares[p : p + m, p] for p in range(phases))


def _fill_gaps(samples, channels):
    """Linear interpolation, in place, over what was lost."""
    for column in np.flatnonzero(np.isnan(samples).any(axis=0)):
        found = np.flatnonzero(np.isfinite(samples[:, column]))
        if not len(found):
            raise DataError(
                f"LFP channel {channels[column]} is lost throughout; drop it with `drop_channels: [{channels[column]}]`"
            )
        samples[:, column] = np.interp(np.arange(len(samples)), found, samples[found, column])


def _zero_phase(samples, sections, rate_hz, filters):
    """Forward and backward; the ends are mirrored for one period of the high-pass.

    Mirrored evenly: the usual odd extension of an oscillation is a step, to which the high-pass rings for seconds.
    """
    from scipy.signal import sosfiltfilt

    extension = max(3 * (2 * len(sections) + 1), round(_settling_s(filters) * rate_hz))
    return sosfiltfilt(sections, samples, axis=0, padtype="even", padlen=min(len(samples) - 1, extension))


def _sampled_at(places, samples, cutoff):
    """(T, C): `samples` (M, C) behind a sinc low-pass at `cutoff` of their Nyquist frequency, at fractional places."""
    half = int(np.ceil(_ZERO_CROSSINGS / cutoff))
    weights = _sinc_table(half, cutoff)
    nearest, phase = np.divmod(np.round(places * _PHASES).astype(np.int64), _PHASES)
    padded = np.pad(samples, ((half, half + 1), (0, 0)), mode="edge")
    # (M + 2 half + 1, C) -> windows (M + 1, C, 2 half + 1) around each sample
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)
    nearest = np.clip(nearest, 0, len(windows) - 1)
    out = np.empty((len(places), samples.shape[1]))
    chunk = max(1, (16 << 20) // (8 * weights.shape[1] * samples.shape[1]))
    for a in range(0, len(places), chunk):
        part = slice(a, a + chunk)
        # (t, C, taps) @ (t, taps, 1) -> (t, C)
        out[part] = (windows[nearest[part]] @ weights[phase[part], :, None])[..., 0]
    return out


def _sinc_table(half, cutoff):
    """(phases, 2 half + 1) weights of the samples around a place that lies phase / _PHASES after the middle one."""
    offsets = np.arange(-half, half + 1)[None] - np.arange(_PHASES)[:, None] / _PHASES
    window = np.i0(5.0 * np.sqrt(np.maximum(0.0, 1 - (offsets / half) ** 2)))  # Kaiser, -50 dB
    weights = np.sinc(offsets * cutoff) * window * (np.abs(offsets) <= half)
    weights[np.abs(weights) < 1e-12 * weights.max()] = 0.0  # a place on a sample takes that sample, exactly
    return weights / weights.sum(axis=1, keepdims=True)
