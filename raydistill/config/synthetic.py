"""Settings of a simulation: subjects, sessions, electrode arrays, and the size of each term of the signals."""

from dataclasses import dataclass
from typing import Annotated

from raydistill.config.numbers import Fraction, Limits, Seed, check_limits
from raydistill.errors import ConfigError

MAX_ARRAYS = 4
"""Most electrode arrays of a simulated subject."""
MAX_SESSIONS = 10_000
Number = Annotated[int, Limits(least=1, most=10_000)]
Microvolts = Annotated[float, Limits(least=0, below=1000)]
LogGain = Annotated[float, Limits(least=0, most=10)]


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticConfig:
    """Recordings with known latents. docs/synthetic-recordings.md defines each term. SD: standard deviation."""

    seed: Seed = 0
    """Seed of all random numbers."""
    subjects: Number = 3
    """Number of subjects. Each has its own electrode arrays: tuning of units and mixing of LFP."""
    sessions_per_subject: Number = 3
    """Number of sessions per subject. Adding sessions does not change the earlier ones."""
    duration_s: Annotated[float, Limits(least=10, most=1e6)] = 300.0
    """Length of one session in seconds."""
    min_units: Number = 40
    """Smallest number of units in a session."""
    max_units: Number = 64
    """Number of units of one subject, the largest number in a session."""
    min_channels: Number = 24
    """Smallest number of LFP channels of a subject."""
    max_channels: Number = 32
    """Largest number of LFP channels of a subject."""
    arrays: Annotated[int, Limits(least=1, most=MAX_ARRAYS)] = 1
    """Number of electrode arrays of each subject, which share its channels and units: the first follows the velocity of
    the hand, the second its speed, all others neither."""
    array_coupling: Fraction = 0.2
    """With several arrays: correlation of sources and shared activity of the others with those of the first, and the
    share of the velocity tuning that their units have."""
    unit_turnover: Fraction = 0.3
    """Fraction of units that are replaced by units with new tuning from one session to another."""
    kinematics_rate_hz: Annotated[float, Limits(least=50, most=100_000)] = 100.0
    """Sampling rate of position and velocity in Hz."""
    lfp_rate_hz: Annotated[float, Limits(least=250, most=100_000)] = 500.0
    """Sampling rate of the LFP in Hz."""
    tuning_depth: LogGain = 0.7
    """Mean log-gain of a unit's firing rate at 20 cm/s in its preferred direction."""
    sources: Number = 8
    """Number of local populations near each array; near the first their preferred directions are evenly spaced."""
    motor_potential_uv: Microvolts = 2.0
    """SD in microvolts of the local motor potential, the part of the LFP that is linear in the drive."""
    beta_uv: Microvolts = 20.0
    """SD in microvolts of the beta oscillations, whose amplitude falls as their population is driven."""
    beta_depth: LogGain = 0.5
    """Log-reduction of a beta amplitude per SD of the drive of its population."""
    shared_rank: Number = 6
    """Dimensions of the 1/f activity that all channels of an array share and that is unrelated to behavior."""
    shared_uv: Microvolts = 40.0
    """SD in microvolts of that shared 1/f activity."""
    private_uv: Microvolts = 10.0
    """SD in microvolts of each channel's own 1/f activity."""
    reference_uv: Microvolts = 20.0
    """SD in microvolts of the drifting reference electrode, the same on every channel."""
    line_uv: Microvolts = 10.0
    """Mean amplitude in microvolts of the line noise at 60 Hz."""

    def __post_init__(self):
        check_limits(self)
        for what in ("units", "channels"):
            low, high = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if not low <= high:
                raise ConfigError(f"`min_{what} <= max_{what}` must hold, but got (min={low}, max={high})")
        if self.subjects * self.sessions_per_subject > MAX_SESSIONS:
            raise ConfigError(
                f"`subjects` times `sessions_per_subject` must be at most {MAX_SESSIONS:,}, but got "
                f"({self.subjects=}, {self.sessions_per_subject=})"
            )
        if self.arrays > self.min_channels:
            raise ConfigError(
                "`arrays` must be at most `min_channels`, as each needs a channel, but got "
                f"({self.arrays=}, {self.min_channels=})"
            )
