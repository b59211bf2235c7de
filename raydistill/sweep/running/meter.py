"""Measuring the cost of running a sweep: wall time, CPU utilisation, and the time per line of the sweep file."""

import contextlib
import time
from collections.abc import Iterator

import psutil

from raydistill.sweep.answering.cost import Cost, LineCost
from raydistill.sweep.planning.job import Job


class Meter:
    """Measures from its creation until `cost` is called.

    Args:
        slots: jobs on one session that run at the same time.
        several_machines: whether jobs run on other machines too, which leaves some values unknown.
    """

    def __init__(self, slots: int, several_machines: bool):
        self.slots, self.several_machines = slots, several_machines
        self.started, self.cpu, self.memory = time.monotonic(), psutil.cpu_times(), psutil.virtual_memory().used
        self.lines: dict[str, LineCost] = {}
        self.fan_out_s = self.session_jobs_s = 0.0
        self.session_jobs = self.peak_memory = 0
        self.is_shared: bool = False
        """Set when a pretraining has had a part of the cores meanwhile, so that the overhead of a job is unknown."""

    def add(self, job: Job, seconds: float) -> None:
        """Add a job that has ended after `seconds` in its own process."""
        line = self.lines.setdefault(job.line, LineCost(job.line))
        line.jobs, line.seconds = line.jobs + 1, line.seconds + seconds
        if not job.is_pretraining:
            self.session_jobs, self.session_jobs_s = self.session_jobs + 1, self.session_jobs_s + seconds
        self.peak_memory = max(self.peak_memory, psutil.virtual_memory().used - self.memory)

    @contextlib.contextmanager
    def fanning_out(self) -> Iterator[None]:
        """Measure the time in which jobs on one session run."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.fan_out_s += time.monotonic() - started

    def cost(self) -> Cost:
        """The cost from the creation of the meter until now."""
        one_machine = not self.several_machines
        overhead_s = self.slots * self.fan_out_s - self.session_jobs_s
        has_overhead = one_machine and self.session_jobs and not self.is_shared
        return Cost(
            wall_s=time.monotonic() - self.started,
            busy_share=_busy_share(self.cpu) if one_machine else None,
            overhead_s_per_job=overhead_s / self.session_jobs if has_overhead else None,
            peak_memory_gb=self.peak_memory / 1e9 if one_machine else None,
            lines=tuple(self.lines.values()),
            session_jobs=self.session_jobs,
        )


def _busy_share(before) -> float:
    """Share of the cores' time since `before` that was not idle."""
    now = psutil.cpu_times()
    spent = {name: getattr(now, name) - getattr(before, name) for name in before._fields}
    # Linux counts the time of a virtual machine's guest as user time too.
    total = sum(seconds for name, seconds in spent.items() if not name.startswith("guest"))
    return 1 - (spent["idle"] + spent.get("iowait", 0.0)) / total if total else 0.0
