"""Recipes of a training, and the presets that supply their values (docs/methods.md, Training)."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from raydistill.config.numbers import (
    Count,
    CountOrZero,
    Fraction,
    InnerFraction,
    Limits,
    Positive,
    Weight,
    check_limits,
)
from raydistill.errors import ConfigError

Piece = Annotated[float, Limits(above=0, most=1e6)]
"""Seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How the weights of one training are optimised (docs/methods.md, Training).

    The defaults are those of the cross-modal paper for a single session.
    """

    epochs: Count = 400
    """Upper limit; `patience` may end a training earlier."""
    batch: Count = 32
    """Segments per global batch, for any number of workers."""
    learning_rate: Annotated[float, Limits(above=0)] = 6.25e-4
    """Peak of the schedule."""
    warmup_epochs: CountOrZero = 30
    warmup_start: Fraction = 0.3
    """The learning rate starts at this fraction of its peak and increases linearly over `warmup_epochs`."""
    decay: Annotated[float, Limits(above=0, most=2)] = 0.995
    """Factor on the learning rate per epoch after the warm-up."""
    cosine_to: InnerFraction | None = None
    """In place of `decay`: after the warm-up, the learning rate falls along half a cosine, and reaches this fraction of
    its peak after `epochs`. null: it falls by `decay`."""
    cosine_epochs: Count | None = None
    """With `cosine_to`: the half cosine takes this number of epochs, begins with the first, and multiplies the warm-up.
    null: it begins after the warm-up."""
    weight_decay: Weight = 0.1
    weight_decay_end: Weight = 0.4
    weight_decay_epochs: Count = 1000
    """Weight decay follows half a cosine from `weight_decay` to `weight_decay_end` over this many epochs."""
    weight_decay_of: Literal["all"] | None = None
    """all: every weight decays. null: matrices only, and neither norms, biases nor embeddings."""
    patience: Count = 50
    """Epochs without a better validation loss before training stops; the best epoch's weights are kept."""
    encoder_rate: InnerFraction | None = None
    """Factor on the learning rate of all weights but those that read behavior out of the encoder's outputs. null: all
    weights have one rate."""
    clip: Positive | None = 1.0
    """Largest norm of the gradient; null: gradients are not clipped."""
    precision: Literal["fp32", "bf16"] = "bf16"
    """bf16 is mixed precision where the hardware multiplies in bfloat16, and fp32 elsewhere."""
    piece_s: Piece | None = None
    """Segments of the store are cut into pieces of equal lengths of at most this many seconds (and a bin). `batch` then
    counts pieces. Folds and scored segments stay the same. null: segments as they are."""

    def __post_init__(self):
        _check_recipe(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig(Recipe):
    """What `training:` of a sweep may set: the recipe, and the settings of the usual objectives."""

    mask_ratio: InnerFraction = 0.6
    """Fraction of the tokens, or of the bins, that masked autoencoding masks."""
    mask: Literal["tokens", "bins", "released"] = "tokens"
    """What masked autoencoding masks: single tokens, or all tokens of blocks of bins. Networks that read bins need
    `bins`. released: single tokens, the same ones in all segments of a batch, as in the released code of NDT2."""
    mask_block: tuple[Count, ...] = (10, 50)
    """Bins of the shortest and of the longest block of `mask: bins`."""
    mask_by: Literal["channel", "array", "region"] = "channel"
    """What `objective: masked_groups` masks over all time: single channels, or all channels of an array or region."""
    momentum: Fraction = 0.996
    """Of masked groups: weight of the old average of the tokenizer at each step."""
    momentum_epochs: Count = 10
    """Of masked groups: epochs over which `momentum` rises linearly from 0."""
    channel_dropout: Fraction = 0.0
    """Of masked autoencoding of LFP: probability that a channel of a segment is zero in the input."""
    gain_jitter: Fraction = 0.0
    """Of masked autoencoding of LFP: each channel of a segment is multiplied by a number between 1 - jitter and
    1 + jitter in the input."""
    noise: Weight = 0.0
    """Of masked autoencoding of LFP: standard deviation of the noise in the input, in those of the channel."""
    alignment: Weight = 5.0
    """Weight of the cosine term of Eq. 1."""
    reconstruction: Weight = 1.0
    """Weight of the other term of Eq. 1, the error of the LFP."""
    align: Literal["latents", "residual"] = "latents"
    """What a distillation aligns and reads out: latents, or the same before the final norm of each encoder."""
    align_layers: Count = 1
    """With `align: residual`: how many of the last layers are aligned; their weights rise linearly to the last one."""
    readout_share: Annotated[float, Limits(above=0, most=1)] = 1.0
    """Of a distillation: share of the bins of each segment whose LFP is reconstructed, drawn again in each epoch."""

    def __post_init__(self):
        _check_recipe(self)
        if len(self.mask_block) != 2 or self.mask_block[0] > self.mask_block[1]:
            raise ConfigError(
                f"`mask_block` must be [shortest, longest] block, but got {list(self.mask_block)}", at=("mask_block",)
            )
        if self.align_layers > 1 and self.align != "residual":
            raise ConfigError(
                f"`align_layers: {self.align_layers}` aligns what lies before the final norm: it needs "
                "`align: residual`",
                at=("align_layers",),
            )

    @property
    def recipe(self) -> Recipe:
        """The recipe alone."""
        return Recipe(**{f.name: getattr(self, f.name) for f in fields(Recipe)})

    @property
    def blocks(self) -> dict[str, int]:
        """The blocks of `mask: bins`."""
        return {"shortest": self.mask_block[0], "longest": self.mask_block[1]}

    @property
    def of_objectives(self) -> dict[str, Any]:
        """The settings of objectives, named as their fields; None for a usual value, which changes no key."""
        changes = {name: getattr(self, name) for name in ("channel_dropout", "gain_jitter", "noise")}
        return {
            "mask_ratio": self.mask_ratio,
            "blocks": self.blocks if self.mask == "bins" else None,
            "same_tokens": True if self.mask == "released" else None,
            "augmentation": changes if any(changes.values()) else None,
            "mask_by": self.mask_by,
            "momentum": self.momentum,
            "momentum_epochs": self.momentum_epochs,
            "alignment": self.alignment,
            "reconstruction": None if self.reconstruction == 1 else self.reconstruction,
            "align": "residual" if self.align == "residual" else None,
            "align_layers": None if self.align_layers == 1 else self.align_layers,
            "readout_share": None if self.readout_share == 1 else self.readout_share,
        }


def _check_recipe(recipe: Recipe) -> None:
    check_limits(recipe)
    if recipe.cosine_epochs is not None and recipe.cosine_to is None:
        raise ConfigError(
            "`cosine_epochs` has an effect only with `cosine_to`; leave it out, or set it to null",
            at=("cosine_epochs",),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipes:
    """Recipes of a preset: one for pretrainings and two for jobs on a single session."""

    pretraining: TrainingConfig
    training: TrainingConfig
    continued: TrainingConfig
    """For a distillation whose student starts from a distillation over many sessions."""
    finetuned: TrainingConfig | None = None
    """For jobs on one session that start from the weights of another job by `finetune`; None: as `training`."""
    shared_student: TrainingConfig | None = None
    """For a distillation of one student over many sessions; None: as a pretraining."""


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
        pretraining=TrainingConfig(epochs=36, batch=16, warmup_epochs=3, learning_rate=3e-3, precision="fp32"),
        training=TrainingConfig(epochs=60, batch=8, warmup_epochs=3, learning_rate=3e-3, precision="fp32"),
        continued=TrainingConfig(epochs=60, batch=8, warmup_epochs=3, learning_rate=3e-3, precision="fp32"),
    ),
}
"""Preset -> its recipes."""
