"""LFP filters that run forward only, sample by sample or in chunks."""

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, LfpFilters
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.preprocessing.causal import CausalLfp
from raydistill.recordings.preprocessing.lfp import lfp_on_bins
from tests.recordings.signals import bins, signal

FILTERS = LfpFilters(causal=True)
NO_AVERAGE = LfpFilters(causal=True, common_average=False)


def noise(rate_hz, seconds=4.0, channels=3):
    return np.random.default_rng(0).normal(size=(int(rate_hz * seconds), channels)) + 5


def pushed(samples, rate_hz, chunk, filters=FILTERS, width_s=0.01, **options):
    chain = CausalLfp(filters, rate_hz, width_s, range(samples.shape[1]), **options)
    return np.concatenate([chain.push(samples[a : a + chunk]) for a in range(0, len(samples), chunk)])


@pytest.mark.parametrize("rate_hz", [100.0, 500.0, 1000.0, 24414.0625])
def test_chunks_of_any_length_give_the_same_bins(rate_hz):
    samples = noise(rate_hz, 2.0)
    whole = pushed(samples, rate_hz, len(samples))
    assert whole.shape == (200, 3)
    for chunk in (1, 7, 1000):
        assert np.abs(pushed(samples, rate_hz, chunk) - whole).max() < 1e-5


def test_store_holds_what_samples_give_as_they_arrive():
    samples = noise(1000.0)
    sig = signal(lambda t: samples[np.clip(np.round(t * 1000).astype(int), 0, len(samples) - 1)], 1000.0, 4.0)
    stored = lfp_on_bins(sig, bins(350, start_s=0.123), IngestConfig(filters=FILTERS), np.arange(3))
    assert np.abs(pushed(samples, 1000.0, 13, first_bin_s=0.123)[:350] - stored).max() < 1e-5


def test_later_samples_change_no_earlier_bin():
    samples = noise(1000.0)
    changed = samples.copy()
    changed[2000:, 0] += 100  # the common average would take out a change of all channels
    before, after = pushed(samples, 1000.0, 50), pushed(changed, 1000.0, 50)
    assert np.array_equal(before[:200], after[:200]) and not np.allclose(before[200:210], after[200:210])


def test_bin_is_given_with_its_last_sample():
    chain = CausalLfp(NO_AVERAGE, 1000.0, 0.01, [0])
    ends = [t for t in range(100) if len(chain.push(np.zeros((1, 1))))]
    assert ends[1:] == list(range(18, 100, 10))  # of 500 Hz, the last sample of a bin is the last but one of 1000 Hz


@pytest.mark.parametrize(
    ("hz", "gain"), [(1.0, (0.97, 1.0)), (20.0, (0.9, 1.02)), (60.0, (0.0, 0.05)), (0.001, (0, 0.05))]
)
def test_sine_keeps_its_amplitude_within_the_band_and_loses_it_outside(hz, gain):
    t = np.arange(60_000) / 1000
    out = pushed(np.sin(2 * np.pi * hz * t)[:, None], 1000.0, 500, NO_AVERAGE)[3000:, 0]
    assert gain[0] <= np.sqrt(2 * (out**2).mean()) <= gain[1]


def test_constant_signal_has_no_transient_at_its_start():
    assert np.abs(pushed(np.full((3000, 2), 7.0), 1000.0, 100, NO_AVERAGE)).max() < 1e-6


def test_common_average_is_subtracted_within_each_array():
    samples = noise(500.0, channels=4)
    out = pushed(samples, 500.0, 100, LfpFilters(causal=True, common_average="array"), arrays=["a", "a", "b", "b"])
    assert np.abs(out[:, :2].sum(1)).max() < 1e-5 and np.abs(out[:, 2:].sum(1)).max() < 1e-5


def test_samples_that_are_not_finite_are_named_or_held():
    samples = noise(500.0)
    samples[250:260, 1] = np.nan
    with pytest.raises(
        DataError, match=r"LFP channel 1 is not finite 0.500 s after the first sample; drop the channel"
    ):
        pushed(samples, 500.0, 100)
    held = samples.copy()
    held[250:260, 1] = samples[249, 1]
    for chunk in (1, 100, 255):
        out = pushed(samples, 500.0, chunk, lfp_nan="interpolate")
        assert np.abs(out - pushed(held, 500.0, 100)).max() < 1e-5


def test_published_protocol_has_no_causal_filters():
    with pytest.raises(ConfigError, match="`protocol: released` has zero-phase filters"):
        IngestConfig(protocol="released", filters=FILTERS)
