"""How recordings become stored sessions: preprocessing, segments and folds."""

from dataclasses import dataclass, field
from math import inf
from typing import Literal

from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class LfpFilters:
    """LFP filters, applied in this order to raw voltages (docs/methods.md, Data and preprocessing).

    None leaves a stage out.
    """

    notch_hz: float | None = 60.0
    """Line frequency. Its harmonics below the Nyquist frequency are also removed (Q = 30)."""
    highpass_hz: float | None = 0.05
    """Butterworth, order 2, zero phase."""
    lowpass_hz: float | None = 50.0
    """Butterworth, order 2, zero phase; at most half the bin rate."""
    common_average: bool | Literal["array"] = True
    """Subtract the mean over the channels of a series at every sample; `array`: over the channels of each array."""

    def __post_init__(self):
        for name in ("notch_hz", "highpass_hz", "lowpass_hz"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"`{name}` must be above 0, or null to leave this filter out, but got {value:g}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """Segments and folds (docs/methods.md, Splits and protocols). All methods and modalities share one split."""

    by: Literal["time", "trials", "blocks"] = "time"
    """What is assigned to a fold: split units of `parent_s` seconds, whole trials, or contiguous blocks of time."""
    segment_s: float = 5.0
    """Length of a segment in seconds; a trial is one segment, or several if it is longer."""
    parent_s: float = 10.0
    """Length of a split unit in seconds."""
    valid: float = 0.1
    """Fraction of the validation fold."""
    test: float = 0.1
    """Fraction of the test fold."""
    seed: int = 42
    """Seed of the random assignment to folds."""
    guard_s: float = 0.0
    """For `blocks`: seconds left out on both sides of a boundary between folds."""
    outliers: Literal["keep", "drop"] = "keep"
    """`drop` leaves out split units whose behavior SD is above Tukey's fence over the training units."""

    def __post_init__(self):
        if not 0 < self.segment_s <= self.parent_s:
            raise ConfigError(f"`0 < segment_s <= parent_s` must hold, but got ({self.segment_s=}, {self.parent_s=})")
        if not (0 < self.valid < 1 and 0 < self.test < 1 and self.valid + self.test < 1):
            raise ConfigError(
                f"`valid` and `test` must be above 0 with a sum below 1, but got ({self.valid=}, {self.test=})"
            )
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"`seed` must be between 0 and {2**32 - 1}, but got {self.seed}")
        if self.guard_s < 0:
            raise ConfigError(f"`guard_s` must be at least 0, but got {self.guard_s}")


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestConfig:
    """How a recording is preprocessed and stored. Every value enters the fingerprint of the stored session."""

    protocol: Literal["corrected", "paper", "released"] = "corrected"
    """`corrected` fits normalisation on the training fold and scores on the test fold. `paper` and `released` fit it
    on the whole session and score on the validation and test folds together. `released` also reproduces two slips of
    the published code: fold sizes that are off by one, and time stamps by which the LFP drifts one bin against the
    spikes (docs/methods.md, Slips of the released code)."""
    bin_width_ms: float = 10.0
    """Width of the session's bins in milliseconds."""
    min_rate_hz: float = 0.0
    """Units below this rate are left out. At 0 no unit is left out, and a unit without a spike is an error."""
    drop_units: tuple[int, ...] = ()
    """Units to leave out, by their position in the file from 0."""
    drop_channels: tuple[int, ...] = ()
    """LFP channels to leave out, by their position in the file from 0. Several series are numbered on."""
    bad_channels: Literal["drop", "keep"] = "drop"
    """What to do with LFP channels that the recording marks as bad."""
    max_lost: float = 0.5
    """Largest share of the spikes, of the bins with behavior, or of the trials that may be outside of the recording or
    missing, and of the time that may be without any spike at its ends. More is an error, because it usually means a
    wrong time unit."""
    filters: LfpFilters | None = field(default_factory=LfpFilters)
    """None leaves the LFP unfiltered (it is already filtered, or holds features such as band power)."""
    lfp_nan: Literal["error", "interpolate"] = "error"
    """What to do with LFP samples that are not finite."""
    behavior_gap_s: float | None = None
    """Behavior is interpolated over dropouts up to this long. Longer ones, and by default all, stay NaN and are neither
    fitted nor scored."""
    lfp_dtype: Literal["float32", "float16"] = "float32"
    """Type in which the LFP is stored."""
    splits: Splits = field(default_factory=Splits)

    def __post_init__(self):
        if not 0 < self.bin_width_ms < inf:
            raise ConfigError(f"`bin_width_ms` must be above 0, but got {self.bin_width_ms}")
        if not 0 <= self.min_rate_hz < inf:
            raise ConfigError(f"`min_rate_hz` must be at least 0, but got {self.min_rate_hz}")
        if not 0 <= self.max_lost <= 1:
            raise ConfigError(f"`max_lost` must be between 0 and 1, but got {self.max_lost}")
        if self.behavior_gap_s is not None and not self.behavior_gap_s >= 0:
            raise ConfigError(f"`behavior_gap_s` must be at least 0, but got {self.behavior_gap_s}")
        if self.splits.by != "trials" and self.splits.segment_s * 1000 < self.bin_width_ms:
            raise ConfigError(
                f"`segment_s` must hold at least one bin, but got ({self.splits.segment_s=}, {self.bin_width_ms=})"
            )
