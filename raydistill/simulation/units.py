"""The units of a subject: which of them a session records, their tuning, and their spikes."""

import numpy as np

from raydistill.config.synthetic import SyntheticConfig
from raydistill.simulation.courses import LEAD_S, SPEED_SCALE_CM_S, power_law_noise, shifted
from raydistill.simulation.electrodes import ARRAYS, Follows

Tuning = dict[str, np.ndarray]
"""Parameters of each unit; see `draw_tuning`."""


def draw_tuning(rng: np.random.Generator, units: int, depth: float) -> Tuning:
    """Preferred velocity (units, 2), speed gain, modulation weights (units, 2), baseline rate, lead of each unit."""
    angle = rng.uniform(0, 2 * np.pi, units)
    gain = depth * rng.gamma(4, 1 / 4, units)
    return {
        "preferred": gain[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1),
        "speed": rng.normal(0.2, 0.3, units) * depth,
        "modulation": rng.normal(0, 0.25, (units, 2)),
        "baseline_hz": rng.lognormal(np.log(7), 0.5, units),
        "lead_s": rng.normal(LEAD_S, 0.03, units),
    }


def recorded_units(
    rng: np.random.Generator, config: SyntheticConfig, tuning: Tuning, channels: np.ndarray
) -> tuple[Tuning, np.ndarray]:
    """Tuning and channels of the units of one session: some of the subject's units, a share of them replaced.

    Args:
        tuning: of all units of the subject.
        channels: (max_units,)
    """
    count = int(rng.integers(config.min_units, config.max_units + 1))
    recorded = np.sort(rng.permutation(config.max_units)[:count])
    other = draw_tuning(rng, config.max_units, config.tuning_depth)
    replaced = rng.random(config.max_units) < config.unit_turnover
    own = {
        name: np.where(replaced.reshape(-1, *[1] * (old.ndim - 1)), other[name], old)[recorded]
        for name, old in tuning.items()
    }
    return own, channels[recorded]


def spike_trains(
    rng: np.random.Generator, config: SyntheticConfig, tuning: Tuning, arrays: np.ndarray, velocity: np.ndarray
) -> tuple[np.ndarray, ...]:
    """For each unit, its spike times in seconds, ascending.

    Args:
        arrays: (units,) the array of each unit, an index of `ARRAYS`.
        velocity: (K, 2) cm/s.
    """
    trains: dict[int, np.ndarray] = {}
    for number in range(config.arrays):
        units = np.flatnonzero(arrays == number)
        own = {name: values[units] for name, values in tuning.items()}
        own = _tuning_on_array(own, ARRAYS[number].follows, config.array_coupling)
        trains |= zip(units.tolist(), _spikes(rng, own, velocity, config.kinematics_rate_hz), strict=True)
    return tuple(trains[unit] for unit in range(len(arrays)))


def _tuning_on_array(tuning: Tuning, follows: Follows, coupling: float) -> Tuning:
    """The tuning on an array that follows something else than velocity: `coupling` is left of the direction.

    Where units follow the speed, the gain that the direction loses goes to the speed.
    """
    if follows == "velocity":
        return tuning
    lost = (1 - coupling) * np.linalg.norm(tuning["preferred"], axis=1)
    speed = tuning["speed"] + lost if follows == "speed" else coupling * tuning["speed"]
    return tuning | {"preferred": coupling * tuning["preferred"], "speed": speed}


def _spikes(rng, tuning, velocity, rate_hz):
    """Poisson spikes whose log-rate is linear in velocity, speed and two slow modulations that these units share."""
    modulation = power_law_noise(rng, (len(velocity), 2), rate_hz, exponent=2, low_hz=0.1)
    trains = []
    for unit, lead_s in enumerate(tuning["lead_s"]):
        v = shifted(velocity, round(lead_s * rate_hz)) / SPEED_SCALE_CM_S
        log_gain = (
            v @ tuning["preferred"][unit]
            + np.linalg.norm(v, axis=1) * tuning["speed"][unit]
            + modulation @ tuning["modulation"][unit]
        )
        rate = np.minimum(tuning["baseline_hz"][unit] * np.exp(log_gain), 200)
        counts = rng.poisson(rate / rate_hz)
        # Given their number, the spikes of a Poisson process are uniform within a sample.
        times = np.repeat(np.arange(len(counts)), counts) + rng.random(counts.sum())
        trains.append(np.sort(times) / rate_hz)
    return tuple(trains)
