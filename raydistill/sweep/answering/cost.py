"""What a run of a sweep took, and how it is told."""

from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Line:
    """The jobs of one line of the sweep file that were run."""

    name: str
    jobs: int = 0
    seconds: float = 0.0
    """In their own processes, all jobs together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Of one run of a sweep, from its first job to its last. What is of one machine is None where others ran jobs."""

    wall_s: float
    busy_share: float | None
    """Of this machine's cores, whatever kept them busy."""
    overhead_s_per_job: float | None
    """Of a job on one session: the time that it held its place, less the time in its own process; None without any."""
    peak_memory_gb: float | None
    """Of this machine above what was in use at first, as looked at whenever a job ended."""
    lines: tuple[Line, ...]

    def to_json(self) -> dict:
        return asdict(self)


def in_words(cost: Cost) -> str:
    """One line for the terminal."""
    jobs = sum(line.jobs for line in cost.lines)
    told = [f"{jobs} job{'s' if jobs != 1 else ''} in {duration(cost.wall_s)}"]
    if cost.busy_share is not None:
        told.append(f"cores {cost.busy_share:.0%} busy")
    if cost.overhead_s_per_job is not None:
        told.append(f"{cost.overhead_s_per_job:.2f} s a job besides its own work")
    if cost.peak_memory_gb is not None:
        told.append(f"{cost.peak_memory_gb:.1f} GB of memory")
    return ", ".join(told)


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
