"""The decoder as FALCON's evaluator drives it: a batch of recordings that end at different times."""

import numpy as np
import pytest

from raydistill.decode.decoder import open_decoder
from raydistill.errors import DataError
from raydistill.store.store import Store
from raydistill.stream.decoder import StreamDecoder
from raydistill.stream.falcon import FalconDecoder
from tests.stream.models import make_folder, save


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = make_folder(tmp_path_factory.mktemp("falcon"))
    return open_decoder(save(folder, modality="spikes"), Store(str(folder / "store")), "S", None, ())


def alone(opened, counts):
    decoder = StreamDecoder(opened)
    return np.array([decoder.step(spikes=row) for row in counts])


def test_batch_of_recordings_decodes_each_as_alone_and_begins_again_with_those_that_end(opened):
    counts = np.random.default_rng(0).poisson(0.5, (40, 2, 5))
    falcon = FalconDecoder(opened, batch_size=2)
    falcon.reset(["first.nwb", "second.nwb"])
    out = [falcon.predict(bin_) for bin_ in counts[:15]]
    falcon.on_done(np.array([False, True]))
    falcon.observe(counts[15])
    out += [falcon.predict(bin_) for bin_ in counts[16:]]
    out = np.array(out)
    assert out.shape == (39, 2, 2)
    kept = np.delete(np.arange(40), 15)
    assert np.abs(out[:, 0] - alone(opened, counts[:, 0])[kept]).max() < 1e-4
    assert np.abs(out[15:, 1] - alone(opened, counts[15:, 1])[1:]).max() < 1e-4


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.full((1, 5), np.nan), "not finite"),
        (np.full((1, 5), -1), "whole numbers from 0 to 255"),
        (np.full((1, 5), 0.5), "whole numbers from 0 to 255"),
        (np.ones((1, 4)), "a bin has 4 units, but session S has 5"),
        (np.ones((2, 5)), r"`spikes` has the shape \(2, 5\), but must have one row for each of 1 streams"),
    ],
)
def test_counts_that_are_none_are_refused(opened, counts, message):
    with pytest.raises(DataError, match=message):
        FalconDecoder(opened).predict(counts)


def test_recordings_that_end_must_be_told_for_all_of_the_batch(opened):
    with pytest.raises(DataError, match="there are 2 streams"):
        FalconDecoder(opened, batch_size=2).on_done(np.array([True]))


def test_one_recording_and_another_batch_size_begin_from_an_empty_state(opened):
    counts = np.random.default_rng(1).poisson(0.5, (10, 1, 5))
    falcon = FalconDecoder(opened, batch_size=3)
    falcon.set_batch_size(1)
    first = np.array([falcon.predict(bin_) for bin_ in counts])
    falcon.reset()
    assert np.array_equal(np.array([falcon.predict(bin_) for bin_ in counts]), first)
    assert np.abs(first[:, 0] - alone(opened, counts[:, 0])).max() < 1e-4


def test_model_that_does_not_read_spikes_is_refused(tmp_path):
    folder = make_folder(tmp_path)
    of_lfp = open_decoder(save(folder, modality="lfp"), Store(str(folder / "store")), "S", None, ())
    with pytest.raises(DataError, match="FALCON gives counts of spikes, but the model reads lfp"):
        FalconDecoder(of_lfp)
