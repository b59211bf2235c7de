"""What a run of a sweep took: its wall time, how busy the cores were, and the share of every line of the sweep file."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import psutil

from raydistill.sweep.job import Job


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


class Meter:
    """Measures a run while the driver runs it."""

    def __init__(self, places: int, elsewhere: bool):
        """`places`: jobs on one session that run side by side; `elsewhere`: other machines run jobs too."""
        self.places, self.elsewhere = places, elsewhere
        self.started, self.cpu, self.memory = time.monotonic(), psutil.cpu_times(), psutil.virtual_memory().used
        self.lines: dict[str, Line] = {}
        self.fan_out_s = self.fanned_s = 0.0
        self.fanned = self.peak = 0

    def job(self, job: Job, seconds: float) -> None:
        """A job has ended after so many seconds in its own process."""
        line = self.lines.setdefault(job.line, Line(job.line))
        line.jobs, line.seconds = line.jobs + 1, line.seconds + seconds
        if not job.is_pretraining:
            self.fanned, self.fanned_s = self.fanned + 1, self.fanned_s + seconds
        self.peak = max(self.peak, psutil.virtual_memory().used - self.memory)

    @contextlib.contextmanager
    def fanning_out(self) -> Iterator[None]:
        """Around the time in which jobs on single sessions run."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.fan_out_s += time.monotonic() - started

    def cost(self) -> Cost:
        here = not self.elsewhere
        held_s = self.places * self.fan_out_s
        return Cost(
            wall_s=time.monotonic() - self.started,
            busy_share=_busy(self.cpu) if here else None,
            overhead_s_per_job=(held_s - self.fanned_s) / self.fanned if here and self.fanned else None,
            peak_memory_gb=self.peak / 1e9 if here else None,
            lines=tuple(self.lines.values()),
        )


def _busy(before) -> float:
    """Share of the cores' time since then that was not idle."""
    now = psutil.cpu_times()
    spent = {name: getattr(now, name) - getattr(before, name) for name in before._fields}
    # Linux counts a guest's time as its user's too.
    total = sum(seconds for name, seconds in spent.items() if not name.startswith("guest"))
    return 1 - (spent["idle"] + spent.get("iowait", 0.0)) / total if total else 0.0


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
