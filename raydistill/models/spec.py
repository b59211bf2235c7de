"""The specification from which a model of any family is built."""

from dataclasses import dataclass, field
from typing import Any

from raydistill.store.channels import ChannelTable

MOST_PATCHES = 65536


def reads_any_session(config: Any) -> bool:
    """Whether no weight of a model with this configuration belongs to a session."""
    return getattr(config, "space", None) == "none"


def has_subjects(config: Any) -> bool:
    """Whether a model with this configuration has weights of subjects."""
    return getattr(config, "context_tokens", None) is not None


def uses_channel_tables(config: Any) -> bool:
    """Whether a model with this configuration, or its objective, reads where the channels of a session are."""
    return getattr(config, "token_bins", None) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelOutputs:
    """The label that a model predicts."""

    name: str
    classes: tuple[str, ...]
    """One output for each, in this order."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Everything that determines the modules of a model; stored as model.json next to the weights."""

    family: str
    """A key of `FAMILIES`."""
    config: Any
    """An instance of the configuration class of the family."""
    sessions: dict[str, int]
    """Session -> patches per bin."""
    bands: int = 1
    """LFP features per electrode."""
    behavior: tuple[str, ...] = ()
    """Behavior columns that the model predicts; empty for a model that is trained without behavior."""
    label: LabelOutputs | None = None
    """The label that the model predicts; None for a model that is trained without one."""
    subjects: dict[str, str] = field(default_factory=dict)
    """Session -> its subject, for families with weights of subjects."""
    channels: dict[str, ChannelTable] = field(default_factory=dict)
    """Session -> where its LFP electrodes are, for families that name or mask them by it."""
    place_names: tuple[str, ...] = ()
    """Arrays or regions that have a name in the model, in the order of their rows."""
    piece_s: float | None = None
    """Segments are read in pieces of about this many seconds, as in training (feed/pieces.py); None: as a whole."""
    provenance: dict = field(default_factory=dict)
    """Job, data, protocol and versions from which the model comes; for the record only."""

    def __post_init__(self):
        """Check what a damaged or foreign model.json may hold; raises ValueError."""
        counts = self.sessions.values() if isinstance(self.sessions, dict) else [None]
        if not all(type(n) is int and 0 < n <= MOST_PATCHES for n in (*counts, self.bands)):
            raise ValueError(
                f"`sessions` must map names to patches per bin, and `bands` be a number, each from 1 to {MOST_PATCHES}"
            )
        if not all(isinstance(name, str) for name in (*self.sessions, *self.behavior)):
            raise ValueError("names in `sessions` and `behavior` must be texts")
        if self.label is not None and not (self.label.classes and all(isinstance(c, str) for c in self.label.classes)):
            raise ValueError("`label` must name its classes by texts")
        if not isinstance(self.subjects, dict) or not all(isinstance(s, str) for s in self.subjects.values()):
            raise ValueError("`subjects` must map sessions to names")
        if not isinstance(self.channels, dict) or not all(isinstance(t, ChannelTable) for t in self.channels.values()):
            raise ValueError("`channels` must map sessions to tables of channels")
        if not all(isinstance(name, str) for name in self.place_names):
            raise ValueError("names in `place_names` must be texts")
        if self.piece_s is not None and not (type(self.piece_s) in (int, float) and 0 < self.piece_s < 1e9):
            raise ValueError(f"`piece_s` must be a number of seconds above 0, got {self.piece_s!r}")
        if not isinstance(self.provenance, dict):
            raise ValueError(f"`provenance` must be a mapping, got {type(self.provenance).__name__}")

    @property
    def modality(self) -> str:
        """spikes, lfp or multimodal."""
        return self.config.modality

    @property
    def widths(self) -> tuple[int, ...]:
        """(G,) slots of each signal in a patch."""
        return self.config.inputs.widths(self.bands)

    @property
    def reads_any_session(self) -> bool:
        """Whether no weight belongs to a session, so that sessions that are not in `sessions` can be read, too."""
        return reads_any_session(self.config)

    def segment_bins(self, session: str) -> int | None:
        """Bins of the segments of a session on which the model was trained, or of their pieces; None: not known."""
        known = self.provenance.get("segment_bins", {})
        others = [n for n in known.values() if type(n) is int] if self.reads_any_session else []
        bins = known.get(session, max(others, default=None))
        return bins if type(bins) is int and bins > 0 else None

    @property
    def subject_of_sessions(self) -> dict[str, str]:
        """Session -> its subject; sessions without one share a subject without a name."""
        return {session: self.subjects.get(session, "") for session in self.sessions}

    @property
    def lookahead_bins(self) -> int:
        """Later bins that the latents of a bin of a causal model depend on, so that a stream answers so late."""
        return getattr(self.config, "lookahead_bins", None) or 0

    @property
    def patch(self) -> int:
        """S, slots of a patch."""
        return sum(self.widths)
