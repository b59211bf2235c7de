"""BaRISTA: its sizes, presets and recipes (arXiv 2512.12135; docs/methods.md, BaRISTA).

A token is one channel over `token_bins` successive bins. It has a name at one spatial scale: that of its channel, of
the position, array or region of the channel, or none.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from raydistill.config.numbers import Limits, Micrometres, Size, check_limits
from raydistill.config.training import Recipes, TrainingConfig
from raydistill.errors import ConfigError
from raydistill.models.layers.parameters import TokenCount, linear_parameters, transformer_parameters

Probability = Annotated[float, Limits(least=0, below=1)]
TokenBins = Annotated[int, Limits(least=2, most=65536)]
Step = Annotated[float, Limits(above=0, most=1e9)]
Space = Literal["channel", "position", "array", "region", "none"]
NAMED: tuple[Space, ...] = ("array", "region")
"""Scales whose names are those in the channel tables of the store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaristaSettings:
    """What `model:` of a job with `family: barista` may set. The defaults are those of BaRISTA, with 10-ms bins."""

    width: Size = 64
    layers: Size = 12
    heads: Size = 4
    mlp_ratio: Size = 4
    dropout: Probability = 0.1
    token_bins: TokenBins = 25
    """Successive bins of one channel in a token."""
    dilations: tuple[Size, ...] = (1, 2, 4, 8, 16)
    """Of the convolutions of the tokenizer, one per block."""
    filters: Size = 5
    """Channels of these convolutions between the first and the last block."""
    space: Space = "channel"
    """What the space embedding of a token names: its channel, or the position, array or region of the channel, or
    nothing. Channels are those of one session; the other names are shared by all sessions."""
    position_rows: Size = 200
    """Of `space: position`: rows of the table of each axis."""
    position_step_um: Step = 400.0
    """Of `space: position`: micrometres from one row to the next."""
    position_start_um: Micrometres = 0.0
    """Of `space: position`: micrometres at which the first row begins."""

    def __post_init__(self):
        check_limits(self)
        if self.width % (2 * self.heads):
            raise ConfigError(
                "`width` must be a multiple of twice `heads` (rotary pairs), but got "
                f"(width={self.width}, heads={self.heads})",
                at=("heads",),
            )
        if not self.dilations:
            raise ConfigError("`dilations` needs one dilation or more, such as [1, 2, 4]", at=("dilations",))


@dataclass(frozen=True, kw_only=True, slots=True)
class ElectrodeInput:
    """Patches of one electrode, with all its bands."""

    name: Literal["lfp"] = "lfp"

    def widths(self, bands: int) -> tuple[int, ...]:
        """(1,) slots of a patch: the bands of the electrode."""
        return (bands,)


@dataclass(frozen=True, kw_only=True, slots=True)
class DilatedEmbedding:
    """Blocks of dilated convolutions over the bins of a token, then a linear map."""

    name: Literal["dilated"] = "dilated"
    dilations: tuple[Size, ...]
    filters: Size

    def channels(self, bands: int) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of each block."""
        inner = (self.filters,) * (len(self.dilations) - 1)
        sizes = (bands, *inner, 1)
        return tuple(pairwise(sizes))

    def parameters(self, bands: int) -> int:
        """Number of parameters of the convolutions, of three taps and a bias each."""
        return sum(_block_parameters(inputs, outputs) for inputs, outputs in self.channels(bands))


@dataclass(frozen=True, kw_only=True, slots=True)
class PositionGrid:
    """Rows of the tables of positions, the same for each axis."""

    rows: Size
    step_um: Step
    start_um: Micrometres

    def row(self, position_um: float) -> int:
        """The row of a position; it may be outside of the table."""
        return int((position_um - self.start_um) // self.step_um)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassesHead:
    """The published head for classes of whole segments."""

    tokens: Size
    """Tokens of a segment."""
    classes: Size


@dataclass(frozen=True, kw_only=True, slots=True)
class BaristaConfig:
    """What one model uses."""

    causal: ClassVar[bool] = False
    modality: ClassVar[str] = "lfp"
    is_masked: ClassVar[bool] = False
    """It predicts masked tokens, and not signals (`objective: masked_groups`)."""
    readout: ClassVar[bool] = False
    inputs: ElectrodeInput = ElectrodeInput()
    embedding: DilatedEmbedding
    width: Size
    layers: Size
    heads: Size
    mlp_ratio: Size
    dropout: Probability
    token_bins: TokenBins
    space: Space
    grid: PositionGrid | None = None
    """Of `space: position`."""
    head: ClassesHead | None = None
    """Only of an imported checkpoint that has one."""


def configure(
    settings: BaristaSettings, modality: str, embedding: str, predictor: bool = False, readout: bool = False
) -> BaristaConfig:
    """The configuration of a model, see `raydistill.models.crossmodal.config.configure`.

    Raises:
        ConfigError: the model would read spikes, have another embedding, or reconstruct signals.
    """
    s = settings
    if modality != "lfp":
        read = "spikes and LFP" if modality == "multimodal" else modality
        raise ConfigError(f"`family: barista` reads LFP alone, but the job's model reads {read}; use another family")
    if embedding != "dilated":
        raise ConfigError(f"`family: barista` has `embedding: dilated`, but got {embedding}; leave it out")
    if predictor or readout:
        raise ConfigError(
            "`family: barista` predicts tokens and reconstructs no LFP: it is trained by `objective: masked_groups` or "
            "on behavior (`supervision: full`)"
        )
    grid = PositionGrid(rows=s.position_rows, step_um=s.position_step_um, start_um=s.position_start_um)
    return BaristaConfig(
        embedding=DilatedEmbedding(dilations=s.dilations, filters=s.filters),
        width=s.width,
        layers=s.layers,
        heads=s.heads,
        mlp_ratio=s.mlp_ratio,
        dropout=s.dropout,
        token_bins=s.token_bins,
        space=s.space,
        grid=grid if s.space == "position" else None,
    )


def settings_of(config: BaristaConfig) -> dict[str, Any]:
    """The settings from which `configure` makes a model of this form."""
    names = ("width", "layers", "heads", "mlp_ratio", "dropout", "token_bins", "space")
    settings: dict[str, Any] = {name: getattr(config, name) for name in names}
    settings |= {"dilations": config.embedding.dilations, "filters": config.embedding.filters}
    if config.grid is not None:
        settings |= {f"position_{name}": getattr(config.grid, name) for name in ("rows", "step_um", "start_um")}
    return settings


def tokenizer_parameters(config: BaristaConfig, bands: int = 1) -> int:
    """Number of parameters of the value embedding: convolutions, and a linear map without bias."""
    return config.embedding.parameters(bands) + config.token_bins * config.width


def encoder_parameters(config: BaristaConfig) -> int:
    """Number of parameters of the transformer."""
    return transformer_parameters(config.width, config.layers, config.mlp_ratio)


def space_parameters(config: BaristaConfig, *, patches: int = 0, names: int = 0) -> int:
    """Number of parameters of the space embedding.

    Args:
        patches: channels of all sessions, for `space: channel`.
        names: arrays or regions with a row; one row more is for unknown ones.
    """
    rows = {"channel": patches, "none": 0}.get(config.space, 1 + names)
    if config.grid is not None:
        rows = 3 * config.grid.rows
    return rows * config.width


def parameters(config: BaristaConfig, *, patches: int, bands: int = 1, n_behavior: int = 0) -> int:
    """Number of parameters without those of arrays and regions."""
    space = 0 if config.space in NAMED else space_parameters(config, patches=patches)
    per_bin = config.width + config.token_bins * config.width**2 if n_behavior else 0
    behavior = linear_parameters(config.width, n_behavior) if n_behavior else 0
    classes = config.head.tokens + linear_parameters(config.width, config.head.classes) if config.head else 0
    return tokenizer_parameters(config, bands) + encoder_parameters(config) + space + per_bin + behavior + classes


def tokens(config: BaristaConfig, patches: int, bins: int) -> TokenCount:
    """A token per channel and sub-segment."""
    of_segment = patches * math.ceil(bins / config.token_bins)
    return TokenCount(per_bin=of_segment / bins, attended=of_segment, layers=config.layers)


def name_parameters(config: BaristaConfig, names: int) -> int:
    """Number of parameters of the rows of arrays or regions."""
    return space_parameters(config, names=names) if config.space in NAMED else 0


def _block_parameters(inputs: int, outputs: int) -> int:
    """Two convolutions of three taps, and a map of the residual where the number of channels changes."""
    residual = 0 if inputs == outputs else linear_parameters(inputs, outputs)
    return linear_parameters(3 * inputs, outputs) + linear_parameters(3 * outputs, outputs) + residual


PRESETS = {
    "paper": BaristaSettings(),
    "small": BaristaSettings(layers=4, dilations=(1, 2, 4)),
    "tiny": BaristaSettings(width=32, layers=2, heads=2, dropout=0.0, token_bins=10, dilations=(1, 2, 4)),
}

_PRETRAINING = TrainingConfig(
    epochs=70,
    batch=128,
    learning_rate=1e-3,
    warmup_epochs=5,
    warmup_start=0.2,
    decay=0.99,
    weight_decay=0.01,
    weight_decay_end=0.01,
    weight_decay_of="all",
    mask_ratio=0.3,
)
_SESSION = replace(_PRETRAINING, batch=32)
_FINETUNED = replace(_SESSION, epochs=30, patience=15, encoder_rate=0.1)


def _recipes(changes: dict[str, Any], session: dict[str, Any]) -> Recipes:
    """The recipes of smaller presets."""
    of_session: dict[str, Any] = {"precision": "fp32", "epochs": 60, "patience": 50, "encoder_rate": None} | session
    return Recipes(
        pretraining=replace(_PRETRAINING, precision="fp32", **changes),
        training=replace(_SESSION, **of_session),
        continued=replace(_SESSION, **of_session),
        finetuned=replace(_FINETUNED, **of_session),
    )


RECIPES = {
    "paper": Recipes(pretraining=_PRETRAINING, training=_SESSION, continued=_SESSION, finetuned=_FINETUNED),
    "small": _recipes({"batch": 64}, {"batch": 32}),
    "tiny": _recipes(
        {"epochs": 36, "batch": 16, "learning_rate": 3e-3, "warmup_epochs": 3},
        {"batch": 8, "learning_rate": 3e-3, "warmup_epochs": 3},
    ),
}
"""Preset -> recipes: masked pretraining, and jobs on one session, from drawn weights or from those of a pretraining."""
