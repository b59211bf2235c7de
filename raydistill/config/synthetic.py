"""Settings of a simulation: subjects, sessions, electrode arrays, and the size of each term of the signals."""

from dataclasses import dataclass

from raydistill.errors import ConfigError

MAX_ARRAYS = 4
"""Most electrode arrays of a simulated subject."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticConfig:
    """Recordings with known latents. docs/synthetic-recordings.md defines each term. SD: standard deviation."""

    seed: int = 0
    """Seed of all random numbers."""
    subjects: int = 3
    """Number of subjects. Each has its own electrode arrays: tuning of units and mixing of LFP."""
    sessions_per_subject: int = 3
    """Number of sessions per subject. Adding sessions does not change the earlier ones."""
    duration_s: float = 300.0
    """Length of one session in seconds."""
    min_units: int = 40
    """Smallest number of units in a session."""
    max_units: int = 64
    """Number of units of one subject, the largest number in a session."""
    min_channels: int = 24
    """Smallest number of LFP channels of a subject."""
    max_channels: int = 32
    """Largest number of LFP channels of a subject."""
    arrays: int = 1
    """Number of electrode arrays of each subject, which share its channels and units: the first follows the velocity of
    the hand, the second its speed, all others neither."""
    array_coupling: float = 0.2
    """With several arrays: correlation of sources and shared activity of the others with those of the first, and the
    share of the velocity tuning that their units have."""
    unit_turnover: float = 0.3
    """Fraction of units that are replaced by units with new tuning from one session to another."""
    kinematics_rate_hz: float = 100.0
    """Sampling rate of position and velocity in Hz."""
    lfp_rate_hz: float = 500.0
    """Sampling rate of the LFP in Hz."""
    tuning_depth: float = 0.7
    """Mean log-gain of a unit's firing rate at 20 cm/s in its preferred direction."""
    sources: int = 8
    """Number of local populations near each array; near the first their preferred directions are evenly spaced."""
    motor_potential_uv: float = 2.0
    """SD in microvolts of the local motor potential, the part of the LFP that is linear in the drive."""
    beta_uv: float = 20.0
    """SD in microvolts of the beta oscillations, whose amplitude falls as their population is driven."""
    beta_depth: float = 0.5
    """Log-reduction of a beta amplitude per SD of the drive of its population."""
    shared_rank: int = 6
    """Dimensions of the 1/f activity that all channels of an array share and that is unrelated to behavior."""
    shared_uv: float = 40.0
    """SD in microvolts of that shared 1/f activity."""
    private_uv: float = 10.0
    """SD in microvolts of each channel's own 1/f activity."""
    reference_uv: float = 20.0
    """SD in microvolts of the drifting reference electrode, the same on every channel."""
    line_uv: float = 10.0
    """Mean amplitude in microvolts of the line noise at 60 Hz."""

    def __post_init__(self):
        if self.seed < 0:
            raise ConfigError(f"`seed` must be at least 0, but got {self.seed}")
        for name in ("subjects", "sessions_per_subject", "sources", "shared_rank"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` must be at least 1, but got {getattr(self, name)}")
        for what in ("units", "channels"):
            low, high = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if not 1 <= low <= high:
                raise ConfigError(f"`1 <= min_{what} <= max_{what}` must hold, but got (min={low}, max={high})")
        if not 1 <= self.arrays <= min(MAX_ARRAYS, self.min_channels):
            raise ConfigError(
                f"`arrays` must be between 1 and {MAX_ARRAYS} and at most `min_channels`, as each needs a channel, but "
                f"got ({self.arrays=}, {self.min_channels=})"
            )
        if not 0 <= self.array_coupling <= 1:
            raise ConfigError(f"`array_coupling` must be between 0 and 1, but got {self.array_coupling}")
        if not self.duration_s >= 10:
            raise ConfigError(f"`duration_s` must be at least 10, but got {self.duration_s}")
        if not 0 <= self.unit_turnover <= 1:
            raise ConfigError(f"`unit_turnover` must be between 0 and 1, but got {self.unit_turnover}")
        if not (self.kinematics_rate_hz >= 50 and self.lfp_rate_hz >= 250):
            raise ConfigError(
                "`kinematics_rate_hz >= 50` and `lfp_rate_hz >= 250` must hold, "
                f"but got ({self.kinematics_rate_hz=}, {self.lfp_rate_hz=})"
            )
        for name in ("motor_potential_uv", "beta_uv", "shared_uv", "private_uv", "reference_uv", "line_uv"):
            if not 0 <= getattr(self, name) < 1000:
                raise ConfigError(f"`{name}` must be between 0 and 1000 microvolts, but got {getattr(self, name)}")
