"""How recordings become stored sessions: preprocessing, segments and folds."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from raydistill.config.load import MAY_BE_EMPTY
from raydistill.config.numbers import (
    CountOrZero,
    Duration,
    Fraction,
    Hertz,
    InnerFraction,
    Limits,
    NotNegative,
    Seed,
    check_limits,
)
from raydistill.errors import ConfigError

BinWidth = Annotated[float, Limits(above=0, most=1e6)]
"""Milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LfpFilters:
    """LFP filters, applied in this order to raw voltages (docs/methods.md, Data and preprocessing).

    None leaves a stage out.
    """

    notch_hz: Hertz | None = 60.0
    """Line frequency. Its harmonics below the Nyquist frequency are also removed (Q = 30)."""
    highpass_hz: Hertz | None = 0.05
    """Butterworth, order 2, zero phase."""
    lowpass_hz: Hertz | None = 50.0
    """Butterworth, order 2, zero phase; at most half the bin rate."""
    common_average: bool | Literal["array"] = True
    """Subtract the mean over the channels of a series at every sample; `array`: over the channels of each array."""
    causal: bool = False
    """Run the filters forward only, and average the samples of a bin, as a decoder must that runs in an experiment. The
    signal is delayed."""

    def __post_init__(self):
        check_limits(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """Segments and folds (docs/methods.md, Splits and protocols). All methods and modalities share one split."""

    by: Literal["time", "trials", "blocks"] = "time"
    """What is assigned to a fold: split units of `parent_s` seconds, whole trials, or contiguous blocks of time."""
    segment_s: Duration = 5.0
    """Length of a segment in seconds; a trial is one segment, or several if it is longer."""
    parent_s: Duration = 10.0
    """Length of a split unit in seconds."""
    valid: InnerFraction = 0.1
    """Fraction of the validation fold."""
    test: InnerFraction = 0.1
    """Fraction of the test fold."""
    order: Literal["random", "chronological"] = "random"
    """`chronological`: the beginning of the recording is for training, then come the validation and the test fold, so
    that slow drifts of the signals help no decoder."""
    seed: Seed = 42
    """Seed of the random assignment to folds."""
    repeats: Annotated[int, Limits(least=1, most=99)] = 1
    """How often the folds are drawn, with the seeds from `seed` on. Each draw is stored and trained on its own, and the
    score of a session is the mean over its draws."""
    guard_s: Duration = 0.0
    """For `blocks`: seconds left out on both sides of a boundary between folds."""
    outliers: Literal["keep", "drop"] = "keep"
    """`drop` leaves out split units whose behavior SD is above Tukey's fence over the training units, or, under the
    protocol `released`, over all units before the folds are drawn."""

    def __post_init__(self):
        check_limits(self)
        if not 0 < self.segment_s <= self.parent_s:
            raise ConfigError(f"`0 < segment_s <= parent_s` must hold, but got ({self.segment_s=}, {self.parent_s=})")
        if not self.valid + self.test < 1:
            raise ConfigError(
                f"`valid` and `test` must be above 0 with a sum below 1, but got ({self.valid=}, {self.test=})"
            )
        if self.order == "chronological" and self.repeats > 1:
            raise ConfigError(
                f"`order: chronological` has one draw of the folds, but got ({self.repeats=}); leave one of them out"
            )
        if self.seed + self.repeats > 2**32:
            raise ConfigError(
                f"`seed` must leave room for `repeats` below 2**32, but got ({self.seed=}, {self.repeats=})"
            )


SCORED_WITH_VALID = ("paper", "released")
"""Protocols that score the validation and test folds together, although the former ended the training."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestConfig:
    """How a recording is preprocessed and stored. Every value enters the fingerprint of the stored session."""

    protocol: Literal["corrected", "session_zscores", "paper", "released", "realm"] = "corrected"
    """`corrected` fits normalisation on the training fold and scores on the test fold. `session_zscores` differs from
    it in one thing: it fits normalisation on the whole session. `paper` and `released` do so, too, and score on the
    validation and test folds together. `released` also reproduces two slips of the published code: fold sizes that
    are off by one, and time stamps by which the LFP drifts one bin against the spikes; and for Flint its
    filters and outliers. `realm` draws the folds of REALM's second version (72, 8 and 20 %), fits normalisation on the
    whole session and scores on the test fold (docs/methods.md, Splits and protocols)."""
    bin_width_ms: BinWidth = 10.0
    """Width of the session's bins in milliseconds."""
    min_rate_hz: NotNegative = 0.0
    """Units below this rate are left out. At 0 no unit is left out, and a unit without a spike is an error."""
    drop_units: Annotated[tuple[CountOrZero, ...], MAY_BE_EMPTY] = ()
    """Units to leave out, by their position in the file from 0."""
    drop_channels: Annotated[tuple[CountOrZero, ...], MAY_BE_EMPTY] = ()
    """LFP channels to leave out, by their position in the file from 0. Several series are numbered on."""
    bad_channels: Literal["drop", "keep"] = "drop"
    """What to do with LFP channels that the recording marks as bad."""
    max_lost: Fraction = 0.5
    """Largest share of the spikes, of the bins with behavior, or of the trials that may be outside of the recording or
    missing, and of the time that may be without any spike at its ends. More is an error, because it usually means a
    wrong time unit."""
    filters: LfpFilters | None = field(default_factory=LfpFilters)
    """None leaves the LFP unfiltered (it is already filtered, or holds features such as band power)."""
    lfp_nan: Literal["error", "interpolate"] = "error"
    """What to do with LFP samples that are not finite."""
    behavior_gap_s: Duration | None = None
    """Behavior is interpolated over dropouts up to this long. Longer ones, and by default all, stay NaN and are neither
    fitted nor scored."""
    adapt_s: Annotated[float, Limits(above=0, most=1e8)] | None = None
    """Mean and SD by which the LFP is z-scored follow slow changes: from those of the training fold on, both are
    averaged over about this time. None: they stay. A decoder that runs does the same with raw samples."""
    lfp_dtype: Literal["float32", "float16"] = "float32"
    """Type in which the LFP is stored."""
    splits: Splits = field(default_factory=Splits)

    def __post_init__(self):
        check_limits(self)
        if self.splits.by != "trials" and self.splits.segment_s * 1000 < self.bin_width_ms:
            raise ConfigError(
                f"`segment_s` must hold at least one bin, but got ({self.splits.segment_s=}, {self.bin_width_ms=})"
            )
        if self.protocol == "released" and self.filters is not None and self.filters.causal:
            raise ConfigError("`protocol: released` has zero-phase filters; leave out `filters.causal`")
        if self.protocol != "corrected" and self.adapt_s is not None:
            raise ConfigError(
                f"`adapt_s` begins with z-scores of the training fold, but got ({self.protocol=}, {self.adapt_s=}); "
                "leave one of them out",
                at=("adapt_s",),
            )
        if self.protocol == "realm":
            _check_published_folds(self.splits)


def _check_published_folds(splits: Splits) -> None:
    """Refuse values that the folds of REALM would ignore."""
    usual = Splits()
    for key in ("valid", "test", "order"):
        if (value := getattr(splits, key)) != getattr(usual, key):
            raise ConfigError(
                f"`protocol: realm` draws folds of 72, 8 and 20 %, but got `splits.{key}: {value}`; leave it out, or "
                "choose another `protocol`",
                at=("splits", key),
            )
