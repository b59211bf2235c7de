"""What a method decodes, what a figure shows of methods, and the lines that compare two of them."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from raydistill.config.load import MAY_BE_EMPTY
from raydistill.config.numbers import CountOrZero, check_limits
from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodConfig:
    """How a method decodes the models of a job, if not each model on the session on which it was trained."""

    job: str
    """The job whose models are decoded."""
    each: str | None = None
    """Group of sessions on which the model of a pretraining, or, with `as`, the model of one session, is decoded."""
    as_: str | None = None
    """Session of the model whose space embeddings are used for every session of the group (paper, Fig. 5)."""
    inputs: Literal["lfp"] | None = None
    """lfp: a multimodal model is decoded without its spikes."""
    spikes_as: Literal["mean", "silence"] = "mean"
    """What replaces the spikes: their mean (zero after z-scoring), or counts of zero."""
    past_bins: CountOrZero | None = None
    """Behavior is decoded by ridge regression from the latents of a bin and so many bins before it. By default, by the
    model's own head, or by least squares from the latents of the bin."""

    def __post_init__(self):
        check_limits(self)

    @property
    def is_training(self) -> bool:
        """Whether the method uses the scores that the job itself computes."""
        return self.inputs is None and self.each is None and self.past_bins is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The part of a sweep that a figure or table of the paper shows."""

    on: str
    """Group of the sessions in the figure."""
    methods: tuple[str, ...] = ()
    """Methods in the figure; by default all of the sweep."""
    compare: Annotated[tuple[str, ...] | None, MAY_BE_EMPTY] = None
    """Comparisons in the figure; by default those of the sweep between its methods."""
    called: dict[str, str] = field(default_factory=dict)
    """Method of the sweep -> its name in the figure, if the names differ."""


def pairs(lines: tuple[str, ...], *at, sign: str = ">") -> list[tuple[str, str]]:
    """The two methods of each line: (better, worse) for `compare`, (queries, keys) for `align`.

    Args:
        at: path of the lines in the configuration, for messages.
        sign: the character between the two methods.
    Raises:
        ConfigError: a line does not have this form.
    """
    methods = []
    for text in lines:
        left, between, right = (part.strip() for part in text.partition(sign))
        if not (left and between and right):
            raise ConfigError(f'a line must be such as "Distilled LFP {sign} SS-LFP", but got "{text}"', at=at)
        methods.append((left, right))
    return methods
