"""The score of one job, or the reason why it has none."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raydistill.evaluation.decoders.clock_skill import ClockSkill
from raydistill.evaluation.units import ScoredUnits


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelNumbers:
    """How well a label is decoded, besides its AUC."""

    accuracy: float
    balanced_accuracy: float
    largest_class: float
    """The accuracy of a decoder that always names the most frequent class."""


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one method on one session with one seed and one draw of the folds."""

    method: str
    session: str
    subject: str
    seed: int | None
    """None if nothing in the method is random, as in the baselines."""
    value: float
    """R² of behavior, or AUC of a label (measure.py)."""
    job: str
    """Key of the job."""
    per_part: dict[str, float] | None = None
    """Behavior column -> R², or class -> AUC."""
    label: LabelNumbers | None = None
    """Further numbers of a decoder of a label; None if behavior is decoded."""
    n_segments: int | None = None
    """Number of scored segments."""
    seconds: float | None = None
    """Length of the scored bins."""
    clock: ClockSkill | None = None
    """The score compared with the clock; None if trials are not aligned."""
    neural: dict[str, dict[str, float]] = field(default_factory=dict)
    """How well a model of the signals themselves predicts them (signal_scores.py); empty for other models."""
    fit: dict[str, Any] = field(default_factory=dict)
    """How a model that is fitted in one step was found, and what was chosen; empty for other models."""
    draw: int = 1
    """Which draw of the session's folds was scored (`splits.repeats`)."""
    units: ScoredUnits | None = field(default=None, compare=False, repr=False)
    """The scored trials or segments; None if they are not needed or not stored."""


def mean_by_session(scores: Iterable[Score], method: str) -> dict[str, float]:
    """Session -> score of a method, averaged over seeds and draws of the folds; without scores that are not finite."""
    of_session = defaultdict(list)
    for s in scores:
        if s.method == method and np.isfinite(s.value):
            of_session[s.session].append(s.value)
    return {session: float(np.mean(values)) for session, values in of_session.items()}


def means_in_common(scores: Iterable[Score], *methods: str) -> list[dict[str, float]]:
    """`mean_by_session` of each of these methods, over the draws of the folds in which all of them are scored.

    A job of one draw may be missing. Draws test on other segments, so means over different draws are no comparison.

    Returns:
        One mapping per method, all with the same sessions: those that have such a draw.
    """
    finite = [s for s in scores if s.method in methods and np.isfinite(s.value)]
    scored = [{(s.session, s.draw) for s in finite if s.method == method} for method in methods]
    common = set.intersection(*scored)
    return [mean_by_session([s for s in finite if (s.session, s.draw) in common], method) for method in methods]


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that failed."""

    job: str
    """Its key."""
    session: str | None
    cause: str
    """One line of text."""


@dataclass(frozen=True, slots=True)
class MissingJob:
    """A job that is neither done nor failed: it was not run yet, or has to be run again."""

    job: str
    """Its key."""
    name: str
    """Line of the sweep file, session and seed."""
    reason: str
    """Why it is missing."""
