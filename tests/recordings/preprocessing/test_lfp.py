"""The LFP chain against signals whose answer is known: its gain, its clock, and its first stage done in parts."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import freqz, freqz_sos

from raydistill.config.recordings import IngestConfig, LfpFilters
from raydistill.errors import DataError
from raydistill.recordings.preprocessing import decimation, lfp
from raydistill.recordings.preprocessing.bins import Bins
from raydistill.recordings.preprocessing.decimation import decimated, decimator, planned
from raydistill.recordings.preprocessing.lfp import lfp_on_bins
from raydistill.recordings.preprocessing.lfp_filters import filter_sections
from raydistill.recordings.raw import Signal
from tests.recordings.signals import bins, signal

NO_CAR = IngestConfig(filters=LfpFilters(common_average=False))
UNFILTERED = IngestConfig(filters=None)
BROADBAND_HZ = 24414.0625


def filtered(sig, clock, config=NO_CAR, **options):
    return lfp_on_bins(sig, clock, config, np.arange(sig.n_channels), **options)


# Its gain

PLAIN = {0.02: (0.02, 0.03), 1: (0.98, 1.02), 30: (0.88, 0.92), 50: (0.48, 0.51), 60: (0, 0.01), 120: (0, 1e-4)}
PLAIN |= {300: (0, 1e-4), 488.6: (0, 1e-3), 3000: (0, 1e-3)}


def measured_gain(frequencies, rate_hz, seconds, width_s):
    """Of the chain at each frequency, what folds included: that of a cosine and a sine, squared and summed."""

    def waves(t):
        phase = 2 * np.pi * np.asarray(frequencies) * t[:, None]
        return np.hstack([np.cos(phase), np.sin(phase)])

    margin = seconds / 8
    clock = bins(int((seconds - 2 * margin) / width_s), width_s, start_s=margin)
    out = filtered(signal(waves, rate_hz, seconds), clock)
    cosines, sines = np.split((out.astype(np.float64) ** 2).mean(axis=0), 2)
    return np.sqrt(cosines + sines)


def designed_gain(frequencies, rate_hz, bin_hz):
    """The decimator, the sections forward and backward, and the end of the band at half the bin rate, each by scipy."""
    stage = planned(signal(lambda t: t[:, None], rate_hz, 1), 0, int(rate_hz), bin_hz, np.arange(1), "error")
    decimated_hz = rate_hz / stage.factor
    taps = decimator(stage.factor).ravel()
    gain = np.abs(freqz(taps, worN=frequencies, fs=rate_hz)[1])
    folded = np.abs((np.asarray(frequencies) + decimated_hz / 2) % decimated_hz - decimated_hz / 2)
    sections = filter_sections(LfpFilters(), decimated_hz, bin_hz)
    gain *= np.abs(freqz_sos(sections, worN=folded, fs=decimated_hz)[1]) ** 2
    return gain * np.interp(folded, [0.5 * bin_hz, 0.55 * bin_hz], [1, 0])  # a cosine's slope in truth


@pytest.mark.parametrize(
    ("rate_hz", "seconds", "width_s", "frequencies"),
    [
        (BROADBAND_HZ, 40, 0.01, (1, 30, 50, 60, 120, 300, 488.6, 3000)),
        (2000.0, 600, 0.01, (0.02, 1, 30, 50, 60, 120, 300)),
        (250.0, 60, 0.01, (1, 30, 50, 60, 120)),
        (BROADBAND_HZ, 40, 0.005, (1, 30, 50, 60, 70, 90, 120, 300)),
    ],
)
def test_lfp_gain_is_that_of_the_design(rate_hz, seconds, width_s, frequencies):
    """488.6 and 3000 Hz fold to 20 and 52 Hz at the decimated rate; seen with `pytest -s`."""
    measured = measured_gain(frequencies, rate_hz, seconds, width_s)
    designed = designed_gain(frequencies, rate_hz, 1 / width_s)
    print(f"\n{rate_hz:g} Hz onto bins of {1000 * width_s:g} ms\n    Hz   gain      dB  design")
    for row in zip(frequencies, measured, 20 * np.log10(measured + 1e-12), designed, strict=True):
        print("{:>6g} {:6.4f} {:7.1f}  {:6.4f}".format(*row))
    assert np.abs(measured - designed).max() < 1e-3
    for frequency, gain in zip(frequencies, measured, strict=True):
        low, high = PLAIN.get(frequency, (0, 1))
        assert low <= gain <= high, frequency


def test_lfp_lowpass_is_never_above_half_the_bin_rate():
    sine = signal(lambda t: np.sin(2 * np.pi * 40 * t)[:, None], 1000.0, 40)
    assert filtered(sine, bins(1500, width_s=0.02, start_s=4.0))[200:-200].std() < 0.01
    assert filtered(sine, bins(3000, width_s=0.01, start_s=4.0))[400:-400].std() > 0.4


def test_lfp_offset_and_slow_drift_are_removed_by_the_highpass():
    out = filtered(signal(lambda t: (5.0 + 0.01 * t)[:, None], 500.0, 120), bins(10000, start_s=10.0))
    assert np.abs(out).max() < 0.02


def test_lfp_common_average_removes_what_all_channels_share(rng):
    own = rng.normal(size=4)
    shared = lambda t: np.sin(2 * np.pi * 5 * t)[:, None] + np.cos(2 * np.pi * 9 * t)[:, None] * own  # noqa: E731
    out = filtered(signal(shared, 500.0, 30), bins(2000, start_s=5.0), IngestConfig())
    alone = lambda t: np.cos(2 * np.pi * 9 * t)[:, None] * (own - own.mean())  # noqa: E731
    assert np.allclose(out[300:-300], alone(bins(2000, start_s=5.0).centres)[300:-300], atol=0.01)


def test_lfp_common_average_of_one_channel_is_refused():
    with pytest.raises(DataError, match="common_average: false"):
        filtered(signal(lambda t: t[:, None], 500.0, 30), bins(1000), IngestConfig())


# Its clock


@pytest.mark.parametrize("rate_hz", [250.0, 1017.2526, 24414.0625])
def test_lfp_of_a_known_latent_never_drifts_against_the_clock(rate_hz):
    latent = lambda t: (np.sin(2 * np.pi * 3.1 * t) + np.cos(2 * np.pi * 7.3 * t))[:, None]  # noqa: E731
    clock = bins(9000, start_s=0.0037)
    out = filtered(signal(latent, rate_hz, 92), clock)
    truth = latent(clock.centres)
    for part in (slice(500, 1000), slice(4000, 4500), slice(8000, 8500)):
        assert np.abs(out[part] - truth[part]).max() < 0.01  # a shift of 1 ms would make 0.06


def delays(out, clock, frequency, window_s):
    """Seconds by which a sine of that frequency comes late, in each window of (T,) bins."""
    turned = out * np.exp(-2j * np.pi * frequency * (clock.centres - clock.centres[0]))
    per_window = round(window_s / clock.width_s)
    sums = turned[: len(out) // per_window * per_window].reshape(-1, per_window).sum(axis=1)
    start = np.exp(1j * (2 * np.pi * frequency * clock.centres[0] - np.pi / 2))  # sin(x) = Re exp(i (x - pi / 2))
    return -np.angle(sums / start) / (2 * np.pi * frequency)


def sine(frequency):
    return lambda t: np.sin(2 * np.pi * frequency * t)[:, None]


@pytest.mark.parametrize("protocol", ["corrected", "paper", "released"])
def test_lfp_delay_is_constant_except_for_the_published_stamps_that_drift_by_a_bin(protocol):
    clock = bins(29_950, start_s=7.1)
    config = replace(NO_CAR, protocol=protocol)
    late_ms = 1000 * delays(filtered(signal(sine(3), BROADBAND_HZ, 300, start_s=7), clock, config)[:, 0], clock, 3, 60)
    per_minute = np.polyfit(np.arange(len(late_ms)), late_ms, 1)[0]
    print(f"\n{protocol}: late by {np.round(late_ms, 3)} ms in minutes 1 to 4")
    if protocol == "released":
        assert 5 * per_minute == pytest.approx(10, abs=0.5)
        assert late_ms[0] == pytest.approx(1, abs=0.2)  # none at the start, one bin at the end
    else:
        assert np.abs(late_ms).max() < 0.01


def test_lfp_published_stamps_are_those_of_the_whole_signal():
    clock = bins(3000, start_s=60.0)
    config = replace(NO_CAR, protocol="released")
    out = filtered(signal(sine(3), BROADBAND_HZ, 120), clock, config)[:, 0]
    assert 1000 * delays(out, clock, 3, 10) == pytest.approx([65 / 12, 75 / 12, 85 / 12], abs=0.1)


def test_lfp_protocols_differ_in_nothing_else_on_a_signal_of_one_sample_a_bin(rng):
    values = rng.normal(size=(500, 3)).astype(np.float32)
    sig = Signal(read=lambda a, b: values[a:b], n_samples=500, n_channels=3, rate_hz=10.0, start_s=0.05, span=(0, 50))
    clock = Bins(origin_s=0.0, width_s=0.1, first=0, n=500)
    assert np.allclose(filtered(sig, clock, replace(UNFILTERED, protocol="released")), values, atol=1e-5)


def test_lfp_one_sample_a_bin_without_filters_passes_unchanged(rng):
    values = (1e-5 * rng.normal(size=(500, 3)) - 1).astype(np.float32)
    sig = Signal(
        read=lambda a, b: values[a:b], n_samples=500, n_channels=3, rate_hz=10.0, start_s=0.05, span=(0.0, 50.0)
    )
    whole = Bins(origin_s=0.0, width_s=0.1, first=0, n=500)
    part = replace(whole, first=130, n=200)
    assert np.array_equal(filtered(sig, whole, UNFILTERED), values)
    assert np.array_equal(filtered(sig, part, UNFILTERED), values[130:330])


def test_lfp_resampled_without_filters_keeps_slow_signals_and_its_mean():
    out = filtered(
        signal(lambda t: (3 + np.sin(2 * np.pi * 2 * t))[:, None], 2000.0, 30), bins(2000, start_s=5.0), UNFILTERED
    )
    assert np.abs(out[:, 0] - 3 - np.sin(2 * np.pi * 2 * bins(2000, start_s=5.0).centres)).max() < 0.005


def test_lfp_slower_than_the_bins_is_refused():
    with pytest.raises(DataError, match=r"50 Hz, below the 100 bins per second; .* set `bin_width_ms` to 20"):
        filtered(signal(lambda t: t[:, None], 50.0, 30), bins(1000))


# Its first stage, in slices and in parts


def test_lfp_in_small_blocks_equals_one_block_and_reads_no_more_than_a_block(monkeypatch, rng):
    values = rng.normal(size=(60_000, 6)).astype(np.float32)
    sizes = []

    def read(start, stop):
        sizes.append((stop - start) * 6 * 4)
        return values[start:stop]

    sig = Signal(read=read, n_samples=60_000, n_channels=6, rate_hz=2000.0, start_s=0.0)
    once = filtered(sig, bins(2900), IngestConfig())
    monkeypatch.setattr(lfp, "_BLOCK_BYTES", 1 << 17)
    monkeypatch.setattr(decimation, "_SLICE_BYTES", 1 << 17)
    sizes.clear()
    blocks = filtered(sig, bins(2900), IngestConfig())
    assert np.allclose(once, blocks, atol=1e-6)
    assert len(sizes) > 10 and max(sizes) <= 1 << 17


@pytest.fixture
def staged(rng):
    """A signal of 6 channels at 2000 Hz and its decimation, five channels of it, in about 70 slices."""
    values = rng.normal(size=(60_000, 6)).astype(np.float32)
    values[20_000:20_009, 3] = np.nan
    sig = Signal(read=lambda a, b: values[a:b], n_samples=60_000, n_channels=6, rate_hz=2000.0, start_s=0.0)
    stage = planned(sig, 137, 59_990, 100.0, np.array([0, 1, 3, 4, 5]), "interpolate")
    return sig, replace(stage, step=213)


@pytest.mark.parametrize("per_part", [1, 2, 7, 1000])
def test_decimation_in_parts_equals_the_whole_bit_for_bit(staged, per_part):
    sig, stage = staged
    whole = np.concatenate(list(decimated(sig, stage)))
    length = per_part * stage.step
    starts = range(0, stage.n, length)
    stage = pickle.loads(pickle.dumps(stage))  # as it reaches another process
    parts = [np.concatenate(list(decimated(sig, stage, a, min(a + length, stage.n)))) for a in starts]
    assert whole.shape == (14_964, 5) and len(parts) == len(starts)
    assert np.array_equal(np.concatenate(parts), whole, equal_nan=True)


@pytest.mark.parametrize("n", [*range(5_100, 5_116), 5_140])
def test_decimation_in_slices_equals_one_slice_however_little_the_last_slice_holds(rng, n):
    values = rng.normal(size=(n, 2)).astype(np.float32)
    sig = Signal(read=lambda a, b: values[a:b], n_samples=n, n_channels=2, rate_hz=8000.0, start_s=0.0)
    stage = planned(sig, 0, n, 100.0, np.arange(2), "error")
    assert stage.factor == 16
    once = list(decimated(sig, replace(stage, step=1000)))
    sliced = list(decimated(sig, replace(stage, step=40)))
    assert len(once) == 1 and len(sliced) == -(-n // 640)
    assert np.array_equal(np.concatenate(sliced), once[0])


def test_decimation_of_a_part_names_the_same_lost_sample_as_the_whole(staged):
    sig, stage = staged
    stage = replace(stage, lfp_nan="error")
    at = 20_000 // stage.factor // stage.step * stage.step
    with pytest.raises(DataError, match=r"channel 3 is not finite at 10\.000 s") as whole:
        list(decimated(sig, stage))
    with pytest.raises(DataError) as part:
        list(decimated(sig, stage, at, stage.n))
    assert str(part.value) == str(whole.value)
    assert sum(map(len, decimated(sig, stage, 0, at))) == at


def test_lfp_whose_first_stage_another_does_is_the_same(rng):
    values = rng.normal(size=(60_000, 6)).astype(np.float32)
    sig = Signal(read=lambda a, b: values[a:b], n_samples=60_000, n_channels=6, rate_hz=2000.0, start_s=0.0)

    def in_two(signal, stage):
        stage = replace(stage, step=1000)
        yield from list(decimated(signal, stage, 0, 5000))
        yield from list(decimated(signal, stage, 5000))

    assert np.array_equal(filtered(sig, bins(2900)), filtered(sig, bins(2900), decimate=in_two))


def test_lfp_nan_is_an_error_that_names_channel_and_time():
    gap = lambda t: np.where((t > 7) & (t < 7.1), np.nan, np.sin(t))[:, None] * [1.0, 1.0]  # noqa: E731
    with pytest.raises(DataError, match=r"channel 0 .* 7\.0\d+ s.*drop_channels: \[0\].*lfp_nan: interpolate"):
        filtered(signal(gap, 500.0, 30), bins(2000))


@pytest.mark.parametrize("rate_hz", [250.0, 2000.0])
def test_lfp_nan_interpolated_follows_the_signal(rate_hz):
    sine = lambda t: np.sin(2 * np.pi * 2 * t)  # noqa: E731
    lost = lambda t: np.where(np.abs(t - 12) < 0.01, np.nan, sine(t))[:, None]  # noqa: E731
    clock = bins(2000, start_s=2.0)
    out = filtered(signal(lost, rate_hz, 30), clock, IngestConfig(filters=None, lfp_nan="interpolate"))[:, 0]
    assert np.abs(out - sine(clock.centres)).max() < 0.05


def test_lfp_channel_lost_throughout_cannot_be_interpolated():
    dead = lambda t: np.stack([np.sin(t), np.full_like(t, np.nan)], 1)  # noqa: E731
    with pytest.raises(DataError, match=r"channel 1 has no valid sample; .*drop_channels: \[1\]"):
        filtered(signal(dead, 500.0, 30), bins(1000), IngestConfig(lfp_nan="interpolate"))


@pytest.mark.parametrize("rate_hz", [1000.0, 999.9999999, 1000.0000001])
def test_rate_from_time_stamps_is_decimated_as_the_exact_rate(rate_hz):
    raw = signal(lambda t: t[:, None], rate_hz, 60)
    assert planned(raw, 0, raw.n_samples, 100.0, np.array([0]), "error").factor == 2
