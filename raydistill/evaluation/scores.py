"""The score of one job, or why it has none."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """R² of one method on one session with one seed."""

    method: str
    session: str
    subject: str
    seed: int | None
    """None where nothing is drawn: the plain baselines."""
    r2: float
    job: str
    """Key of the job that it comes from."""
    r2_per_axis: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A job without a score, and why."""

    job: str
    session: str | None
    cause: str
