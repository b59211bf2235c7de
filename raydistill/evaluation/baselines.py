"""The baseline decoders, which are scored in addition to the models, in one table.

To add one, write its scoring function in a file of decoders/ and a row here: sweep files, planning and execution take
the name, the title, the sessions and the function from the table. Importing the table is cheap (numpy alone), because
planning imports it too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raydistill.evaluation.decoders.kalman import kalman_on_lfp, kalman_on_spikes
from raydistill.evaluation.decoders.ridge import clock, ridge_on_lfp, ridge_on_spikes
from raydistill.evaluation.decoders.scoring import Decoding
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segments


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A decoder that reads behavior directly from spikes, LFP or time, without a model."""

    title: str
    """Its name in tables and figures."""
    reads: tuple[str, ...]
    """Which of spikes and lfp it reads, besides behavior and the times of the segments. A result is valid until one of
    these is ingested with other values."""
    suits: Callable[[Entry], bool]
    """Whether a stored session has what the baseline needs."""
    score: Callable[[Segments, Segments, Segments, float, Sequence[str]], Decoding]
    """(train, validation and scored segments, bin width in ms, names of the behavior columns) -> its scores."""
    default: bool = False
    """Whether a sweep that does not list `baselines` includes it."""


def has_spikes(entry: Entry) -> bool:
    """Whether the session has spikes."""
    return entry.n_units > 0


def has_lfp(entry: Entry) -> bool:
    """Whether the session has LFP."""
    return entry.n_channels > 0


def is_aligned(entry: Entry) -> bool:
    """Whether segments are whole trials that begin at the same event."""
    return entry.aligned


BASELINES = {
    "ridge_on_spikes": Baseline(
        title="Ridge on spikes", reads=("spikes",), suits=has_spikes, score=ridge_on_spikes, default=True
    ),
    "ridge_on_lfp": Baseline(title="Ridge on LFP", reads=("lfp",), suits=has_lfp, score=ridge_on_lfp, default=True),
    "kalman_on_spikes": Baseline(title="Kalman on spikes", reads=("spikes",), suits=has_spikes, score=kalman_on_spikes),
    "kalman_on_lfp": Baseline(title="Kalman on LFP", reads=("lfp",), suits=has_lfp, score=kalman_on_lfp),
    "clock": Baseline(title="Clock", reads=(), suits=is_aligned, score=clock, default=True),
}
"""Name, as sweep files write it -> baseline."""
