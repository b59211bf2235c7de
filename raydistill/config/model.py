"""Model and training settings, and the three presets that supply their values (spec B, C)."""

from dataclasses import dataclass
from typing import Literal

from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Sizes of tokenizer, encoder and predictor (spec B1 to B3). The defaults are the paper's."""

    width: int = 256
    layers: int = 10
    heads: int = 8
    mlp_ratio: int = 4
    dropout: float = 0.1
    spikes_patch: int = 64
    """Units in one token."""
    lfp_patch: int = 32
    """LFP electrodes in one token, with all their bands."""
    max_count: int = 5
    """Spike counts are clamped here before they are embedded and reconstructed."""
    conv_kernel: int = 3
    conv_dilation: int = 1
    conv_axis: Literal["time", "tokens"] = "time"
    """`time` convolves each patch along its own past; `tokens` along the row of tokens, as the published code does."""
    multimodal: Literal["paired", "flat"] = "paired"
    """Patch k of spikes and of LFP make one token, or the channels follow the units before both are cut."""
    backbone: Literal["transformer", "lstm", "cnn"] = "transformer"
    """lstm and cnn read the mean of a bin's patches, and are of the same number of parameters."""
    causal: bool = False
    """A bin's latents depend on nothing that comes later."""
    space_std: float = 1.0
    """Standard deviation of a new session's space embeddings."""
    predictor_width: int = 192
    predictor_layers: int = 4
    predictor_heads: int = 8

    def __post_init__(self):
        for width, heads in ((self.width, self.heads), (self.predictor_width, self.predictor_heads)):
            if width % (2 * heads):
                raise ConfigError(
                    f"a width must be a multiple of twice its heads (rotary pairs), got ({width=}, {heads=})"
                )
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"`dropout` must be at least 0 and below 1, but got {self.dropout}")


def patch_widths(config: ModelConfig, modality: str, bands: int = 1) -> tuple[int, ...]:
    """Slots of a patch: (units,), (channels,), or of multimodal input (units, channels), together if `flat`."""
    units, channels = config.spikes_patch, config.lfp_patch * bands
    if modality != "multimodal":
        return (units,) if modality == "spikes" else (channels,)
    return (units, channels) if config.multimodal == "paired" else (units + channels,)


def patches_per_bin(widths: tuple[int, ...], modality: str, n_units: int, n_channels: int) -> int:
    """P of a session with so many units and LFP channels."""
    if modality != "multimodal":
        columns = (n_units,) if modality == "spikes" else (n_channels,)
    else:
        columns = (n_units, n_channels) if len(widths) == 2 else (n_units + n_channels,)
    return max(-(-n // w) for n, w in zip(columns, widths, strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """One training's recipe (spec C). The defaults are the paper's for a single session."""

    epochs: int = 400
    batch: int = 32
    """Segments in a global batch, whatever the number of workers."""
    learning_rate: float = 6.25e-4
    warmup_epochs: int = 30
    warmup_start: float = 0.3
    """The learning rate begins at this fraction of its peak and rises linearly over `warmup_epochs`."""
    decay: float = 0.995
    """Factor on the learning rate per epoch after the warm-up."""
    weight_decay: float = 0.1
    weight_decay_end: float = 0.4
    weight_decay_epochs: int = 1000
    """Weight decay follows half a cosine from `weight_decay` to `weight_decay_end` over this many epochs."""
    patience: int = 50
    """Epochs without a better validation loss before training stops; the best epoch's weights are kept."""
    clip: float | None = 1.0
    precision: Literal["fp32", "bf16"] = "bf16"
    """bf16 is mixed precision where the hardware multiplies in bfloat16, and fp32 elsewhere."""
    mask_ratio: float = 0.6
    alignment: float = 5.0
    """Weight of the cosine term of Eq. 1."""

    def __post_init__(self):
        if self.epochs < 1 or self.batch < 1:
            raise ConfigError(f"`epochs` and `batch` must be at least 1, but got ({self.epochs=}, {self.batch=})")
        if not 0 < self.mask_ratio < 1:
            raise ConfigError(f"`mask_ratio` must lie between 0 and 1, but got {self.mask_ratio}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """Defaults of a sweep: one model, one recipe for pretraining, one for every per-session job."""

    model: ModelConfig
    pretraining: TrainingConfig
    training: TrainingConfig
    continued: TrainingConfig
    """Of a distillation into a student that many sessions were distilled into before."""


PRESETS = {
    "paper": Preset(
        model=ModelConfig(),
        pretraining=TrainingConfig(epochs=550, batch=64),
        training=TrainingConfig(),
        continued=TrainingConfig(epochs=150),
    ),
    "small": Preset(
        model=ModelConfig(width=128, layers=4, heads=4, predictor_width=96, predictor_layers=2, predictor_heads=4),
        pretraining=TrainingConfig(epochs=200, batch=64, warmup_epochs=10, learning_rate=1e-3, precision="fp32"),
        training=TrainingConfig(epochs=150, warmup_epochs=10, learning_rate=1e-3, precision="fp32"),
        continued=TrainingConfig(epochs=60, warmup_epochs=10, learning_rate=1e-3, precision="fp32"),
    ),
    "tiny": Preset(
        model=ModelConfig(
            width=64,
            layers=2,
            heads=4,
            mlp_ratio=2,
            dropout=0.0,
            predictor_width=48,
            predictor_layers=1,
            predictor_heads=4,
        ),
        pretraining=TrainingConfig(epochs=12, batch=16, warmup_epochs=3, learning_rate=3e-3, precision="fp32"),
        training=TrainingConfig(epochs=20, batch=8, warmup_epochs=3, learning_rate=3e-3, precision="fp32"),
        continued=TrainingConfig(epochs=20, batch=8, warmup_epochs=3, learning_rate=3e-3, precision="fp32"),
    ),
}
