"""What a job keeps of its scored segments: one vector each, and the first minute of behavior."""

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.evaluation.sequences import FILE, Keeper, read_sequences, write_sequences


def kept(n_segments=5, bins=1500):
    chance = np.random.default_rng(0)
    keeper, latents = Keeper(bin_width_ms=20.0), []
    for number in range(n_segments):
        latents.append(chance.normal(size=(bins, 3)).astype(np.float32))
        keeper.see(number, latents[-1], latents[-1][:, :2], np.full((bins, 2), number, np.float32))
    return keeper.sequences(lambda x: 2 * x), latents


def test_keeper_keeps_the_mean_of_every_segment_and_behavior_of_the_first_minute():
    found, latents = kept()
    np.testing.assert_allclose(found.vectors, [x.mean(axis=0) for x in latents], atol=1e-6)
    assert found.true.shape == found.decoded.shape == (3000, 2)  # a minute: two segments of half a minute
    np.testing.assert_array_equal(found.decoded[:1500], 2 * latents[0][:, :2])
    assert found.bins.tolist() == [1500] * 5 and set(found.true[1500:].ravel()) == {1.0}


def test_sequences_come_back_as_they_were_written(tmp_path):
    found, _ = kept()
    write_sequences(found, tmp_path)
    again = read_sequences(tmp_path)
    for name in found.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_sequences_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(DataError, match=FILE):
        read_sequences(tmp_path)
    (tmp_path / FILE).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="delete its folder and run the sweep again"):
        read_sequences(tmp_path)
