"""The drives of populations near several arrays, and what they have of each other."""

import numpy as np
import pytest

from raydistill.config.synthetic import SyntheticConfig
from raydistill.simulation.courses import population_drives, power_law_noise, shifted

SOURCES = 4


@pytest.fixture(scope="module")
def velocity():
    """(60 000, 2) cm/s of 10 minutes."""
    return 20 * power_law_noise(np.random.default_rng(0), (60_000, 2), 100.0, exponent=2, low_hz=1)


def drives(velocity, coupling, arrays=3):
    """(arrays, K, S)"""
    config = SyntheticConfig(sources=SOURCES, arrays=arrays, array_coupling=coupling)
    values = population_drives(np.random.default_rng(3), config, velocity)
    return values.reshape(len(values), arrays, SOURCES).transpose(1, 0, 2)


def correlations(a, b):
    """(S,) of the columns of two arrays."""
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


def test_drives_of_the_first_array_are_the_same_however_many_there_are(velocity):
    rng = np.random.default_rng(3)
    alone = population_drives(rng, SyntheticConfig(sources=SOURCES), velocity)
    assert np.array_equal(drives(velocity, 0.2)[0], alone)
    assert rng.random() == np.random.default_rng(3).random()  # a single array draws nothing


def test_drives_are_z_scores(velocity):
    values = drives(velocity, 0.2)
    assert np.allclose(values.mean(axis=1), 0) and np.allclose(values.std(axis=1), 1)


def test_drives_of_the_second_array_follow_the_speed_and_those_of_the_third_do_not(velocity):
    _, second, third = drives(velocity, 0.0)
    speed = np.linalg.norm(shifted(velocity, 5), axis=1)[:, None]  # 50 ms ahead
    assert correlations(second, np.tile(speed, SOURCES)) == pytest.approx(np.full(SOURCES, np.sqrt(0.5)), abs=0.05)
    assert correlations(third, np.tile(speed, SOURCES)) == pytest.approx(np.zeros(SOURCES), abs=0.1)


@pytest.mark.parametrize("coupling", [0.0, 0.3, 1.0])
def test_drives_of_an_unrelated_array_correlate_with_those_of_the_first_by_the_coupling(velocity, coupling):
    first, _, third = drives(velocity, coupling)
    assert correlations(first, third) == pytest.approx(np.full(SOURCES, coupling), abs=0.1)
