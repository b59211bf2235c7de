"""The arrays of a subject: which source reaches which channel, and how alike neighbours are."""

import dataclasses

import numpy as np
import pytest

from raydistill.config.synthetic import SyntheticConfig
from raydistill.simulation.implant import draw_implant

CONFIG = SyntheticConfig(min_channels=50, max_channels=50, max_units=40, min_units=40, sources=300, shared_rank=3)


def implant(arrays):
    return draw_implant(dataclasses.replace(CONFIG, arrays=arrays), np.random.default_rng(1))


def similarity(mixing, near):
    """Mean correlation between the weights of neighbouring channels of a grid 5 wide, or of its far corners."""
    first, second = (slice(0, 4), slice(1, 5)) if near else (slice(0, 1), slice(24, 25))
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(mixing.T[first], mixing.T[second], strict=True)])


def test_implant_with_two_arrays_shares_channels_and_units_and_mixes_no_source_of_the_other():
    drawn = implant(2)
    assert np.array_equal(drawn.array_numbers, np.repeat([0, 1], 25))
    assert drawn.channels.array == ("M1",) * 25 + ("S1",) * 25
    assert drawn.unit_channels.shape == (40,) and set(drawn.array_numbers[drawn.unit_channels]) == {0, 1}
    for mixing, rows in ((drawn.motor_mixing, 300), (drawn.beta_mixing, 300), (drawn.shared_mixing, 3)):
        assert mixing.shape == (2 * rows, 50)
        assert not mixing[:rows, 25:].any() and not mixing[rows:, :25].any()
        assert np.linalg.norm(mixing, axis=0) == pytest.approx(np.ones(50))


def test_implant_with_channels_that_do_not_divide_evenly_gives_the_first_array_one_more():
    config = dataclasses.replace(CONFIG, arrays=3, min_channels=8, max_channels=8)
    drawn = draw_implant(config, np.random.default_rng(0))
    assert np.bincount(drawn.array_numbers).tolist() == [3, 3, 2]


def test_mixing_is_alike_in_neighbours_of_several_arrays_and_independent_on_a_single_one():
    several = implant(2).motor_mixing[:300, :25]
    assert similarity(several, near=True) == pytest.approx(np.exp(-0.5), abs=0.06)  # 400 of 800 um
    assert similarity(several, near=False) == pytest.approx(np.exp(-2 * np.sqrt(2)), abs=0.12)
    assert similarity(implant(1).motor_mixing, near=True) == pytest.approx(0, abs=0.06)
