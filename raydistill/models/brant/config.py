"""BRANT: its sizes, presets and recipes (Zhang et al. 2023; docs/methods.md, BRANT).

A token is a patch of one channel, as long as `patch_bins`. No weight belongs to a session or to a channel, so that a
model reads any session whose bins are as wide as those of its training.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from raydistill.config.numbers import Limits, Size, check_limits
from raydistill.config.recordings import BinWidth
from raydistill.config.training import Recipes, TrainingConfig
from raydistill.errors import ConfigError
from raydistill.models.crossmodal.config import LinearEmbedding
from raydistill.models.layers.parameters import TokenCount, linear_parameters

if TYPE_CHECKING:
    from raydistill.store.catalogue import Entry

Probability = Annotated[float, Limits(least=0, below=1)]
MaskedBy = Literal["zeros", "learned"]

BANDS_HZ = ((4, 8), (8, 13), (13, 30), (30, 50), (50, 70), (70, 90), (90, 110), (110, 128))
"""(low, high] of each band of which a token knows the power."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BrantSettings:
    """What `model:` of a job with `family: brant` may set. The defaults are the published sizes."""

    bin_width_ms: BinWidth = 4.0
    """Of the sessions that the model reads. It tells which bands exist: those that begin below half the bin rate."""
    patch_bins: Size = 1500
    """Bins of one channel in a token."""
    patches: Size = 15
    """Patches that have learned positions: a segment, or a piece of it (`piece_s`), has no more."""
    width: Size = 2048
    hidden: Size = 3072
    """Width of the hidden layer in each transformer layer."""
    heads: Size = 16
    layers: Size = 12
    """Layers over the patches of each channel."""
    channel_layers: Size = 5
    """Layers over the channels of each patch, which follow."""
    dropout: Probability = 0.1
    masked_by: MaskedBy = "zeros"
    """What takes the place of a masked patch and of the power of its bands: zeros, or learned vectors."""

    def __post_init__(self):
        check_limits(self)
        if self.width % self.heads:
            raise ConfigError(
                f"`heads` must divide `width`, but got (width={self.width}, heads={self.heads})", at=("heads",)
            )
        if not self.bands_hz:
            raise ConfigError(
                f"bins of {self.bin_width_ms:g} ms are too slow for the lowest band of BRANT, "
                f"{_in_hz(BANDS_HZ[0])}; use sessions with bins below {500 / BANDS_HZ[0][0]:g} ms",
                at=("bin_width_ms",),
            )
        for band in self.bands_hz:
            if not frequencies_of([band], self.patch_bins, self.bin_width_ms)[0]:
                raise ConfigError(
                    f"a patch of {self.patch_bins} bins of {self.bin_width_ms:g} ms has no frequency in the band "
                    f"{_in_hz(band)}; give more `patch_bins`",
                    at=("patch_bins",),
                )

    @property
    def bands_hz(self) -> tuple[tuple[int, int], ...]:
        """The bands that begin below half the bin rate."""
        return tuple(band for band in BANDS_HZ if band[0] < 500 / self.bin_width_ms)


def frequencies_of(bands_hz: Sequence[tuple[int, int]], patch_bins: int, bin_width_ms: float) -> list[range]:
    """The frequencies of a patch in each band, as numbers of periods in the patch."""
    hz = [1000 * periods / (patch_bins * bin_width_ms) for periods in range(patch_bins // 2 + 1)]
    return [range(sum(f <= low for f in hz), sum(f <= high for f in hz)) for low, high in bands_hz]


def _in_hz(band: tuple[int, int]) -> str:
    return f"{band[0]} to {band[1]} Hz"


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelInput:
    """Every channel by itself; the model cuts its bins into patches."""

    name: Literal["lfp"] = "lfp"

    def widths(self, bands: int) -> tuple[int, ...]:
        """(1,) slots of what the feed calls a patch: one channel."""
        return (1,)


@dataclass(frozen=True, kw_only=True, slots=True)
class BrantConfig:
    """What one model uses."""

    embedding: ClassVar[LinearEmbedding] = LinearEmbedding()
    causal: ClassVar[bool] = False
    space: ClassVar[str] = "none"
    channels_are_alike: ClassVar[bool] = True
    """Whether channels in another order give the same latents."""
    modality: ClassVar[str] = "lfp"
    inputs: ChannelInput = ChannelInput()
    bin_width_ms: BinWidth
    patch_bins: Size
    patches: Size
    bands: Annotated[int, Limits(least=1, most=len(BANDS_HZ))]
    """Number of bands, the lowest of `BANDS_HZ`."""
    width: Size
    hidden: Size
    heads: Size
    layers: Size
    channel_layers: Size
    dropout: Probability
    masked_by: MaskedBy | None
    """None: the model is not trained by masking."""

    @property
    def is_masked(self) -> bool:
        """Whether the model can be trained by masking."""
        return self.masked_by is not None

    @property
    def times(self) -> int:
        """Bins of the longest segment that the model reads."""
        return self.patches * self.patch_bins


def configure(
    settings: BrantSettings, modality: str, embedding: str, predictor: bool = False, readout: bool = False
) -> BrantConfig:
    """The configuration of a model, see `raydistill.models.crossmodal.config.configure`.

    Raises:
        ConfigError: the model would read spikes, have another embedding, or reconstruct what is not masked.
    """
    s = settings
    if modality != "lfp":
        raise ConfigError(f"`family: brant` reads LFP alone, but the job's model reads {modality}")
    if embedding != "linear":
        raise ConfigError(f"`family: brant` has `embedding: linear`, but got {embedding}; leave it out")
    if readout:
        raise ConfigError(
            "`family: brant` reconstructs only what is masked: distill it with `supervision: full`, or `pretrain` it"
        )
    return BrantConfig(
        bin_width_ms=s.bin_width_ms,
        patch_bins=s.patch_bins,
        patches=s.patches,
        bands=len(s.bands_hz),
        width=s.width,
        hidden=s.hidden,
        heads=s.heads,
        layers=s.layers,
        channel_layers=s.channel_layers,
        dropout=s.dropout,
        masked_by=s.masked_by if predictor else None,
    )


_SHARED = (
    *("bin_width_ms", "patch_bins", "patches"),
    *("width", "hidden", "heads", "layers", "channel_layers", "dropout"),
)


def settings_of(config: BrantConfig) -> dict[str, Any]:
    """The settings from which `configure` makes a model of this form."""
    settings: dict[str, Any] = {name: getattr(config, name) for name in _SHARED}
    return settings | ({"masked_by": config.masked_by} if config.masked_by else {})


def parameters(config: BrantConfig, *, patches: int, bands: int = 1, n_behavior: int = 0) -> int:
    """Number of parameters; none belongs to a session or channel."""
    width, patch = config.width, config.patch_bins
    layer = 4 * linear_parameters(width, width) + 4 * width  # attention, and two norms
    layer += linear_parameters(width, config.hidden) + linear_parameters(config.hidden, width)
    total = linear_parameters(patch, width) + (config.bands + config.patches) * width
    total += (config.layers + config.channel_layers) * layer
    if config.is_masked:
        total += linear_parameters(width, patch) + (patch + width if config.masked_by == "learned" else 0)
    return total + (2 * patch * width + linear_parameters(width, n_behavior) if n_behavior else 0)


def tokens(config: BrantConfig, patches: int, bins: int) -> TokenCount:
    """A token per channel and patch of bins, which attends to the patches of its channel, then to the channels."""
    of_channel, layers = math.ceil(bins / config.patch_bins), config.layers + config.channel_layers
    attended = (config.layers * of_channel + config.channel_layers * patches) / layers
    return TokenCount(per_bin=patches * of_channel / bins, attended=attended, layers=layers)


def why_not(config: BrantConfig, entry: "Entry") -> str:
    """Why a model cannot read a session, and the way out; "" if it can."""
    if entry.lfp_bands > 1:
        return (
            f"has {entry.lfp_bands} features of power per electrode, but `family: brant` reads LFP as it was recorded; "
            "leave the session out of the group"
        )
    if not math.isclose(entry.bin_width_ms, config.bin_width_ms, rel_tol=1e-9):
        return (
            f"has bins of {entry.bin_width_ms:g} ms, but the model reads bins of {config.bin_width_ms:g} ms, which "
            f"must come from the raw recording: ingest it into a store of its own with `bin_width_ms: "
            f"{config.bin_width_ms:g}`, or train a model of these bins (`model: {{bin_width_ms: "
            f"{entry.bin_width_ms:g}}}`)"
        )
    return ""


def remark(config: BrantConfig) -> str:
    """What readers of its scores must know."""
    seconds, bin_ms = config.patch_bins * config.bin_width_ms / 1000, config.bin_width_ms
    return (
        f"a token covers {seconds:g} s, and one vector for {seconds:g} s cannot carry behavior in bins of "
        f"{bin_ms:g} ms: between tokens, latents are interpolated, and behavior that is trained comes from an "
        "up-sampling head, which BRANT as published does not have"
    )


PRESETS = {
    "paper": BrantSettings(),
    "small": BrantSettings(
        bin_width_ms=10, patch_bins=50, patches=20, width=256, hidden=384, heads=8, layers=4, channel_layers=2
    ),
    "tiny": BrantSettings(
        bin_width_ms=10,
        patch_bins=25,
        patches=20,
        width=128,
        hidden=192,
        heads=4,
        layers=2,
        channel_layers=1,
        dropout=0.0,
    ),
}

_PRETRAINING = TrainingConfig(epochs=550, batch=16, learning_rate=1e-4, mask_ratio=0.4, piece_s=90.0)
_SESSION = TrainingConfig(batch=16, learning_rate=1e-4, mask_ratio=0.4, piece_s=90.0)
_FINETUNED = TrainingConfig(
    epochs=20, batch=4, learning_rate=1e-4, encoder_rate=1e-3, warmup_epochs=2, mask_ratio=0.4, piece_s=90.0
)


def _recipes(pretraining: dict[str, Any], session: dict[str, Any]) -> Recipes:
    """The recipes of smaller presets: fewer epochs, with higher rates."""
    faster: dict[str, Any] = {"precision": "fp32", "learning_rate": 1e-3, "piece_s": None}
    of_session = replace(_SESSION, **faster, **session)
    return Recipes(
        pretraining=replace(_PRETRAINING, **faster, **pretraining),
        training=of_session,
        continued=of_session,
        finetuned=replace(_FINETUNED, **faster, **session),
    )


RECIPES = {
    "paper": Recipes(pretraining=_PRETRAINING, training=_SESSION, continued=_SESSION, finetuned=_FINETUNED),
    "small": _recipes({"epochs": 200, "warmup_epochs": 10}, {"epochs": 150, "warmup_epochs": 10}),
    "tiny": _recipes({"epochs": 36, "warmup_epochs": 3}, {"epochs": 60, "batch": 8, "warmup_epochs": 3}),
}
"""Preset -> recipes: masked pretraining, and jobs on one session, from drawn weights or from those of a pretraining."""
