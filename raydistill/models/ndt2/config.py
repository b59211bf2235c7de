"""NDT2: its sizes, presets and recipes (Ye et al. 2023; docs/methods.md, NDT2).

No weight is drawn for the units of a session: time and position of a patch have one table for all sessions. What is
known of a session and of its subject comes from context tokens, which all tokens of a segment read.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from raydistill.config.numbers import Limits, Positive, Size, check_limits
from raydistill.config.training import Recipes, TrainingConfig
from raydistill.errors import ConfigError
from raydistill.models.crossmodal.config import CountEmbedding
from raydistill.models.layers.parameters import MaskedCount, TokenCount, linear_parameters

Probability = Annotated[float, Limits(least=0, below=1)]
SpikeCount = Annotated[int, Limits(least=1, most=255)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ndt2Settings:
    """What `model:` of a job with `family: ndt2` may set. The defaults are the cross-modal paper's baseline."""

    width: Size = 256
    layers: Size = 10
    heads: Size = 4
    dropout: Probability = 0.1
    decoder_layers: Size = 2
    """Layers that reconstruct masked tokens, which only pretraining has."""
    spikes_patch: Size = 64
    """Units in one token."""
    max_count: SpikeCount = 20
    """Spike counts above this value are set to it before they are embedded, and not before they are reconstructed."""
    positions: Size = 8
    """Patches of a bin that have learned positions: the most that a session may have."""
    times: Size = 250
    """Bins that have learned times: a segment, or a piece of it (`piece_s`), is not longer."""
    places_std: Positive = 1.0
    """Standard deviation of the learned times and positions before training. 1 is published, and hides the counts of a
    token until a long training has learned to tell them apart; a short one needs less."""
    context_tokens: Size = 8
    """Learned tokens of each session, and of each subject."""
    causal: bool = True
    """Whether the latents of a bin depend on this and earlier bins only."""

    def __post_init__(self):
        check_limits(self)
        if self.width % self.heads:
            raise ConfigError(
                f"`heads` must divide `width`, but got (width={self.width}, heads={self.heads})", at=("heads",)
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class CountsInput:
    """Tokens of `patch` units, whose counts are clamped only where they are embedded."""

    max_count: ClassVar[int] = 255
    """Of counts that are reconstructed: as they are stored."""
    name: Literal["spikes"] = "spikes"
    patch: Size
    embedded_count: SpikeCount
    """Largest count with an embedding of its own."""

    def widths(self, bands: int) -> tuple[int, ...]:
        """(1,) slots of a patch: units."""
        return (self.patch,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ndt2Config:
    """What one model uses."""

    embedding: ClassVar[CountEmbedding] = CountEmbedding()
    inputs: CountsInput
    width: Size
    layers: Size
    heads: Size
    dropout: Probability
    decoder_layers: Size | None
    """None: the model is not trained by masking."""
    positions: Size
    times: Size
    context_tokens: Size
    causal: bool
    places_std: Positive | None = None
    """None: 1."""

    @property
    def modality(self) -> str:
        """spikes."""
        return self.inputs.name

    @property
    def is_masked(self) -> bool:
        """Whether the model can be trained by masking."""
        return self.decoder_layers is not None


def configure(
    settings: Ndt2Settings, modality: str, embedding: str, predictor: bool = False, readout: bool = False
) -> Ndt2Config:
    """The configuration of a model, see `raydistill.models.crossmodal.config.configure`.

    Raises:
        ConfigError: the model would read LFP, or have another embedding; or no count table fits.
    """
    s = settings
    if modality != "spikes" or readout:
        reads = "LFP" if readout else {"lfp": "LFP", "multimodal": "spikes and LFP"}.get(modality, modality)
        raise ConfigError(f"`family: ndt2` reads spikes alone, but the job's model reads {reads}; use another family")
    if embedding != "count":
        raise ConfigError(f"`family: ndt2` has `embedding: count`, but got {embedding}; leave it out")
    if s.width % s.spikes_patch:
        raise ConfigError(
            "`width` must be a multiple of `spikes_patch` for the count table, "
            f"but got (width={s.width}, spikes_patch={s.spikes_patch})"
        )
    return Ndt2Config(
        inputs=CountsInput(patch=s.spikes_patch, embedded_count=s.max_count),
        width=s.width,
        layers=s.layers,
        heads=s.heads,
        dropout=s.dropout,
        decoder_layers=s.decoder_layers if predictor else None,
        positions=s.positions,
        times=s.times,
        context_tokens=s.context_tokens,
        causal=s.causal,
        places_std=None if s.places_std == 1 else s.places_std,
    )


def settings_of(config: Ndt2Config) -> dict[str, Any]:
    """The settings from which `configure` makes a model of this form."""
    names = ("width", "layers", "heads", "dropout", "positions", "times", "context_tokens", "causal")
    settings: dict[str, Any] = {name: getattr(config, name) for name in names}
    for name in ("decoder_layers", "places_std"):
        if (value := getattr(config, name)) is not None:
            settings[name] = value
    return settings | {"spikes_patch": config.inputs.patch, "max_count": config.inputs.embedded_count}


def encoder_parameters(config: Ndt2Config) -> int:
    """Number of parameters of the layers, and of the tables of times and positions."""
    return layer_parameters(config.width, config.layers) + _places_parameters(config)


def decoder_parameters(config: Ndt2Config) -> int:
    """Number of parameters of the masked side, 0 without one: layers, tables, mask token, and log-rates."""
    if config.decoder_layers is None:
        return 0
    layers = layer_parameters(config.width, config.decoder_layers) + _places_parameters(config)
    return layers + config.width + linear_parameters(config.width, config.inputs.patch)


def layer_parameters(width: int, layers: int) -> int:
    """Number of parameters of post-norm layers: attention, two linear maps as wide as the model, and two norms."""
    attention = linear_parameters(width, 3 * width) + linear_parameters(width, width)
    return layers * (attention + 2 * linear_parameters(width, width) + 4 * width)


def _places_parameters(config: Ndt2Config) -> int:
    return (config.times + config.positions) * config.width


def parameters(config: Ndt2Config, *, patches: int, bands: int = 1, n_behavior: int = 0) -> int:
    """Number of parameters without those of sessions and subjects; no weight belongs to a patch of a session."""
    rows = config.inputs.embedded_count + 2  # one is that of 0 spikes, and one of slots without a unit
    table = rows * (config.width // config.inputs.patch)
    head = linear_parameters(config.width, n_behavior) if n_behavior else 0
    return encoder_parameters(config) + table + decoder_parameters(config) + head


def tokens(config: Ndt2Config, patches: int, bins: int) -> TokenCount:
    """A token per patch and bin."""
    side, layers = None, config.decoder_layers
    if layers is not None:
        side = MaskedCount(parameters=decoder_parameters(config), width=config.width, layers=layers)
    return TokenCount(per_bin=patches, attended=patches * bins, layers=config.layers, masked_side=side)


def context_parameters(config: Ndt2Config, sessions: int, subjects: int) -> int:
    """Number of parameters of the context tokens, and of the flags of both kinds."""
    return config.context_tokens * config.width * (sessions + subjects + 2)


PRESETS = {
    "paper": Ndt2Settings(),
    "small": Ndt2Settings(width=128, layers=4, places_std=0.02, context_tokens=4),
    "tiny": Ndt2Settings(
        width=64,
        layers=2,
        decoder_layers=1,
        dropout=0.0,
        spikes_patch=16,
        positions=32,
        places_std=0.02,
        context_tokens=2,
    ),
}

_PRETRAINING = TrainingConfig(
    epochs=400,
    batch=128,
    learning_rate=5e-4,
    warmup_epochs=100,
    warmup_start=0.1,
    cosine_to=0.002,  # 1e-6
    cosine_epochs=2500,
    weight_decay=0.01,
    weight_decay_end=0.01,
    weight_decay_of="all",
    mask_ratio=0.6,
    piece_s=1.0,
)
_SESSION = replace(_PRETRAINING, batch=32)
_FINETUNED = replace(_SESSION, learning_rate=5e-5, cosine_to=0.02)


def _recipes(changes: dict[str, Any], session: dict[str, Any], rate: float) -> Recipes:
    """The recipes of smaller presets, which are shorter: with fewer epochs, rates are higher, and reached earlier."""
    shorter: dict[str, Any] = {"precision": "fp32", "cosine_epochs": None, "cosine_to": None} | changes
    of_session = shorter | session
    return Recipes(
        pretraining=replace(_PRETRAINING, learning_rate=rate, **shorter),
        training=replace(_SESSION, learning_rate=rate, **of_session),
        continued=replace(_SESSION, learning_rate=rate, **of_session),
        finetuned=replace(_FINETUNED, learning_rate=rate / 2, **of_session),
    )


RECIPES = {
    "paper": Recipes(pretraining=_PRETRAINING, training=_SESSION, continued=_SESSION, finetuned=_FINETUNED),
    "small": _recipes({"epochs": 200, "batch": 64, "warmup_epochs": 10}, {"epochs": 150}, 1e-3),
    "tiny": _recipes({"epochs": 36, "batch": 16, "warmup_epochs": 3}, {"epochs": 60, "batch": 8}, 3e-3),
}
"""Preset -> recipes: masked pretraining, and jobs on one session, from drawn weights or from those of a pretraining."""
