"""Recipes of a training, and the presets that supply their values (docs/methods.md, Training)."""

from dataclasses import dataclass, fields
from typing import Literal

from raydistill.config.numbers import check_above, check_at_least
from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How the weights of one training are optimised (docs/methods.md, Training).

    The defaults are those of the cross-modal paper for a single session.
    """

    epochs: int = 400
    """Upper limit; `patience` may end a training earlier."""
    batch: int = 32
    """Segments per global batch, for any number of workers."""
    learning_rate: float = 6.25e-4
    """Peak of the schedule."""
    warmup_epochs: int = 30
    warmup_start: float = 0.3
    """The learning rate starts at this fraction of its peak and increases linearly over `warmup_epochs`."""
    decay: float = 0.995
    """Factor on the learning rate per epoch after the warm-up."""
    weight_decay: float = 0.1
    weight_decay_end: float = 0.4
    weight_decay_epochs: int = 1000
    """Weight decay follows half a cosine from `weight_decay` to `weight_decay_end` over this many epochs."""
    patience: int = 50
    """Epochs without a better validation loss before training stops; the best epoch's weights are kept."""
    clip: float | None = 1.0
    """Largest norm of the gradient; null: gradients are not clipped."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """bf16 is mixed precision where the hardware multiplies in bfloat16, and fp32 elsewhere."""

    def __post_init__(self):
        check_at_least(1, epochs=self.epochs, batch=self.batch, patience=self.patience)
        check_at_least(1, weight_decay_epochs=self.weight_decay_epochs)
        check_at_least(0, warmup_epochs=self.warmup_epochs, warmup_start=self.warmup_start)
        check_at_least(0, weight_decay=self.weight_decay, weight_decay_end=self.weight_decay_end)
        check_above(0, learning_rate=self.learning_rate, decay=self.decay, clip=self.clip)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig(Recipe):
    """What `training:` of a sweep may set: the recipe, and the settings of the usual objectives."""

    mask_ratio: float = 0.6
    """Fraction of the tokens that masked autoencoding masks."""
    alignment: float = 5.0
    """Weight of the cosine term of Eq. 1."""

    def __post_init__(self):
        # `slots=True` replaces the class, so that `super()` without arguments would not find it.
        Recipe.__post_init__(self)
        if not 0 < self.mask_ratio < 1:
            raise ConfigError(f"`mask_ratio` must be between 0 and 1, but got {self.mask_ratio}")
        check_at_least(0, alignment=self.alignment)

    @property
    def recipe(self) -> Recipe:
        """The recipe alone."""
        return Recipe(**{f.name: getattr(self, f.name) for f in fields(Recipe)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipes:
    """Recipes of a preset: one for pretrainings and two for jobs on a single session."""

    pretraining: TrainingConfig
    training: TrainingConfig
    continued: TrainingConfig
    """For a distillation whose student starts from a distillation over many sessions."""


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
