"""How a model is trained, and the presets that supply the values (spec C)."""

from dataclasses import dataclass, fields
from typing import Literal

from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How the weights of one training are optimised. The defaults are the paper's for a single session (A.4)."""

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
    """Largest norm of the gradient; null: it is not clipped."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """bf16 is mixed precision where the hardware multiplies in bfloat16, and fp32 elsewhere."""

    def __post_init__(self):
        if self.epochs < 1 or self.batch < 1:
            raise ConfigError(f"`epochs` and `batch` must be at least 1, but got ({self.epochs=}, {self.batch=})")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig(Recipe):
    """What `training:` of a sweep may set: the recipe, and the settings of the usual objectives."""

    mask_ratio: float = 0.6
    """Fraction of the tokens that masked autoencoding masks."""
    alignment: float = 5.0
    """Weight of the cosine term of Eq. 1."""

    def __post_init__(self):
        # dataclasses with slots are made anew, so `super()` without arguments does not find its class
        Recipe.__post_init__(self)
        if not 0 < self.mask_ratio < 1:
            raise ConfigError(f"`mask_ratio` must be between 0 and 1, but got {self.mask_ratio}")

    @property
    def recipe(self) -> Recipe:
        return Recipe(**{f.name: getattr(self, f.name) for f in fields(Recipe)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipes:
    """Defaults of a sweep: one recipe for pretraining, one for every per-session job."""

    pretraining: TrainingConfig
    training: TrainingConfig
    continued: TrainingConfig
    """Of a distillation into a student that many sessions were distilled into before."""


RECIPES = {
    "paper": Recipes(
        pretraining=TrainingConfig(epochs=550, batch=64),
        training=TrainingConfig(),
        continued=TrainingConfig(epochs=150),
    ),
    "small": Recipes(
        pretraining=TrainingConfig(epochs=200, batch=64, warmup_epochs=10, learning_rate=1e-3, precision="fp32"),
        training=TrainingConfig(epochs=150, warmup_epochs=10, learning_rate=1e-3, precision="fp32"),
        continued=TrainingConfig(epochs=60, warmup_epochs=10, learning_rate=1e-3, precision="fp32"),
    ),
    "tiny": Recipes(
        pretraining=TrainingConfig(epochs=12, batch=16, warmup_epochs=3, learning_rate=3e-3, precision="fp32"),
        training=TrainingConfig(epochs=20, batch=8, warmup_epochs=3, learning_rate=3e-3, precision="fp32"),
        continued=TrainingConfig(epochs=20, batch=8, warmup_epochs=3, learning_rate=3e-3, precision="fp32"),
    ),
}
"""Preset -> its recipes."""
