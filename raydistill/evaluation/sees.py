"""What each method and baseline of a sweep sees: a difference in this may explain a difference in scores."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

SpikesAt = Literal["decoding", "training", "never"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sees:
    """What a method is given, at decoding and in its training."""

    method: str
    reads: tuple[str, ...]
    """Signals that it decodes from: spikes, lfp or none."""
    past: bool
    """Whether a bin is decoded from earlier bins of its segment, too; `future`: from later ones."""
    future: bool
    clock: bool
    """Whether it can tell how long ago the trial began: segments are whole trials, and it knows where they begin."""
    labels: bool
    """Whether behavior is used by more than a final least squares from its latents."""
    other_sessions: bool
    """Whether its training used sessions other than the decoded one."""
    lookahead_bins: int = 0
    """Later bins that it reads, if it does not read all of them."""
    spikes: SpikesAt
    """When it sees spikes; `training`: it, its teacher or its first weights were trained with them."""

    def to_json(self) -> dict:
        """As JSON data."""
        return asdict(self) | {"reads": list(self.reads)}

    def in_words(self) -> str:
        """Such as "LFP, past, future; in training: spikes, other sessions"."""
        signals = {"lfp": "LFP", "spikes": "spikes"}
        decoding = [signals[name] for name in self.reads]
        decoding += [name for name in ("past", "future", "clock") if getattr(self, name)]
        if n := self.lookahead_bins:
            decoding.append(f"{n} later bin{'s' if n > 1 else ''}")
        training = ["spikes"] if self.spikes == "training" else []
        training += ["other sessions"] if self.other_sessions else []
        training += ["labels"] if self.labels else []
        return ", ".join(decoding or ["nothing"]) + (f"; in training: {', '.join(training)}" if training else "")


def merged(parts: Iterable[Sees]) -> Sees:
    """What a method sees whose jobs see these: what any of them sees."""
    first, *others = parts
    for part in others:
        first = Sees(
            method=first.method,
            reads=tuple(dict.fromkeys((*first.reads, *part.reads))),
            past=first.past or part.past,
            future=first.future or part.future,
            lookahead_bins=max(first.lookahead_bins, part.lookahead_bins),
            clock=first.clock or part.clock,
            labels=first.labels or part.labels,
            other_sessions=first.other_sessions or part.other_sessions,
            spikes=min(first.spikes, part.spikes, key=("decoding", "training", "never").index),
        )
    return first
