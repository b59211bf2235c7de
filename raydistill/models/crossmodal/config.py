"""Sizes of the cross-modal models, and the presets that supply their values (spec B1 to B3)."""

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


PRESETS = {
    "paper": ModelConfig(),
    "small": ModelConfig(width=128, layers=4, heads=4, predictor_width=96, predictor_layers=2, predictor_heads=4),
    "tiny": ModelConfig(
        width=64,
        layers=2,
        heads=4,
        mlp_ratio=2,
        dropout=0.0,
        predictor_width=48,
        predictor_layers=1,
        predictor_heads=4,
    ),
}
