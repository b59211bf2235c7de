"""The score of one job, or the reason why it has none."""

from dataclasses import dataclass

from raydistill.evaluation.decoders.clock_skill import ClockSkill


@dataclass(frozen=True, slots=True)
class Score:
    """R² of one method on one session with one seed."""

    method: str
    session: str
    subject: str
    seed: int | None
    """None if nothing in the method is random, as in the baselines."""
    r2: float
    job: str
    """Key of the job."""
    r2_per_axis: dict[str, float] | None = None
    """Behavior column -> R²."""
    n_segments: int | None = None
    """Number of scored segments."""
    seconds: float | None = None
    """Length of the scored bins."""
    clock: ClockSkill | None = None
    """The score compared with the clock; None if trials are not aligned."""


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
