"""The time courses of a simulation: coloured noise, and the drives of the local populations near each array.

docs/synthetic-recordings.md gives every equation.
"""

import numpy as np

from raydistill.config.synthetic import SyntheticConfig
from raydistill.simulation.electrodes import ARRAYS

LEAD_S = 0.05
"""The motor cortex leads the hand by some 50 ms."""
SPEED_SCALE_CM_S = 20.0
"""Velocities enter tuning and drives in this unit."""
_OWN_HZ = 0.5  # below it the power of a population's own course is flat: changes as slow as reaches


def shifted(values: np.ndarray, samples: int) -> np.ndarray:
    """`values`, `samples` later. Beyond the ends, where the hand rests, the first or last value is used."""
    return values[np.clip(np.arange(len(values)) + samples, 0, len(values) - 1)]


def power_law_noise(
    rng: np.random.Generator, shape: tuple[int, int], rate_hz: float, exponent: float = 1.5, low_hz: float = 0.1
) -> np.ndarray:
    """Gaussian noise of `shape` (samples, columns), SD 1, with power 1/f**exponent above `low_hz` and flat below."""
    from scipy.fft import next_fast_len

    samples, columns = shape
    n = next_fast_len(samples, real=True)
    frequency = np.fft.rfftfreq(n, 1 / rate_hz)
    amplitude = np.maximum(frequency, low_hz) ** (-exponent / 2)
    spectrum = rng.normal(size=(len(frequency), columns, 2)).view(np.complex128)[..., 0] * amplitude[:, None]
    noise = np.fft.irfft(spectrum, n, axis=0)[:samples]
    return (noise - noise.mean(axis=0)) / noise.std(axis=0)


def population_drives(rng: np.random.Generator, config: SyntheticConfig, velocity: np.ndarray) -> np.ndarray:
    """(K, arrays * S) drive of each population as z-scores, array after array.

    The populations of the first array follow the velocity, those of the second the speed and a course of their own,
    those of all others only a course of their own; all but the first contain a little of the first
    (`array_coupling`).

    Args:
        rng: nothing is drawn for a single array.
        velocity: (K, 2) cm/s.
    """
    rate_hz, shape = config.kinematics_rate_hz, (len(velocity), config.sources)
    ahead = shifted(velocity, round(LEAD_S * rate_hz)) / SPEED_SCALE_CM_S
    drives = [_velocity_drive(ahead, config.sources)]
    for array in ARRAYS[1 : config.arrays]:
        drive = power_law_noise(rng, shape, rate_hz, exponent=2, low_hz=_OWN_HZ)
        if array.follows == "speed":
            drive = _z_scored(drive + _z_scored(np.linalg.norm(ahead, axis=1, keepdims=True)))
        drives.append(_z_scored(coupled(drive, drives[0], config.array_coupling)))
    return np.concatenate(drives, axis=1)


def coupled(own: np.ndarray, first: np.ndarray, coupling: float) -> np.ndarray:
    """`own` with some of `first`: their correlation is `coupling`, and the SD stays 1, if they are independent."""
    return np.sqrt(1 - coupling**2) * own + coupling * first


def _velocity_drive(ahead, sources):
    """(K, S) velocity along each source's preferred direction plus speed, as z-scores."""
    angle = 2 * np.pi * np.arange(sources) / sources
    return _z_scored(
        ahead @ np.stack([np.cos(angle), np.sin(angle)]) + 0.3 * np.linalg.norm(ahead, axis=1, keepdims=True)
    )


def _z_scored(values):
    return (values - values.mean(axis=0)) / values.std(axis=0)
