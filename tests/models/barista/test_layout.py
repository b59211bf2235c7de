"""Cutting segments into tokens of several bins, and tokens back into bins."""

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.models.barista.layout import layout_of
from tests.models.barista.models import lfp_batch
from tests.small import make_segments


def test_tokens_hold_the_bins_of_one_channel_and_the_last_ones_overlap():
    batch, segments = lfp_batch(), make_segments(("a", "b"), (12, 9))
    layout = layout_of(batch, 4)
    assert layout.sub_segments == (3, 3) and layout.channels == (8, 20) and layout.lengths == (24, 60)
    expected = [
        segment.lfp[start : start + 4].T  # (channels, 4)
        for segment, starts in zip(segments, ([0, 4, 8], [0, 4, 5]), strict=True)  # the last of 9 bins begins at 5
        for start in starts
    ]
    assert np.array_equal(batch.values[layout.rows].squeeze(2).numpy(), np.concatenate(expected))
    assert layout.time.tolist() == [k for p in (8, 20) for k in range(3) for _ in range(p)]
    assert layout.channel.tolist() == [*range(8)] * 3 + [*range(20)] * 3


def test_every_bin_is_read_out_once_from_the_earlier_sub_segment():
    layout = layout_of(lfp_batch(), 4)
    assert layout.bin_sub_segment.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5]
    assert layout.bin_step.tolist() == [0, 1, 2, 3] * 5 + [3]  # bin 8 is the last one of bins 5 to 8


def test_segment_shorter_than_a_token_is_refused():
    with pytest.raises(DataError, match="a segment of b has 9 bins, but a token of the model has 10"):
        layout_of(lfp_batch(), 10)
