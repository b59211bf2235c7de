"""Paired spike and LFP recordings of simulated reaching, with the latents that made them.

A hand makes point-to-point reaches. Its velocity, a little ahead of time, drives units through velocity tuning
and local populations that the LFP picks up in two ways: linearly, as a local motor potential, and through the
amplitude of beta oscillations, which falls as a population is driven (event-related desynchronisation). Larger
signals that are unrelated to behavior are added: shared and private 1/f activity, a drifting reference, line noise.
docs/synthetic-recordings.md gives every equation.

Independent random streams are derived from the seed, one per subject (its electrode array) and one per session. A
session therefore does not depend on which others are generated.

Axes: K samples of kinematics, L samples of LFP, C channels, S sources.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from raydistill.config.synthetic import SyntheticConfig

_LEAD_S = 0.05  # the motor cortex leads the hand by some 50 ms
_SPEED_SCALE = 20.0  # cm/s; velocities enter the tuning in this unit


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticRecording:
    """One session as an experimenter would record it, and the drive, which cannot be recorded."""

    session: str
    subject: str
    spike_times: tuple[np.ndarray, ...]
    """For each unit, its spike times in seconds, ascending."""
    unit_channels: np.ndarray
    """(units,) the channel on which each unit was recorded."""
    n_channels: int
    """Channels of the array, whether or not its LFP was recorded."""
    lfp: np.ndarray | None
    """(L, C) float32, volts; None: spikes only."""
    lfp_rate_hz: float
    position: np.ndarray
    """(K, 2) float64, cm."""
    velocity: np.ndarray
    """(K, 2) float64, cm/s."""
    kinematics_rate_hz: float
    drive: np.ndarray
    """(K, S) the latent drive of the local populations, unitless."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Array:
    """An implanted array, which the sessions of one subject share."""

    tuning: dict[str, np.ndarray]
    """Parameters of each unit; see `_draw_tuning`."""
    unit_channels: np.ndarray
    motor_mixing: np.ndarray
    """(S, C) weight of each source's motor potential on each channel. The columns of all mixings have norm 1."""
    beta_mixing: np.ndarray
    """(S, C)"""
    shared_mixing: np.ndarray
    """(shared_rank, C)"""


def session_names(config: SyntheticConfig) -> tuple[tuple[str, str], ...]:
    """(session, subject) of every recording that `generate` makes, in its order."""
    return tuple(
        (f"S{subject + 1}_{session + 1:02d}", f"S{subject + 1}")
        for subject in range(config.subjects)
        for session in range(config.sessions_per_subject)
    )


def generate(config: SyntheticConfig) -> Iterator[SyntheticRecording]:
    """Every session of `config`, one at a time: memory holds one recording."""
    for number in range(len(session_names(config))):
        yield generate_session(config, number)


def generate_session(config: SyntheticConfig, number: int) -> SyntheticRecording:
    """The recording of `session_names(config)[number]`, without generating any other."""
    session, subject = session_names(config)[number]
    return simulate(config, *divmod(number, config.sessions_per_subject), session=session, subject=subject)


def simulate(
    config: SyntheticConfig, array_number: int, session_number: int, *, session: str, subject: str, lfp: bool = True
) -> SyntheticRecording:
    """Session `session_number` of array `array_number`, both from 0; their names do not matter.

    Args:
        lfp: False leaves out the LFP, which takes most of the time. Everything else is the same without it.
    """
    rng = _stream(config, array_number, session_number)
    array = _draw_array(config, _stream(config, array_number))

    position, velocity = _reach(rng, config.duration_s, config.kinematics_rate_hz)
    drive = _population_drive(velocity, config.sources, config.kinematics_rate_hz)
    tuning, unit_channels = _record_units(rng, config, array)
    return SyntheticRecording(
        session=session,
        subject=subject,
        spike_times=_spike(rng, tuning, velocity, config.kinematics_rate_hz),
        unit_channels=unit_channels,
        n_channels=array.motor_mixing.shape[1],
        lfp=_lfp(rng, config, array, drive) if lfp else None,
        lfp_rate_hz=config.lfp_rate_hz,
        position=position,
        velocity=velocity,
        kinematics_rate_hz=config.kinematics_rate_hz,
        drive=drive,
    )


def _stream(config, *key):
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=key))


# The hand


def _reach(rng, duration_s, rate_hz):
    """Position and velocity, (K, 2) each: minimum-jerk reaches to random targets, slightly curved, with pauses."""
    samples = round(duration_s * rate_hz)
    position = np.zeros((samples, 2))
    place, start = np.zeros(2), 0
    while start < samples:
        start += round(rng.uniform(0.1, 0.6) * rate_hz)  # pause
        target = _next_target(rng, place)
        reach = target - place
        seconds = (0.35 + 0.03 * np.linalg.norm(reach)) * rng.uniform(0.85, 1.2)
        s = np.linspace(0, 1, max(2, round(seconds * rate_hz)))
        course = s**3 * (10 - 15 * s + 6 * s**2)  # minimum jerk: a bell-shaped speed
        bend = rng.normal(0, 0.08) * 16 * (s * (1 - s)) ** 2
        path = place + course[:, None] * reach + bend[:, None] * np.array([-reach[1], reach[0]])
        stop = min(start + len(path), samples)
        position[start:stop] = path[: max(stop - start, 0)]
        position[stop:] = target
        place, start = target, stop
    return position, np.gradient(position, 1 / rate_hz, axis=0)


def _next_target(rng, place):
    """A target in a workspace of 16 x 16 cm, at least 4 cm away."""
    while True:
        target = rng.uniform(-8, 8, 2)
        if np.linalg.norm(target - place) >= 4:
            return target


def _shifted(values, samples):
    """`values`, `samples` later. Beyond the ends, where the hand rests, the first or last value is used."""
    return values[np.clip(np.arange(len(values)) + samples, 0, len(values) - 1)]


def _population_drive(velocity, sources, rate_hz):
    """(K, S) velocity along each source's preferred direction plus speed, ahead of the hand, as z-scores."""
    angle = 2 * np.pi * np.arange(sources) / sources
    v = _shifted(velocity, round(_LEAD_S * rate_hz)) / _SPEED_SCALE
    drive = v @ np.stack([np.cos(angle), np.sin(angle)]) + 0.3 * np.linalg.norm(v, axis=1, keepdims=True)
    return (drive - drive.mean(axis=0)) / drive.std(axis=0)


# The array


def _draw_array(config, rng):
    channels = int(rng.integers(config.min_channels, config.max_channels + 1))
    return _Array(
        tuning=_draw_tuning(rng, config.max_units, config.tuning_depth),
        unit_channels=rng.integers(channels, size=config.max_units),
        motor_mixing=_mixing(rng, config.sources, channels),
        beta_mixing=_mixing(rng, config.sources, channels),
        shared_mixing=_mixing(rng, config.shared_rank, channels),
    )


def _mixing(rng, sources, channels):
    weights = rng.normal(size=(sources, channels))
    return weights / np.linalg.norm(weights, axis=0)


def _draw_tuning(rng, units, depth):
    """Preferred velocity (units, 2), speed gain, modulation weights (units, 2), baseline rate, lead of each unit."""
    angle = rng.uniform(0, 2 * np.pi, units)
    gain = depth * rng.gamma(4, 1 / 4, units)
    return {
        "preferred": gain[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1),
        "speed": rng.normal(0.2, 0.3, units) * depth,
        "modulation": rng.normal(0, 0.25, (units, 2)),
        "baseline_hz": rng.lognormal(np.log(7), 0.5, units),
        "lead_s": rng.normal(_LEAD_S, 0.03, units),
    }


def _record_units(rng, config, array):
    """Tuning and channels of the units of one session: some of the array's units, a share of them replaced."""
    count = int(rng.integers(config.min_units, config.max_units + 1))
    recorded = np.sort(rng.permutation(config.max_units)[:count])
    other = _draw_tuning(rng, config.max_units, config.tuning_depth)
    replaced = rng.random(config.max_units) < config.unit_turnover
    tuning = {
        name: np.where(replaced.reshape(-1, *[1] * (old.ndim - 1)), other[name], old)[recorded]
        for name, old in array.tuning.items()
    }
    return tuning, array.unit_channels[recorded]


# The signals


def _spike(rng, tuning, velocity, rate_hz):
    """Poisson spikes whose log-rate is linear in velocity, speed and two slow modulations the units share."""
    modulation = _power_law_noise(rng, (len(velocity), 2), rate_hz, exponent=2, low_hz=0.1)
    trains = []
    for unit, lead_s in enumerate(tuning["lead_s"]):
        v = _shifted(velocity, round(lead_s * rate_hz)) / _SPEED_SCALE
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


def _lfp(rng, config, array, drive):
    """(L, C) float32 in volts: the sum of every term of the configuration."""
    rate_hz = config.lfp_rate_hz
    samples = round(config.duration_s * rate_hz)
    seconds = np.arange(samples) / rate_hz
    channels = array.motor_mixing.shape[1]
    drive = _resampled(drive, config.kinematics_rate_hz, seconds)  # (L, S)

    lfp = config.motor_potential_uv * (drive @ array.motor_mixing)
    lfp += config.beta_uv * (_beta(rng, drive, config.beta_depth, rate_hz) @ array.beta_mixing)
    lfp += config.shared_uv * (_power_law_noise(rng, (samples, config.shared_rank), rate_hz) @ array.shared_mixing)
    lfp += config.private_uv * _power_law_noise(rng, (samples, channels), rate_hz, exponent=1)
    lfp += config.reference_uv * _power_law_noise(rng, (samples, 1), rate_hz, exponent=2, low_hz=0.02)
    lfp += config.line_uv * rng.gamma(4, 1 / 4, channels) * np.sin(2 * np.pi * 60 * seconds)[:, None]
    return (lfp * 1e-6).astype(np.float32)


def _resampled(values, rate_hz, seconds):
    at = np.arange(len(values)) / rate_hz
    return np.stack([np.interp(seconds, at, column) for column in values.T], axis=1)


def _beta(rng, drive, depth, rate_hz):
    """(L, S) oscillations of unit SD between 13 and 19 Hz with drifting phase, weaker when their source is driven."""
    sources = drive.shape[1]
    frequency = rng.uniform(13, 19, sources)
    wander = rng.normal(0, np.sqrt(2 * np.pi * 0.5 / rate_hz), drive.shape)  # a line width of about 0.5 Hz
    phase = rng.uniform(0, 2 * np.pi, sources) + np.cumsum(2 * np.pi * frequency / rate_hz + wander, axis=0)
    burst = 0.3 * _power_law_noise(rng, drive.shape, rate_hz, exponent=2, low_hz=1)
    beta = np.exp(burst - depth * drive) * np.cos(phase)
    return beta / beta.std(axis=0)


def _power_law_noise(rng, shape, rate_hz, exponent=1.5, low_hz=0.1):
    """Gaussian noise of `shape` (samples, columns), SD 1, with power 1/f**exponent above `low_hz` and flat below."""
    from scipy.fft import next_fast_len

    samples, columns = shape
    n = next_fast_len(samples, real=True)
    frequency = np.fft.rfftfreq(n, 1 / rate_hz)
    amplitude = np.maximum(frequency, low_hz) ** (-exponent / 2)
    spectrum = rng.normal(size=(len(frequency), columns, 2)).view(np.complex128)[..., 0] * amplitude[:, None]
    noise = np.fft.irfft(spectrum, n, axis=0)[:samples]
    return (noise - noise.mean(axis=0)) / noise.std(axis=0)
