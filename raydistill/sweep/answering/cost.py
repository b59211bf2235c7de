"""The cost of running a sweep: wall time, CPU utilisation, overhead per job and memory."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(slots=True)
class LineCost:
    """The cost of the jobs of one line of the sweep file."""

    name: str
    """Name of the line under `jobs`."""
    jobs: int = 0
    """Number of jobs that were run."""
    seconds: float = 0.0
    """Time in the processes of the jobs, summed over the jobs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The cost of one run of a sweep, from its first job to its last.

    Values that describe a single machine are None if jobs ran on several.
    """

    wall_s: float
    busy_share: float | None
    """Utilisation of this machine's cores, from 0 to 1, including other processes."""
    overhead_s_per_job: float | None
    """Mean over the jobs on one session: the time that a job occupied its slot, minus the time in its process.
    None if no such job was run."""
    peak_memory_gb: float | None
    """Memory of this machine above that in use at the start; measured whenever a job ended."""
    lines: tuple[LineCost, ...]
    session_jobs: int = 0
    """Number of jobs on one session that were run."""

    def to_json(self) -> dict:
        """The content of cost.json."""
        return asdict(self)


def total(costs: Sequence[Cost]) -> Cost | None:
    """The cost of parts of a run that followed each other, such as trials and comparison; None if there are none."""
    if not costs:
        return None
    wall_s, lines = sum(cost.wall_s for cost in costs), dict[str, LineCost]()
    for line in (line for cost in costs for line in cost.lines):
        sum_ = lines.setdefault(line.name, LineCost(line.name))
        sum_.jobs, sum_.seconds = sum_.jobs + line.jobs, sum_.seconds + line.seconds
    peaks = [cost.peak_memory_gb for cost in costs if cost.peak_memory_gb is not None]
    return Cost(
        wall_s=wall_s,
        busy_share=_mean([(cost.busy_share, cost.wall_s) for cost in costs]),
        overhead_s_per_job=_mean([(cost.overhead_s_per_job, cost.session_jobs) for cost in costs]),
        peak_memory_gb=max(peaks) if len(peaks) == len(costs) else None,
        lines=tuple(lines.values()),
        session_jobs=sum(cost.session_jobs for cost in costs),
    )


def _mean(parts: Sequence[tuple[float | None, float]]) -> float | None:
    """The mean of values by their weights; None if the weights are zero, or one with a weight is unknown."""
    known = [(value, weight) for value, weight in parts if value is not None]
    weight = sum(weight for _, weight in known)
    if not weight or weight < sum(weight for _, weight in parts):
        return None
    return sum(value * weight for value, weight in known) / weight


def in_words(cost: Cost) -> str:
    """The cost as one line of text."""
    jobs = sum(line.jobs for line in cost.lines)
    parts = [f"{jobs} job{'s' if jobs != 1 else ''} in {duration(cost.wall_s)}"]
    if cost.busy_share is not None:
        parts.append(f"CPU utilisation {cost.busy_share:.0%}")
    if cost.overhead_s_per_job is not None:
        parts.append(f"{cost.overhead_s_per_job:.2f} s overhead per job")
    if cost.peak_memory_gb is not None:
        parts.append(f"{cost.peak_memory_gb:.1f} GB of memory")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time in its two largest units, such as 2 h 1 min."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
