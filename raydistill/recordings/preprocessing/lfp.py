"""LFP preprocessing: from raw voltages to values at bin centres, in bounded memory.

docs/methods.md, Data and preprocessing, derives the steps.

1. The file is read once, in slices of all channels; a linear-phase FIR decimates them to about 500 Hz
   (decimation.py). The decimated samples of a long recording are stored in a temporary file, by blocks of channels.
2. Notch, high-pass, low-pass and the limit to the band that the bins can represent all have zero phase. Together they
   are one real gain per frequency, which multiplies the cosine transform of a block (float32). That transform extends
   a signal evenly at its ends; an odd extension of an oscillation would be a step, at which the high-pass would ring.
3. A short windowed sinc interpolates the signal at the bin centres (resample.py). The weights of a bin depend only on
   its own time, so there is no drift in recordings of any length.
4. The common average is subtracted last. All channels pass the same linear filters, so the order does not matter.

The protocol `released` replaces step 3 by the time stamps of the published code; see `at_published_stamps`.

Axes: M decimated samples, C channels, T bins.
"""

from collections.abc import Sequence
from tempfile import TemporaryFile

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.bins import Bins
from raydistill.recordings.preprocessing.causal import causal_on_bins
from raydistill.recordings.preprocessing.decimation import Decimate, decimated, planned
from raydistill.recordings.preprocessing.lfp_filters import averaged_groups, filter_sections
from raydistill.recordings.preprocessing.resample import at_places, at_published_stamps
from raydistill.recordings.raw import Signal

_BLOCK_BYTES = 8 << 20  # of a block of channels in float32, the unit of filtering
_BINS_AT_ONCE = 1 << 13  # whose weights are in memory
_FREQUENCIES_AT_ONCE = 1 << 15  # whose gain is computed in complex numbers
_STOP = 1.1  # of the bins' Nyquist frequency: at and above it the gain is 0, so that nothing aliases
_SETTLE_S, _SETTLE_BINS = 1.0, 50  # after which the ringing of the notches and of the band limit is negligible


def lfp_on_bins(
    signal: Signal,
    bins: Bins,
    config: IngestConfig,
    channels: np.ndarray,
    arrays: Sequence[str] | None = None,
    decimate: Decimate = decimated,
) -> np.ndarray:
    """The chosen channels, filtered and interpolated at the bin centres.

    Args:
        signal: (samples, C) in physical units, read in slices.
        bins: of the session, within the time that `signal` covers.
        config: `protocol`, `filters` (None: resample only, which changes nothing if there is one sample per bin), and
            `lfp_nan`.
        channels: (C,) numbers of the channels to use.
        arrays: the array of each of these channels, for `common_average: array`; None: unknown.
        decimate: computes the first stage: all of its slices, in order.
    Returns:
        (T, C) float32.
    Raises:
        DataError: fewer samples than bins, values that are not finite, or a common average of one channel.
    """
    filters, bin_hz = config.filters, 1 / bins.width_s
    if signal.rate_hz < bin_hz * (1 - 1e-6):
        raise DataError(
            f"LFP is sampled at {signal.rate_hz:g} Hz, below the {bin_hz:g} bins per second; is its `rate_hz`, or the "
            f"`time_unit` of its time stamps, right? If so, set `bin_width_ms` to {1000 / signal.rate_hz:g} or more"
        )
    if filters is not None and filters.causal:
        return causal_on_bins(signal, bins, filters, channels, arrays, config.lfp_nan)
    groups = averaged_groups(filters, len(channels), arrays)
    whole = config.protocol == "released"
    first, stop = (0, signal.n_samples) if whole else _needed_samples(signal, bins, filters)
    stage = planned(signal, first, stop, bin_hz, channels, config.lfp_nan)
    rate_hz, start_s = signal.rate_hz / stage.factor, signal.start_s + first / signal.rate_hz
    places = (bins.centres - start_s) * rate_hz
    gain = _gain(filters, rate_hz, bin_hz, stage.n)
    out = np.empty((bins.n, len(channels)), dtype=np.float32)
    for block, samples in _blocks(decimate(signal, stage), stage, len(gain)):
        filtered = _filtered(samples, gain)[: stage.n]
        if whole:
            out[:, block] = at_published_stamps(signal, bins, rate_hz, stage.n) @ filtered
        else:
            for a in range(0, bins.n, _BINS_AT_ONCE):
                rows = slice(a, a + _BINS_AT_ONCE)
                out[rows, block] = at_places(places[rows], stage.n) @ filtered
        del samples, filtered  # before the next block takes its memory
    for group in groups:
        out[:, group] -= out[:, group].mean(axis=1, keepdims=True)
    return out


def _needed_samples(signal, bins, filters):
    """[first, stop) of the raw samples that the bins need, with time for the filters to settle on both sides."""
    settle_s = _SETTLE_S + _SETTLE_BINS * bins.width_s
    if filters is not None and filters.highpass_hz:
        settle_s += 1 / filters.highpass_hz
    first = int((bins.start_s - settle_s - signal.start_s) * signal.rate_hz)
    stop = int(np.ceil((bins.stop_s + settle_s - signal.start_s) * signal.rate_hz)) + 1
    return max(0, first), min(signal.n_samples, stop)


def _blocks(slices, stage, rows):
    """(channels, (rows, width) float32) of each block of channels; memory holds one block.

    The M samples of a block are followed by its last samples, mirrored, up to a length whose transform is fast.
    """
    n, channels = stage.n, stage.channels
    per_block = max(1, _BLOCK_BYTES // (4 * rows))
    blocks = [slice(a, min(a + per_block, len(channels))) for a in range(0, len(channels), per_block)]
    collected = _collected(slices, n, rows, blocks)
    for block in blocks:
        samples = next(collected)
        _fill_gaps(samples[:n], channels[block])
        samples[n:] = samples[2 * n - rows : n][::-1]
        yield block, samples
        del samples


def _collected(slices, n, rows, blocks):
    """The columns of each block, (rows, width) float32 of which n are filled; several wait in a temporary file."""
    if len(blocks) == 1:
        samples, row = np.empty((rows, blocks[0].stop), dtype=np.float32), 0
        for part in slices:
            samples[row : row + len(part)] = part
            row += len(part)
        yield samples
        return
    with TemporaryFile() as file:
        row = 0
        for part in slices:
            for block in blocks:
                file.seek(4 * (n * block.start + row * (block.stop - block.start)))
                file.write(part[:, block].tobytes())
            row += len(part)
        file.seek(0)
        for block in blocks:
            samples = np.empty((rows, block.stop - block.start), dtype=np.float32)
            file.readinto(samples[:n].data)
            yield samples
            del samples


def _fill_gaps(samples, channels):
    """Interpolate linearly, in place, over missing values (NaN)."""
    for column in np.flatnonzero(np.isnan(samples).any(axis=0)):
        valid = np.flatnonzero(np.isfinite(samples[:, column]))
        if not len(valid):
            raise DataError(
                f"LFP channel {channels[column]} has no valid sample; drop it: `drop_channels: [{channels[column]}]`"
            )
        samples[:, column] = np.interp(np.arange(len(samples)), valid, samples[valid, column])


def _filtered(samples, gain):
    """(rows, C) samples after all filters, in the memory of `samples`; `gain` is per frequency of the transform."""
    from scipy.fft import dct, idct

    if (gain == 1).all():
        return samples
    spectrum = dct(samples, axis=0, overwrite_x=True)
    spectrum *= gain[:, None]
    return idct(spectrum, axis=0, overwrite_x=True)


def _gain(filters, rate_hz, bin_hz, n):
    """(M or a little more,) float32 gain of all filters at the frequencies of a cosine transform of n samples.

    The gain of the sections is squared, as if they were applied forward and backward.
    """
    from scipy.fft import next_fast_len

    fast = next_fast_len(n, real=True)  # a length with a large prime factor takes ten times as long
    sections = filter_sections(filters, rate_hz, bin_hz)
    gain = np.empty(fast, dtype=np.float32)
    for a in range(0, fast, _FREQUENCIES_AT_ONCE):
        numbers = np.arange(a, min(a + _FREQUENCIES_AT_ONCE, fast))
        gain[numbers] = _gain_at(numbers * rate_hz / (2 * fast), sections, rate_hz, bin_hz)
    return gain


def _gain_at(frequencies, sections, rate_hz, bin_hz):
    """(frequencies,) float64 gain at some frequencies in Hz."""
    from scipy.signal import freqz_sos

    above = np.clip((2 * frequencies / bin_hz - 1) / (_STOP - 1), 0, 1)  # 0 to 1 from the Nyquist frequency to the stop
    gain = np.where(above < 1, np.cos(np.pi / 2 * above) ** 2, 0.0)
    passed = gain > 0
    if len(sections) and passed.any():
        gain[passed] *= np.abs(freqz_sos(sections, frequencies[passed], fs=rate_hz)[1]) ** 2
    return gain
