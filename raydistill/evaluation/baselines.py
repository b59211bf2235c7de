"""The baseline decoders, which are scored in addition to the models, in one table.

To add one, write its scoring function in a file of decoders/ and a row here: sweep files, planning and execution take
the name, the title, the sessions and the function from the table. Importing the table is cheap (numpy alone), because
planning imports it too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from raydistill.evaluation.decoders.clock import clock
from raydistill.evaluation.decoders.kalman import kalman_on_lfp, kalman_on_spikes
from raydistill.evaluation.decoders.logistic import LogisticRegression, logistic_on_clock
from raydistill.evaluation.decoders.ridge import ridge_on_lfp, ridge_on_spikes
from raydistill.evaluation.decoders.signals import lfp_of, sqrt_counts
from raydistill.evaluation.decoders.wide_ridge import WideRidge
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment, Segments


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A decoder that reads behavior, or a label, directly from spikes, LFP or time, without a model."""

    title: str
    """Its name in tables and figures."""
    meaning: str = ""
    """What it is, as a full sentence."""
    reads: tuple[str, ...]
    """Which of spikes and lfp it reads, besides behavior and the times of the segments. A result is valid until one of
    these is ingested with other values."""
    suits: Callable[[Entry], bool]
    """Whether a stored session has what the baseline needs."""
    score: Callable[[Segments, Segments, Segments, float, Any], Any]
    """(train, validation and scored segments, bin width in ms, names of the behavior columns) -> a `Decoding`; or, of a
    decoder of labels, with a `LabelTask` in place of the names, -> a `LabelDecoding`."""
    decodes: Literal["behavior", "labels"] = "behavior"
    past: bool = False
    """Whether it decodes a bin from earlier ones; `future`: from later ones; `clock`: from the bin within the trial."""
    future: bool = False
    clock: bool = False
    default: Literal["always", "causal", "never"] = "never"
    """Whether a sweep that does not list `baselines` includes it: `causal` if one of its methods is causal."""


def has_spikes(entry: Entry) -> bool:
    """Whether the session has spikes."""
    return entry.n_units > 0


def has_lfp(entry: Entry) -> bool:
    """Whether the session has LFP."""
    return entry.n_channels > 0


def is_aligned(entry: Entry) -> bool:
    """Whether segments are whole trials that begin at the same event."""
    return entry.aligned


def is_aligned_with_spikes(entry: Entry) -> bool:
    """Whether the session has spikes, and whole trials."""
    return has_spikes(entry) and is_aligned(entry)


def is_aligned_with_lfp(entry: Entry) -> bool:
    """Whether the session has LFP, and whole trials."""
    return has_lfp(entry) and is_aligned(entry)


def _wide_ridges(signal: str, title: str, read: Callable[[Segment], np.ndarray]) -> dict[str, Baseline]:
    """The wide ridges on one signal: with and without the future, with and without the clock."""
    suits, suits_clock = (has_spikes, is_aligned_with_spikes) if signal == "spikes" else (has_lfp, is_aligned_with_lfp)
    return {
        f"{name}_ridge{'_and_clock' if has_clock else ''}_on_{signal}": Baseline(
            title=f"{name.capitalize()} ridge on {title}{' and clock' if has_clock else ''}",
            meaning=f"Ridge regression on up to a second of {title} before{' and after' if future else ''} the decoded "
            f"bin{', and on the bin within the trial' if has_clock else ''}.",
            reads=(signal,),
            suits=suits_clock if has_clock else suits,
            score=WideRidge(read, future=future, clock=has_clock),
            past=True,
            future=future,
            clock=has_clock,
            default="always" if future else "causal",
        )
        for name, future in (("wide", True), ("past", False))
        for has_clock in (False, True)
    }


def _of_recent_bins(
    name: str,
    title: str,
    meaning: str,
    on_spikes: Callable[..., Any],
    on_lfp: Callable[..., Any],
    decodes: Literal["behavior", "labels"] = "behavior",
) -> dict[str, Baseline]:
    """One decoder of the recent past of spikes, and the same of LFP.

    Args:
        meaning: what it does, with the name of the signal left open.
    """
    signals: tuple[tuple[Literal["spikes", "lfp"], str, Callable[[Entry], bool], Callable[..., Any]], ...] = (
        ("spikes", "spikes", has_spikes, on_spikes),
        ("lfp", "LFP", has_lfp, on_lfp),
    )
    return {
        f"{name}_on_{signal}": Baseline(
            title=f"{title} on {words}",
            meaning=meaning.format(words),
            reads=(signal,),
            suits=suits,
            score=score,
            decodes=decodes,
            past=True,
            default="always",
        )
        for signal, words, suits, score in signals
    }


_RIDGE = "Ridge regression on up to 0.3 s of {} before the decoded bin (a Wiener filter)."
_KALMAN = "A Kalman filter whose state is behavior and whose observations are {}."
_LOGISTIC = (
    "Logistic regression on the mean and the SD of {0} over a segment, or, for labels of bins, on up to 0.3 s of {0} "
    "before the decoded bin."
)
_CLOCK = "Behavior from the bin within the trial alone, without any signal."
_CLOCK_OF_LABELS = "Logistic regression of a label of bins on the bin within the trial alone, without any signal."

BASELINES = {
    **_of_recent_bins("ridge", "Ridge", _RIDGE, ridge_on_spikes, ridge_on_lfp),
    **_wide_ridges("spikes", "spikes", sqrt_counts),
    **_wide_ridges("lfp", "LFP", lfp_of),
    **_of_recent_bins("kalman", "Kalman", _KALMAN, kalman_on_spikes, kalman_on_lfp),
    **_of_recent_bins(
        "logistic",
        "Logistic regression",
        _LOGISTIC,
        LogisticRegression(sqrt_counts),
        LogisticRegression(lfp_of),
        decodes="labels",
    ),
    "logistic_on_clock": Baseline(
        title="Logistic regression on the clock",
        meaning=_CLOCK_OF_LABELS,
        reads=(),
        suits=is_aligned,
        score=logistic_on_clock,
        decodes="labels",
        clock=True,
        default="always",
    ),
    "clock": Baseline(
        title="Clock", meaning=_CLOCK, reads=(), suits=is_aligned, score=clock, clock=True, default="always"
    ),
}
"""Name, as `baselines` of a sweep file writes it -> baseline."""
TITLES = {baseline.title: name for name, baseline in BASELINES.items()}
"""Title, as tables and `compare` write it -> name."""


def default_baselines(*, spikes: bool, causal: bool, labels: bool = False) -> tuple[str, ...]:
    """The baselines of a sweep that lists none.

    Args:
        spikes: whether a model of the sweep reads spikes; if none does, no baseline does.
        causal: whether a method decodes from the past alone.
        labels: whether the sweep decodes a label.
    """
    included = ("always", "causal") if causal else ("always",)
    return tuple(
        name
        for name, baseline in BASELINES.items()
        if baseline.default in included
        and (spikes or "spikes" not in baseline.reads)
        and labels == (baseline.decodes == "labels")
    )
