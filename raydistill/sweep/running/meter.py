"""What a run of a sweep took: its wall time, how busy the cores were, and the share of every line of the sweep file."""

import contextlib
import time
from collections.abc import Iterator

import psutil

from raydistill.sweep.answering.cost import Cost, Line
from raydistill.sweep.planning.job import Job


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
