"""Spikes of units on several arrays: what of the hand each follows."""

import numpy as np
import pytest

from raydistill.config.synthetic import SyntheticConfig
from raydistill.simulation.units import spike_trains

RATE_HZ, SECONDS = 100.0, 60


def rates(coupling, velocity_cm_s):
    """Mean rate in Hz of a unit on each of three arrays while the hand moves at this constant velocity.

    All have a baseline of 10 Hz, a gain of 1 in the direction x at 20 cm/s, a speed gain of 0.2, and no modulation.
    """
    tuning = {
        "preferred": np.tile([1.0, 0.0], (3, 1)),
        "speed": np.full(3, 0.2),
        "modulation": np.zeros((3, 2)),
        "baseline_hz": np.full(3, 10.0),
        "lead_s": np.zeros(3),
    }
    config = SyntheticConfig(arrays=3, array_coupling=coupling)
    velocity = np.tile(np.array(velocity_cm_s, dtype=float), (int(SECONDS * RATE_HZ), 1))
    trains = spike_trains(np.random.default_rng(0), config, tuning, np.array([2, 0, 1]), velocity)
    of_array = {array: len(train) / SECONDS for array, train in zip([2, 0, 1], trains, strict=True)}
    return [of_array[array] for array in range(3)]


@pytest.mark.parametrize(
    ("coupling", "velocity", "log_gains"),
    [
        (0.0, (20, 0), (1.2, 1.2, 0.0)),  # the second: 1 for the direction goes to the speed
        (0.0, (-20, 0), (-0.8, 1.2, 0.0)),
        (0.5, (-20, 0), (-0.8, -0.5 + 0.7, 0.5 * -0.8)),
        (1.0, (-20, 0), (-0.8, -0.8, -0.8)),
    ],
)
def test_units_follow_what_their_array_follows(coupling, velocity, log_gains):
    assert rates(coupling, velocity) == pytest.approx(10 * np.exp(log_gains), rel=0.1)
