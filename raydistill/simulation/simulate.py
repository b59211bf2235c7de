"""Paired spike and LFP recordings of simulated reaching, with the latents that made them.

A hand makes point-to-point reaches. Its velocity, a little ahead of time, drives units through velocity tuning
and local populations that the LFP picks up in two ways: linearly, as a local motor potential, and through the
amplitude of beta oscillations, which falls as a population is driven (event-related desynchronisation). Larger
signals that are unrelated to behavior are added: shared and private 1/f activity, a drifting reference, line noise.
docs/synthetic-recordings.md gives every equation.

Independent random streams are derived from the seed, one per subject (its electrode arrays) and one per session. A
session therefore does not depend on which others are generated.

Axes: K samples of kinematics, L samples of LFP, C channels, S sources per array.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from raydistill.config.synthetic import SyntheticConfig
from raydistill.simulation.courses import coupled, population_drives, power_law_noise
from raydistill.simulation.implant import Implant, draw_implant
from raydistill.simulation.units import recorded_units, spike_trains
from raydistill.store.channels import ChannelTable

DIRECTIONS = ("right", "up", "left", "down")
"""Quarters of the directions of reaches, by their angle from 0 on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticRecording:
    """One session as an experimenter would record it, and the drive, which cannot be recorded."""

    session: str
    subject: str
    spike_times: tuple[np.ndarray, ...]
    """For each unit, its spike times in seconds, ascending."""
    unit_channels: np.ndarray
    """(units,) the channel on which each unit was recorded."""
    channels: ChannelTable
    """One row per channel, whether or not its LFP was recorded. Positions are on the grid of the channel's array."""
    lfp: np.ndarray | None
    """(L, C) float32, volts; None: spikes only."""
    lfp_rate_hz: float
    position: np.ndarray
    """(K, 2) float64, cm."""
    velocity: np.ndarray
    """(K, 2) float64, cm/s."""
    kinematics_rate_hz: float
    reaches: np.ndarray
    """(reaches, 2) start and stop of each completed reach in seconds."""
    directions: np.ndarray
    """(reaches,) where each of them goes: right, up, left or down."""
    drive: np.ndarray
    """(K, arrays * S) the latent drive of the local populations, unitless, array after array."""

    @property
    def n_channels(self) -> int:
        """Channels of all arrays, whether or not their LFP was recorded."""
        return len(self.channels)

    @property
    def units(self) -> ChannelTable:
        """One row per unit: that of its channel."""
        return self.channels.rows(self.unit_channels.tolist())


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
    config: SyntheticConfig, subject_number: int, session_number: int, *, session: str, subject: str, lfp: bool = True
) -> SyntheticRecording:
    """Session `session_number` of subject `subject_number`, both from 0; their names do not matter.

    Args:
        lfp: False leaves out the LFP, which takes most of the time. Everything else is the same without it.
    """
    rng = _stream(config, subject_number, session_number)
    implant = draw_implant(config, _stream(config, subject_number))

    position, velocity, samples = _reach(rng, config.duration_s, config.kinematics_rate_hz)
    drive = population_drives(rng, config, velocity)
    tuning, unit_channels = recorded_units(rng, config, implant.tuning, implant.unit_channels)
    return SyntheticRecording(
        session=session,
        subject=subject,
        spike_times=spike_trains(rng, config, tuning, implant.array_numbers[unit_channels], velocity),
        unit_channels=unit_channels,
        channels=implant.channels,
        lfp=_lfp(rng, config, implant, drive) if lfp else None,
        lfp_rate_hz=config.lfp_rate_hz,
        position=position,
        velocity=velocity,
        kinematics_rate_hz=config.kinematics_rate_hz,
        reaches=samples / config.kinematics_rate_hz,
        directions=_directions(position, samples),
        drive=drive,
    )


def _stream(config, *key):
    return np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=key))


# The hand


def _reach(rng, duration_s, rate_hz):
    """Position and velocity, (K, 2) each: minimum-jerk reaches to random targets, slightly curved, with pauses; and the
    first and last sample of each completed reach, (reaches, 2)."""
    samples = round(duration_s * rate_hz)
    position = np.zeros((samples, 2))
    place, start = np.zeros(2), 0
    reaches: list[tuple[int, int]] = []
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
        if start + len(path) < samples:
            reaches.append((start, stop))
        place, start = target, stop
    return position, np.gradient(position, 1 / rate_hz, axis=0), np.array(reaches, dtype=np.int64).reshape(-1, 2)


def _directions(position: np.ndarray, reaches: np.ndarray) -> np.ndarray:
    """(reaches,) the quarter of directions in which each reach goes."""
    dx, dy = (position[reaches[:, 1]] - position[reaches[:, 0]]).T
    quarter = np.round(np.arctan2(dy, dx) / (np.pi / 2)).astype(int) % 4
    return np.array(DIRECTIONS)[quarter]


def _next_target(rng, place):
    """A target in a workspace of 16 x 16 cm, at least 4 cm away."""
    while True:
        target = rng.uniform(-8, 8, 2)
        if np.linalg.norm(target - place) >= 4:
            return target


# The LFP


def _lfp(rng: np.random.Generator, config: SyntheticConfig, implant: Implant, drive: np.ndarray) -> np.ndarray:
    """(L, C) float32 in volts: the sum of every term of the configuration."""
    rate_hz = config.lfp_rate_hz
    samples = round(config.duration_s * rate_hz)
    seconds = np.arange(samples) / rate_hz
    channels = len(implant.channels)
    drive = _resampled(drive, config.kinematics_rate_hz, seconds)  # (L, arrays * S)

    lfp = config.motor_potential_uv * (drive @ implant.motor_mixing)
    lfp += config.beta_uv * (_beta(rng, drive, config.beta_depth, rate_hz) @ implant.beta_mixing)
    lfp += config.shared_uv * (_shared(rng, config, samples) @ implant.shared_mixing)
    lfp += config.private_uv * power_law_noise(rng, (samples, channels), rate_hz, exponent=1)
    lfp += config.reference_uv * power_law_noise(rng, (samples, 1), rate_hz, exponent=2, low_hz=0.02)
    lfp += config.line_uv * rng.gamma(4, 1 / 4, channels) * np.sin(2 * np.pi * 60 * seconds)[:, None]
    return (lfp * 1e-6).astype(np.float32)


def _shared(rng, config, samples):
    """(L, arrays * shared_rank) 1/f activity; that of all arrays but the first contains a little of the first."""
    rank = config.shared_rank
    shared = power_law_noise(rng, (samples, config.arrays * rank), config.lfp_rate_hz)
    for start in range(rank, shared.shape[1], rank):
        own = shared[:, start : start + rank]
        own[:] = coupled(own, shared[:, :rank], config.array_coupling)
    return shared


def _resampled(values, rate_hz, seconds):
    at = np.arange(len(values)) / rate_hz
    return np.stack([np.interp(seconds, at, column) for column in values.T], axis=1)


def _beta(rng, drive, depth, rate_hz):
    """Oscillations of unit SD between 13 and 19 Hz with drifting phase, weaker when their source is driven.

    Args:
        drive: (L, sources), as is what is returned.
    """
    sources = drive.shape[1]
    frequency = rng.uniform(13, 19, sources)
    wander = rng.normal(0, np.sqrt(2 * np.pi * 0.5 / rate_hz), drive.shape)  # a line width of about 0.5 Hz
    phase = rng.uniform(0, 2 * np.pi, sources) + np.cumsum(2 * np.pi * frequency / rate_hz + wander, axis=0)
    burst = 0.3 * power_law_noise(rng, drive.shape, rate_hz, exponent=2, low_hz=1)
    beta = np.exp(burst - depth * drive) * np.cos(phase)
    return beta / beta.std(axis=0)
