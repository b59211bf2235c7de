"""What a job stores of its scored segments: one vector each, and the first minute of behavior."""

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.evaluation.scored_segments import FILE, SegmentRecorder, read_segments, write_segments


def recorded(n_segments=5, bins=1500):
    chance = np.random.default_rng(0)
    recorder, latents = SegmentRecorder(bin_width_ms=20.0), []
    for number in range(n_segments):
        latents.append(chance.normal(size=(bins, 3)).astype(np.float32))
        recorder.add(number, latents[-1], latents[-1][:, :2], np.full((bins, 2), number, np.float32))
    return recorder.segments(lambda x: 2 * x), latents


def test_recorder_stores_the_mean_of_every_segment_and_behavior_of_the_first_minute():
    segments, latents = recorded()
    np.testing.assert_allclose(segments.vectors, [x.mean(axis=0) for x in latents], atol=1e-6)
    assert segments.true.shape == segments.decoded.shape == (3000, 2)  # a minute: two segments of half a minute
    np.testing.assert_array_equal(segments.decoded[:1500], 2 * latents[0][:, :2])
    assert segments.bins.tolist() == [1500] * 5 and set(segments.true[1500:].ravel()) == {1.0}


def test_segments_read_back_equal_those_written(tmp_path):
    segments, _ = recorded()
    write_segments(segments, tmp_path)
    again = read_segments(tmp_path)
    for name in segments.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(segments, name))


def test_segments_that_cannot_be_read_raise_an_error_with_the_file(tmp_path):
    with pytest.raises(DataError, match=FILE):
        read_segments(tmp_path)
    (tmp_path / FILE).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="delete its folder and run the sweep again"):
        read_segments(tmp_path)
