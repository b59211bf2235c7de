"""How recordings become sessions of the store: preprocessing, segments, splits, and synthetic recordings."""

from dataclasses import dataclass, field
from typing import Literal

from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class LfpFilters:
    """The LFP chain of spec A1, applied in this order to raw voltages; None leaves a stage out."""

    notch_hz: float | None = 60.0
    """Line frequency; its harmonics below the Nyquist frequency are removed too (Q = 30)."""
    highpass_hz: float | None = 0.05
    lowpass_hz: float | None = 50.0
    """Butterworth, order 2, zero phase; never above half the bin rate."""
    common_average: bool = True
    """Subtract the mean over channels at every sample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """Segments and folds (spec A5). Every method, modality and segment length shares one split."""

    by: Literal["time", "trials", "blocks"] = "time"
    """What is drawn into a fold: parents of `parent_s` seconds, whole trials, or contiguous blocks of time."""
    segment_s: float = 5.0
    """Length of a segment; a trial is one segment, or several if it is longer."""
    parent_s: float = 10.0
    valid: float = 0.1
    test: float = 0.1
    seed: int = 42
    guard_s: float = 0.0
    """For `blocks`: seconds dropped on both sides of a border between folds."""
    outliers: Literal["keep", "drop"] = "keep"
    """`drop` leaves out parents whose behavior varies more than Tukey's fence over the train parents allows."""

    def __post_init__(self):
        if not 0 < self.segment_s <= self.parent_s:
            raise ConfigError(f"`0 < segment_s <= parent_s` must hold, but got ({self.segment_s=}, {self.parent_s=})")
        if not (0 < self.valid < 1 and 0 < self.test < 1 and self.valid + self.test < 1):
            raise ConfigError(
                f"`valid` and `test` are fractions whose sum is below 1, but got ({self.valid=}, {self.test=})"
            )
        if self.guard_s < 0:
            raise ConfigError(f"`guard_s` must be at least 0, but got {self.guard_s}")


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestConfig:
    """From a raw recording to the store. Everything here enters the fingerprint of a stored session."""

    protocol: Literal["corrected", "paper", "released"] = "corrected"
    """`corrected` fits normalisation on train only and scores on test alone; `paper` and `released` normalise
    over the whole session and score on valid and test together; `released` also keeps two slips of the published
    code: fold sizes that are off by one, and time stamps by which the LFP drifts one bin against the spikes."""
    bin_width_ms: float = 10.0
    min_rate_hz: float = 0.0
    """Units below this rate are dropped; at 0 none is dropped and a unit without a spike is an error."""
    drop_units: tuple[int, ...] = ()
    drop_channels: tuple[int, ...] = ()
    filters: LfpFilters | None = field(default_factory=LfpFilters)
    """None takes the LFP as it is (already filtered, or features such as band power)."""
    lfp_nan: Literal["error", "interpolate"] = "error"
    behavior_gap_s: float = 0.5
    """Behavior is interpolated over gaps up to this long; longer gaps stay NaN and are neither fitted nor scored."""
    lfp_dtype: Literal["float32", "float16"] = "float32"
    splits: Splits = field(default_factory=Splits)

    def __post_init__(self):
        if not self.bin_width_ms > 0:
            raise ConfigError(f"`bin_width_ms` must be above 0, but got {self.bin_width_ms}")
        if self.splits.by != "trials" and self.splits.segment_s * 1000 < self.bin_width_ms:
            raise ConfigError(
                f"`segment_s` must hold at least one bin, but got ({self.splits.segment_s=}, {self.bin_width_ms=})"
            )
