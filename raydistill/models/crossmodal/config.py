"""The parts and sizes of a cross-modal model (docs/methods.md, Tokens and Model).

`CrossModalSettings` has everything that `model:` of a sweep may set; the presets are such settings. `CrossModalConfig`
has only what one model uses: a model of spikes has no LFP patch, and a model that is not trained by masking has no
predictor. The key of a job depends on the `CrossModalConfig`, not on unused settings.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from raydistill.config.numbers import Limits, Size, check_limits
from raydistill.errors import ConfigError
from raydistill.models.crossmodal.backbones import (
    BACKBONES,
    Backbone,
    BackboneName,
    TransformerBackbone,
    mamba_head,
    mamba_states,
)

Dropout = Annotated[float, Limits(least=0, below=1)]
Deviation = Annotated[float, Limits(least=0, most=1000)]
Lookahead = Annotated[int, Limits(least=0, most=65536)]
SpikeCount = Annotated[int, Limits(least=1, most=255)]
"""Counts are stored as uint8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossModalSettings:
    """Sizes of tokenizer, encoder and predictor. The defaults are those of the cross-modal paper (A.3)."""

    width: Size = 256
    layers: Size = 10
    """Layers of the transformer. An LSTM or CNN has about as many parameters as this transformer."""
    heads: Size = 8
    mlp_ratio: Size = 4
    dropout: Dropout = 0.1
    projection_dropout: bool = False
    """Whether the transformer has a fourth dropout in each layer, before the output projection of the attention, as the
    released code does."""
    spikes_patch: Size = 64
    """Units in one token."""
    lfp_patch: Size = 32
    """LFP electrodes in one token, with all their bands."""
    max_count: SpikeCount = 5
    """Spike counts above this value are set to it before they are embedded and reconstructed."""
    conv_kernel: Size = 3
    conv_dilation: Size = 1
    conv_axis: Literal["time", "tokens"] = "time"
    """`time` convolves each patch along time; `tokens` convolves along the row of tokens, as the released code does."""
    mlp_hidden: tuple[Size, ...] = (512,)
    """Units of each hidden layer of `embedding: mlp`."""
    multimodal: Literal["paired", "flat"] = "paired"
    """paired: patch k of spikes and patch k of LFP become one token; flat: channels are appended to units, and the
    row of both is cut into patches."""
    backbone: BackboneName = "transformer"
    """transformer reads every token; lstm, cnn and mamba read the mean over the patches of each bin."""
    causal: bool = False
    """Whether the latents of a bin depend on this and earlier bins only."""
    lookahead_bins: Lookahead = 0
    """Of a causal model: later bins that the latents of a bin may depend on. A stream answers so many bins late."""
    readout: Literal["tokens", "pooled"] = "tokens"
    """From what a distilled student reconstructs the LFP: each patch from its own token, or all channels of a bin from
    the latents of this bin, which are also aligned with the teacher (paper, Eq. 1 as printed)."""
    space_std: Deviation = 1.0
    """Standard deviation of the normal distribution from which the space embeddings of a new session are drawn."""
    predictor_width: Size = 192
    predictor_layers: Size = 4
    predictor_heads: Size = 8

    def __post_init__(self):
        check_limits(self)
        for width, heads in ((self.width, self.heads), (self.predictor_width, self.predictor_heads)):
            if width % (2 * heads):
                raise ConfigError(
                    f"a width must be a multiple of twice its heads (rotary pairs), but got ({width=}, {heads=})"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class SpikesInput:
    """Tokens of `patch` units, with counts clamped at `max_count`."""

    name: Literal["spikes"] = "spikes"
    patch: Size
    max_count: SpikeCount

    def widths(self, bands: int) -> tuple[int, ...]:
        """(1,) slots of a patch: units."""
        return (self.patch,)


@dataclass(frozen=True, kw_only=True, slots=True)
class LfpInput:
    """Tokens of `patch` electrodes with all their bands."""

    name: Literal["lfp"] = "lfp"
    patch: Size

    def widths(self, bands: int) -> tuple[int, ...]:
        """(1,) slots of a patch: channels, with this many LFP features per electrode."""
        return (self.patch * bands,)


@dataclass(frozen=True, kw_only=True, slots=True)
class MultimodalInput:
    """Tokens of both signals."""

    name: Literal["multimodal"] = "multimodal"
    spikes_patch: Size
    lfp_patch: Size
    pairing: Literal["paired", "flat"]

    def widths(self, bands: int) -> tuple[int, ...]:
        """(2,) slots of each signal in a patch if signals are paired, otherwise (1,) slots of both."""
        units, channels = self.spikes_patch, self.lfp_patch * bands
        return (units, channels) if self.pairing == "paired" else (units + channels,)


@dataclass(frozen=True, kw_only=True, slots=True)
class CountEmbedding:
    """A learned vector for each spike count."""

    name: Literal["count"] = "count"


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearEmbedding:
    """One linear map per patch."""

    name: Literal["linear"] = "linear"


@dataclass(frozen=True, kw_only=True, slots=True)
class MlpEmbedding:
    """Linear layers, each hidden one followed by tanh."""

    name: Literal["mlp"] = "mlp"
    hidden: tuple[Size, ...]
    """Units of each hidden layer. Without any, tanh is applied to the patch itself, as the released code does where its
    list of layers is null."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvEmbedding:
    """A dilated causal convolution over patches."""

    name: Literal["conv"] = "conv"
    kernel: Size
    dilation: Size
    axis: Literal["time", "tokens"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GatedEmbedding:
    """REALM's: features of each channel along time, a gate over channels, and a linear map."""

    name: Literal["gated"] = "gated"
    causal: bool
    """Whether features and gates of a bin depend on this and earlier bins only."""


Embedding = CountEmbedding | LinearEmbedding | MlpEmbedding | ConvEmbedding | GatedEmbedding


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictorConfig:
    """Reconstructs masked patches from the latents of visible ones."""

    width: Size
    layers: Size
    heads: Size
    mlp_ratio: Size


@dataclass(frozen=True, kw_only=True, slots=True)
class BinsPredictorConfig:
    """Reconstructs masked bins from latents of all bins: a state-space block in both directions of time, and an MLP."""

    states: Size
    head: Size
    gate: Literal["visible"] | None = None
    """visible: the gates of a gated embedding do not read masked bins; None: they read all."""
    session: bool | None = None
    """Whether a vector of its session is added to every bin that is encoded for the predictor; None: no."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossModalConfig:
    """Tokenizer, backbone and outputs of one model."""

    inputs: SpikesInput | LfpInput | MultimodalInput
    embedding: Embedding
    backbone: Backbone
    width: Size
    dropout: Dropout
    space_std: Deviation
    predictor: PredictorConfig | None = None
    readout: bool = False
    """Whether a linear map reconstructs the LFP, as in a distilled student."""
    readout_of: Literal["pooled", "hidden"] | None = None
    """What this map reads: None, every token; pooled, the latents of every bin. hidden: these, too, through two layers
    that all sessions share."""
    bins_predictor: BinsPredictorConfig | None = None
    """In place of `predictor`, for backbones that read bins."""
    space: Literal["none"] | None = None
    """none: no weight belongs to a session, so that the model reads any session; None: tokens have space embeddings."""
    lookahead_bins: Size | None = None
    """Later bins that the latents of a bin of a causal model depend on; None: none."""

    @property
    def modality(self) -> str:
        """spikes, lfp or multimodal."""
        return self.inputs.name

    @property
    def is_masked(self) -> bool:
        """Whether the model can be trained by masking."""
        return self.predictor is not None or self.bins_predictor is not None

    @property
    def causal(self) -> bool:
        """Whether the latents of a bin depend on this and earlier bins only."""
        return self.backbone.causal


def configure(
    settings: CrossModalSettings, modality: str, embedding: str, predictor: bool = False, readout: bool = False
) -> CrossModalConfig:
    """The part of the settings that a model with this input and these outputs uses.

    Args:
        modality: spikes, lfp or multimodal.
        embedding: count, linear, conv, mlp or gated.
        predictor: whether the model is trained by masking.
        readout: whether the model reconstructs the LFP from what `settings.readout` names.
    Raises:
        ConfigError: the settings contradict each other.
    """
    s = settings
    if embedding == "count" and modality != "spikes":
        raise ConfigError("`embedding: count` embeds spike counts and needs a model of spikes only")
    if embedding != "count" and modality == "spikes":
        raise ConfigError(f"`embedding: {embedding}` embeds LFP; a model of spikes alone needs `embedding: count`")
    if embedding == "count" and s.width % s.spikes_patch:
        raise ConfigError(
            "`width` must be a multiple of `spikes_patch` for the count table, "
            f"but got (width={s.width}, spikes_patch={s.spikes_patch})"
        )
    reads_bins = BACKBONES[s.backbone].reads == "bins"
    if reads_bins and readout and s.readout == "tokens":
        raise ConfigError(
            f"`backbone: {s.backbone}` reads bins and has no tokens to reconstruct from: reconstruct from bins by "
            "`model: {readout: pooled}`, or set `supervision: full`"
        )
    if embedding == "gated" and not reads_bins and predictor:
        raise ConfigError(
            "`embedding: gated` reads all bins of a segment, so that a transformer would see tokens that are masked; "
            "give another backbone or another embedding"
        )
    backbone = _backbone(s)
    return CrossModalConfig(
        inputs=_inputs(s, modality),
        embedding=_embedding(s, embedding, backbone.causal),
        backbone=backbone,
        width=s.width,
        dropout=s.dropout,
        space_std=s.space_std,
        predictor=_predictor(s) if predictor and not reads_bins else None,
        bins_predictor=bins_predictor(s.width) if predictor and reads_bins else None,
        readout=readout,
        readout_of="pooled" if readout and s.readout == "pooled" else None,
        lookahead_bins=lookahead(s.lookahead_bins, backbone.causal, predictor),
    )


def lookahead(bins: int, causal: bool, predictor: bool) -> int | None:
    """The later bins that a model may read, None for none.

    Raises:
        ConfigError: it reads all of them in any case, or is trained by masking.
    """
    if bins and not causal:
        raise ConfigError(
            f"`lookahead_bins: {bins}` lets a causal model read some later bins, but this one reads all of them; set "
            "`causal: true`, or leave it out"
        )
    if bins and predictor:
        raise ConfigError(
            f"`lookahead_bins: {bins}` applies to models that learn from behavior or from a teacher, and not to those "
            "that are trained by masking; leave it out"
        )
    return bins or None


def settings_of(config: CrossModalConfig) -> dict[str, Any]:
    """The settings from which `configure` makes a model of this form, as far as they follow from it: the layers of a
    transformer of which an LSTM or CNN has the size do not."""
    settings: dict[str, Any] = {"width": config.width, "dropout": config.dropout, "space_std": config.space_std}
    settings |= {"backbone": config.backbone.name, "causal": config.backbone.causal}
    settings |= {"lookahead_bins": config.lookahead_bins or 0}
    backbone, inputs, embedding = config.backbone, config.inputs, config.embedding
    if config.readout:
        settings |= {"readout": config.readout_of or "tokens"}
    if isinstance(backbone, TransformerBackbone):
        settings |= {"layers": backbone.layers, "heads": backbone.heads, "mlp_ratio": backbone.mlp_ratio}
        settings |= {"projection_dropout": bool(backbone.projection_dropout)}
    match inputs:
        case SpikesInput():
            settings |= {"spikes_patch": inputs.patch, "max_count": inputs.max_count}
        case LfpInput():
            settings |= {"lfp_patch": inputs.patch}
        case MultimodalInput():
            settings |= {"spikes_patch": inputs.spikes_patch, "lfp_patch": inputs.lfp_patch}
            settings |= {"multimodal": inputs.pairing}
    match embedding:
        case ConvEmbedding():
            settings |= {"conv_kernel": embedding.kernel, "conv_dilation": embedding.dilation}
            settings |= {"conv_axis": embedding.axis}
        case MlpEmbedding():
            settings |= {"mlp_hidden": embedding.hidden}
    return settings


def _inputs(s: CrossModalSettings, modality: str) -> SpikesInput | LfpInput | MultimodalInput:
    if modality == "spikes":
        return SpikesInput(patch=s.spikes_patch, max_count=s.max_count)
    if modality == "lfp":
        return LfpInput(patch=s.lfp_patch)
    return MultimodalInput(spikes_patch=s.spikes_patch, lfp_patch=s.lfp_patch, pairing=s.multimodal)


def bins_predictor(
    width: int, gate: Literal["visible"] | None = None, session: bool | None = None
) -> BinsPredictorConfig:
    """The predictor of masked bins, for latents of this width."""
    return BinsPredictorConfig(states=mamba_states(width), head=mamba_head(width, 1), gate=gate, session=session)


def _embedding(s: CrossModalSettings, name: str, causal: bool) -> Embedding:
    if name == "gated":
        return GatedEmbedding(causal=causal)
    if name == "conv":
        return ConvEmbedding(kernel=s.conv_kernel, dilation=s.conv_dilation, axis=s.conv_axis)
    if name == "count":
        return CountEmbedding()
    return MlpEmbedding(hidden=s.mlp_hidden) if name == "mlp" else LinearEmbedding()


def _predictor(s: CrossModalSettings) -> PredictorConfig:
    return PredictorConfig(
        width=s.predictor_width, layers=s.predictor_layers, heads=s.predictor_heads, mlp_ratio=s.mlp_ratio
    )


def _backbone(s: CrossModalSettings) -> Backbone:
    """The chosen backbone, with about as many parameters as the transformer of these settings."""
    transformer = TransformerBackbone(
        layers=s.layers,
        heads=s.heads,
        mlp_ratio=s.mlp_ratio,
        causal=s.causal,
        projection_dropout=s.projection_dropout or None,
    )
    return BACKBONES[s.backbone].of_size(transformer, s.width)


PRESETS = {
    "paper": CrossModalSettings(),
    "small": CrossModalSettings(
        width=128, layers=4, heads=4, predictor_width=96, predictor_layers=2, predictor_heads=4
    ),
    "tiny": CrossModalSettings(
        width=64,
        layers=2,
        heads=4,
        mlp_ratio=2,
        dropout=0.0,
        spikes_patch=16,  # with 64, most small recordings have one token per bin, and nothing to learn across units
        predictor_width=48,
        predictor_layers=1,
        predictor_heads=4,
    ),
}
