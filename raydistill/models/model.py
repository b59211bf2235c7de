"""What training, scoring and decoding need of a model of any family."""

from collections.abc import Mapping
from typing import ClassVar, Self

from torch import Tensor, nn

from raydistill.errors import DataError
from raydistill.feed.masking import Masking
from raydistill.feed.tokens import Batch
from raydistill.models.layers.state import State
from raydistill.models.spec import ModelSpec


class Model(nn.Module):
    """The interface of built models; tests/models/test_families.py checks it for every family.

    A family always defines `latents`. It defines `reconstruct` if it is trained by masking, `initial_state` and `step`
    if it can be causal, `weights_of_sessions` and `use_embeddings_of` if it has weights of single sessions, and
    `expected_signals` if it is a model of the signals themselves.

    Axes: T bins, D width of the latents, M masked tokens, S slots of a patch, K behavior columns, C classes.
    """

    behavior: nn.Linear
    """From latents (n, D) to behavior (n, K); only if `spec.behavior` names columns."""
    classes: nn.Linear
    """From latents (n, D) to the log-odds (n, C) of the classes of a label; only if `spec.label` names one."""
    read_outs: ClassVar[tuple[str, ...]] = ("behavior", "classes")
    """Names of the modules between the outputs of the encoder and behavior, or the label."""
    predicts_signals: ClassVar[bool] = False
    """Whether the model has `expected_signals`."""

    def __init__(self, spec: ModelSpec):
        super().__init__()
        self.spec = spec

    def latents(self, batch: Batch) -> Tensor:
        """Latents of every bin, nothing masked. Shape: (sum of T, D)."""
        raise NotImplementedError

    def residual(self, batch: Batch, layers: int = 1) -> Tensor:
        """The latents before the final norm of the encoder; of a family without one, the latents themselves.

        Args:
            layers: more than 1 only if `depth` of the configuration is as large: the outputs of the last layers.
        Shape:
            (sum of T, layers * D), the last layer last.
        """
        return self.latents(batch)

    def reconstruct(self, batch: Batch, masking: Masking) -> Tensor:
        """The masked patches, predicted from the visible tokens. Shape: (M, S)."""
        raise NotImplementedError(f"models of the family {self.spec.family} are not trained by masking")

    def expected_signals(
        self, batch: Batch, *, ahead: bool, hidden: Mapping[str, Tensor] | None = None, unseen: int = 0
    ) -> dict[str, Tensor]:
        """What the signals of every bin are expected to be, given bins of the same segment that are not later.

        Args:
            batch: of one session.
            ahead: whether a bin is predicted from earlier bins alone, and not from itself, too.
            hidden: signal -> (columns,) bool, the units or channels that the model is not given; all are predicted.
            unseen: last bins of each segment that the model is not given.
        Returns:
            Signal -> (sum of T, columns), mean counts for spikes; columns are the slots of all patches of a bin.
        """
        raise NotImplementedError(f"models of the family {self.spec.family} predict no signals")

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """The state before the first bin of n streams of one session.

        Args:
            patches: per bin of this session.
            window: bins that attention reads, the present one included; models without attention do not use it.
        Raises:
            ValueError: the model is not causal.
        """
        raise ValueError("only a causal model can run one bin at a time")

    def step(self, state: State, batch: Batch) -> tuple[State, Tensor]:
        """The state after the next bin, and the latents of this bin, equal to those of `latents` on the segment.

        Args:
            batch: one bin of each stream, with the same units or channels as the bins before.
        Returns:
            The new state, and (n, D) latents.
        Raises:
            ValueError: the batch holds more than one bin of a stream, or several sessions.
        """
        raise NotImplementedError

    def step_after_end(self, state: State, batch: Batch) -> tuple[State, Tensor]:
        """The state and the latents after one of the `lookahead_bins` that follow the last bin of a segment.

        Only of a model with `lookahead_bins`, whose `step` gives the latents of the bin so many bins before.

        Args:
            batch: one bin of each stream, whose values do not matter.
        """
        raise NotImplementedError

    def transplanted(self, spec: ModelSpec) -> Self:
        """A model of `spec` that starts from the weights of this one; weights that this one does not have are drawn."""
        new = type(self)(spec)
        weights = self.state_dict() | self.weights_of_sessions(spec)
        new.load_state_dict({name: weights.get(name, drawn) for name, drawn in new.state_dict().items()})
        return new

    def weights_of_sessions(self, spec: ModelSpec) -> dict[str, Tensor]:
        """Name -> weights that `transplanted` gives a model of `spec` for its sessions; by default there are none."""
        return {}

    def use_embeddings_of(self, session: str, known_session: str) -> None:
        """Read segments of `session` with the embeddings of `known_session`, on which the model was trained.

        Raises:
            DataError: models of this family have no embeddings of sessions.
        """
        raise DataError(f"models of the family {self.spec.family} have no embeddings of sessions to use for {session}")


def check_one_bin(batch: Batch) -> None:
    """Check the input of `step`. Raises ValueError if it is not one bin of each stream, all of one session."""
    if set(batch.bins) != {1} or len(set(batch.sessions)) != 1:
        raise ValueError(
            f"`step` takes one bin per stream, all of one session, but got segments of {batch.bins} bins of "
            f"{', '.join(sorted(set(batch.sessions)))}"
        )
