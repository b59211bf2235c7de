"""The catalogue's z-scoring is undone exactly, and bins have the right times."""

import numpy as np
import pytest

from raydistill.store.catalogue import Normalisation
from raydistill.store.session import Segment, bin_centres_s


def test_undone_z_scores_are_the_recorded_values_even_if_the_mean_is_large_relative_to_the_sd():
    values = 1e6 + np.random.default_rng(0).standard_normal((50, 3))
    mean, std = values.mean(0), values.std(0)
    norm = Normalisation(mean=tuple(mean), std=tuple(std))
    scored = ((values - mean) / std).astype(np.float32)
    assert norm.undo(scored) == pytest.approx(values, abs=0.07)  # float32 has steps of 0.06 there
    assert norm.undo(scored[:, [2, 0]], [2, 0]) == pytest.approx(values[:, [2, 0]], abs=0.07)


def test_times_of_bins_are_their_centres():
    segment = lambda number, start_s: Segment(  # noqa: E731
        session="S", number=number, split="train", start_s=start_s, spikes=np.zeros((2, 1)), lfp=None, behavior=None
    )
    assert bin_centres_s([segment(0, 1.0), segment(1, 3.0)], 10) == pytest.approx([1.005, 1.015, 3.005, 3.015])
