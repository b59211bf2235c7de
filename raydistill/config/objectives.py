"""The objectives that a job may name, each with its settings (docs/methods.md, Objectives).

What a loss computes is in raydistill/objectives.py. To add an objective, write its class here and its function there
(docs/extending.md). This file imports no torch: planning reads it.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from raydistill.config.numbers import Count, CountOrZero, Fraction, InnerFraction, Weight, check_limits


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What an objective requires of a model and of its data."""

    predictor: bool = False
    """The model reconstructs masked patches."""
    readout: bool = False
    """The model reconstructs the LFP."""
    behavior: bool = False
    """The model predicts the behavior of its session."""
    labels: bool = False
    """The model predicts the label that the sweep decodes."""
    teacher: bool = False
    """The latents of a teacher for the same segments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocks:
    """Masks of whole bins, in blocks of so many successive ones."""

    shortest: Count
    longest: Count

    def __post_init__(self):
        check_limits(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """How the LFP that a model reads in training differs from what it has to reconstruct."""

    channel_dropout: Fraction
    """Probability that a channel of a segment is set to zero."""
    gain_jitter: Fraction
    """Each channel of a segment is multiplied by a number between 1 - jitter and 1 + jitter."""
    noise: Weight
    """Standard deviation of the Gaussian noise that is added to each value, in those of the channel."""

    def __post_init__(self):
        check_limits(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskedAutoencoding:
    """Reconstruct masked tokens from the others."""

    needs: ClassVar[Needs] = Needs(predictor=True)
    name: Literal["masked_autoencoding"] = "masked_autoencoding"
    mask_ratio: InnerFraction
    blocks: Blocks | None = None
    """What is masked: blocks of bins, or if None single tokens."""
    same_tokens: bool | None = None
    """Whether single tokens are the same ones in all segments of a batch; None: drawn for each segment."""
    patch_bins: Count | None = None
    """How many successive tokens of a channel are masked together, as the patches of the model; None: single ones."""
    augmentation: Augmentation | None = None

    def __post_init__(self):
        check_limits(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskedGroups:
    """Predict the tokens that a moving average of the tokenizer gives for masked channels, whole groups over all time.

    The target moves, so losses of different epochs cannot be compared: the weights of the last epoch are kept.
    """

    needs: ClassVar[Needs] = Needs()
    keeps_last: ClassVar[bool] = True
    name: Literal["masked_groups"] = "masked_groups"
    mask_ratio: InnerFraction
    mask_by: Literal["channel", "array", "region"]
    momentum: Fraction
    """Weight of the old average at each step, which rises linearly from 0 over `momentum_epochs`."""
    momentum_epochs: Count

    def __post_init__(self):
        check_limits(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class BehaviorRegression:
    """Predict behavior from the latents of every bin, nothing masked."""

    needs: ClassVar[Needs] = Needs(behavior=True)
    name: Literal["behavior_regression"] = "behavior_regression"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelClassification:
    """Predict the classes of a label from the latents, nothing masked (`behavior: {labels: NAME}` of the sweep)."""

    needs: ClassVar[Needs] = Needs(labels=True)
    name: Literal["label_classification"] = "label_classification"


@dataclass(frozen=True, kw_only=True, slots=True)
class MaskedAutoencodingWithBehavior:
    """Masked autoencoding and behavior regression; the loss is the sum of both."""

    needs: ClassVar[Needs] = Needs(predictor=True, behavior=True)
    name: Literal["masked_autoencoding_with_behavior"] = "masked_autoencoding_with_behavior"
    mask_ratio: InnerFraction
    blocks: Blocks | None = None
    same_tokens: bool | None = None
    patch_bins: Count | None = None
    augmentation: Augmentation | None = None

    def __post_init__(self):
        check_limits(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Distillation:
    """Reconstruct the LFP, and align the latents with those of the teacher (paper, Eq. 1)."""

    needs: ClassVar[Needs] = Needs(readout=True, teacher=True)
    name: Literal["distillation"] = "distillation"
    alignment: Weight
    """Weight of the cosine term."""
    reconstruction: Weight | None = None
    """Weight of the error of the LFP; None: 1."""
    align: Literal["residual"] | None = None
    """residual: the latents before the final norm of student and teacher are aligned and read out; None: after it."""
    align_layers: Count | None = None
    """With `align: residual`, how many of the last layers are aligned; None: the last one."""
    readout_share: InnerFraction | None = None
    """Share of the bins of each segment whose LFP is reconstructed, drawn again in each epoch; None: all."""
    unfreeze_epoch: CountOrZero | None = None
    """Epoch from which the teacher is trained too; None: never."""

    def __post_init__(self):
        check_limits(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationWithBehavior:
    """Predict behavior, and align the latents with those of the teacher (paper, Eq. 3)."""

    needs: ClassVar[Needs] = Needs(behavior=True, teacher=True)
    name: Literal["distillation_with_behavior"] = "distillation_with_behavior"
    alignment: Weight
    align: Literal["residual"] | None = None
    """As of `Distillation`; the head reads the latents after the norm."""
    align_layers: Count | None = None
    """As of `Distillation`."""
    unfreeze_epoch: CountOrZero | None = None

    def __post_init__(self):
        check_limits(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class JointDistillation:
    """Reconstruct the LFP, predict behavior, and align the latents with those of the teacher (REALM, first version)."""

    needs: ClassVar[Needs] = Needs(readout=True, behavior=True, teacher=True)
    name: Literal["joint_distillation"] = "joint_distillation"
    alignment: Weight
    """As of `Distillation`, like all others."""
    reconstruction: Weight | None = None
    align: Literal["residual"] | None = None
    align_layers: Count | None = None
    readout_share: InnerFraction | None = None

    def __post_init__(self):
        check_limits(self)


ObjectiveConfig = (
    MaskedAutoencoding
    | MaskedGroups
    | BehaviorRegression
    | LabelClassification
    | MaskedAutoencodingWithBehavior
    | Distillation
    | DistillationWithBehavior
    | JointDistillation
)
OBJECTIVES: dict[str, type[ObjectiveConfig]] = {
    "masked_autoencoding": MaskedAutoencoding,
    "masked_groups": MaskedGroups,
    "behavior_regression": BehaviorRegression,
    "label_classification": LabelClassification,
    "masked_autoencoding_with_behavior": MaskedAutoencodingWithBehavior,
    "distillation": Distillation,
    "distillation_with_behavior": DistillationWithBehavior,
    "joint_distillation": JointDistillation,
}
"""Name in `objective:` of a job -> its settings."""


def keeps_last(objective: ObjectiveConfig | None) -> bool:
    """Whether a training keeps the weights of its last epoch, and not those of the best validation loss."""
    return getattr(objective, "keeps_last", False)


def aligned_layers(objective: ObjectiveConfig | None) -> int:
    """How many of the last layers a distillation aligns before the final norm; 0: the latents after it."""
    if getattr(objective, "align", None) is None:
        return 0
    return getattr(objective, "align_layers", None) or 1


def default_objective(verb: str, supervision: str, masked: str = "masked_autoencoding") -> str:
    """The objective of a job that names none.

    Args:
        verb: pretrain, finetune, train or distill.
        supervision: none, joint or full.
        masked: the objective of the family for a job without behavior.
    """
    if verb == "distill":
        return {"none": "distillation", "joint": "joint_distillation", "full": "distillation_with_behavior"}[
            supervision
        ]
    return {
        "none": masked,
        "joint": "masked_autoencoding_with_behavior",
        "full": "behavior_regression",
    }[supervision]
