"""Raw samples as they arrive, against what `ingest` stores of the same recording."""

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, LfpFilters, Splits
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.recording import Recording
from raydistill.simulation.simulate import generate
from raydistill.simulation.writers.nwb import SOURCE, write_nwb
from raydistill.store.store import Store
from raydistill.stream.preprocess import Preprocess

RATE_HZ = 500.0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """(raw samples in volts, function from filters to the entry and store of the recording)."""
    folder = tmp_path_factory.mktemp("raw")
    config = SyntheticConfig(
        subjects=1, sessions_per_subject=1, duration_s=40, min_units=5, max_units=6, min_channels=6, max_channels=6
    )
    (recording,) = generate(config)
    write_nwb(recording, folder / "S.nwb")
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(folder / "S.nwb", "r") as io:
        series = io.read().processing["ecephys"]["LFP"]["ElectricalSeries"]
        raw = series.data[:] * series.conversion

    def stored(name, **options):
        splits = Splits(segment_s=1, parent_s=2)
        settings = IngestConfig(bin_width_ms=20, splits=splits, **options)
        store = Store(str(folder / name))
        recording = Recording(name="S", path=folder / "S.nwb", source=SOURCE, config=settings)
        assert ingest_one(recording, store.uri, None).state == "stored"
        store.publish()
        return store.entry("S"), store

    return raw, stored


def test_samples_as_they_arrive_give_the_values_of_the_store(recorded):
    raw, stored = recorded
    entry, store = stored("causal", filters=LfpFilters(causal=True), drop_channels=(2,))
    chain = Preprocess(entry, RATE_HZ)
    arrived = np.concatenate([chain.push(raw[a : a + 33]) for a in range(0, len(raw), 33)])
    for segment in store.read(entry):
        first = round(segment.start_s * 50)
        assert np.abs(arrived[first : first + segment.n_bins] - segment.lfp).max() < 1e-4
    assert arrived.shape[1] == 5


def test_session_with_zero_phase_filters_is_refused_with_the_way_out(recorded):
    entry, _ = recorded[1]("zero")
    with pytest.raises(DataError, match=r"zero-phase filters.*`filters: \{causal: true\}`"):
        Preprocess(entry, RATE_HZ)


def test_other_channels_than_those_of_the_recording_are_refused(recorded):
    raw, stored = recorded
    entry, _ = stored("causal2", filters=LfpFilters(causal=True))
    with pytest.raises(DataError, match="samples have 5 channels, but the recording has 6"):
        Preprocess(entry, RATE_HZ).push(raw[:10, :5])


def test_z_scores_follow_a_slow_change_if_the_session_was_stored_so(recorded):
    raw, stored = recorded
    filters = LfpFilters(causal=True, highpass_hz=None, common_average=False)
    louder = np.concatenate([raw, *[3 * raw] * 4])
    still = Preprocess(stored("still", filters=filters)[0], RATE_HZ).push(louder)[-1000:]
    entry, store = stored("following", filters=filters, adapt_s=10)
    following = Preprocess(entry, RATE_HZ).push(louder)
    assert still.std() > 2.5 and 0.7 < following[-1000:].std() < 1.4
    for segment in store.read(entry):
        first = round(segment.start_s * 50)
        assert np.abs(following[first : first + segment.n_bins] - segment.lfp).max() < 1e-4
    assert entry.rules == "corrected (z-scores follow over 10 s)"


def test_z_scores_of_a_whole_session_are_the_stored_ones(recorded):
    raw, stored = recorded
    entry, store = stored("session", filters=LfpFilters(causal=True), protocol="session_zscores")
    arrived = Preprocess(entry, RATE_HZ).push(raw)
    stored_bins = np.concatenate([segment.lfp for segment in store.read(entry)])
    assert np.abs(stored_bins.mean(0)).max() < 1e-5 and np.abs(stored_bins.std(0) - 1).max() < 1e-5
    for segment in store.read(entry):
        first = round(segment.start_s * 50)
        assert np.abs(arrived[first : first + segment.n_bins] - segment.lfp).max() < 1e-4
