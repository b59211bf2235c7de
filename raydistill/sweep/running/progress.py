"""The progress of a sweep on stderr: a live table on a terminal, otherwise one line per job that ends."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raydistill.cluster import cores
from raydistill.cluster.terminal import reserved
from raydistill.errors import counted
from raydistill.evaluation.measure import measure_of
from raydistill.sweep.answering.cost import duration
from raydistill.sweep.planning.job import DONE, Job
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder

LOG = "ray.log"
"""The file of the runs folder that gets what Ray and other libraries write to stderr."""
PRIOR_WEIGHT = 0.2
"""Weight of the estimate made before the run, as a share of the whole work, relative to the measured pace."""


class SweepProgress:
    """Counts jobs by the line of the sweep file that they come from. Use it as a context manager.

    Args:
        clock: returns seconds.
        at_once: number of single-core jobs that run at the same time; None for one per core.
    """

    def __init__(
        self,
        runs: RunsFolder,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        at_once: int | None = None,
    ):
        self.runs, self.clock, self.at_once = runs, clock, at_once or cores()
        self.own_terminal = console is None
        self.console = console or Console(stderr=True)
        self.current_stage = ""
        self.total: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.current: Job | None = None
        """The pretraining that is running, the last one to start if there are several."""
        self.started, self.left = clock(), 0
        self.estimates: dict[str, float] = {}
        """Key -> estimated seconds, of the jobs to run."""
        self.estimated_s, self.ended_s = 0.0, 0.0
        """Sum of the estimates: of all jobs to run, and of those that have ended."""
        self.live = Live(
            get_renderable=self._table,
            console=self.console,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self.open = contextlib.ExitStack()

    def __enter__(self) -> "SweepProgress":
        with self.open as entered:
            if self.own_terminal:
                self.console.file = entered.enter_context(reserved(self.runs.path / LOG))
            if self.console.is_terminal:
                entered.enter_context(self.live)
            self.open = entered.pop_all()
        return self

    def __exit__(self, *_) -> None:
        self.open.close()
        if self.own_terminal:
            self.console = Console(stderr=True)

    def stage(self, text: str) -> None:
        """Show what the sweep is doing now; on a terminal, the next stage replaces it."""
        self.current_stage = text
        if not self.console.is_terminal:
            self.line(text)

    def line(self, text: str) -> None:
        """Print a line that stays on the terminal; if the terminal is closed, the run goes on without it."""
        with contextlib.suppress(OSError):
            self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def plan(self, plan: Plan) -> None:
        """Show the number of jobs to run and the expected time, and start counting."""
        for planned in plan.planned:
            self.total[planned.job.line] += 1
            self.done[planned.job.line] += planned.state == DONE
        self.left = len(plan.todo)
        self.estimates = {p.job.key: p.estimated_s for p in plan.todo}
        self.estimated_s, self.ended_s = sum(self.estimates.values()), 0.0
        n = len(plan.planned)
        self.stage(
            f"{counted(n, 'job')}: {n - self.left} done, {self.left} to run"
            + (f", about {_core_time(self.estimated_s)}" if self.left else "")
        )
        self.started = self.clock()

    def start(self, job: Job) -> None:
        """Show that a pretraining starts; its epochs are read from its history."""
        self.current = job
        fewest, most = job.workers
        workers = f"{most}" if fewest == most else f"{fewest} to {most}"
        self.stage(f"{job.name}: training on {workers} worker{'s' if most > 1 else ''}")

    def succeed(self, job: Job, metrics: dict) -> None:
        """Show that a job is done. `metrics`: the content of its metrics.json."""
        self._count(self.done, job)
        measure = measure_of(job.spec.label)
        score = f"{measure.symbol} {metrics[measure.key]: .3f}  " if measure.key in metrics else ""
        if not self.console.is_terminal:
            self._line_with_eta(f"done    {job.name:<32} {score}{metrics['seconds']:.1f} s")

    def fail(self, job: Job, cause: str, advice: str = "") -> None:
        """Show that a job failed, its cause, and a line of advice."""
        self._count(self.failed, job)
        self._line_with_eta(f"failed  {job.name:<32} {cause}")
        if advice:
            self.line(f"        {advice}")

    def _count(self, counter: Counter[str], job: Job) -> None:
        counter[job.line] += 1
        self.ended_s += self.estimates.get(job.key, 0.0)
        self.left -= 1
        if self.current and self.current.key == job.key:
            self.current = None

    def _line_with_eta(self, text: str) -> None:
        self.line(text + (f"  ({self.left} left{self._eta()})" if self.left else ""))

    def _eta(self) -> str:
        if not self.ended_s:
            return ""
        # The measured pace of the first jobs is unreliable, because they wait for Ray to start. Therefore a part of
        # the estimate counts as if it had been measured.
        prior_s = PRIOR_WEIGHT * self.estimated_s
        pace = (self.clock() - self.started + prior_s / self.at_once) / (self.ended_s + prior_s)
        return f", {duration(pace * (self.estimated_s - self.ended_s))}"

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for column in ("job", "done", "failed", "of"):
            table.add_column(column, justify="left" if column == "job" else "right")
        for line, total in self.total.items():
            table.add_row(line, str(self.done[line]), str(self.failed[line]), str(total))
        return Group(Text(f"{self.current_stage}{self._epoch()}"), table, Text(f"{self.left} left{self._eta()}"))

    def _epoch(self) -> str:
        if self.current is None:
            return ""
        history = self.runs.job_folder(self.current.key) / "history.jsonl"
        return f", epoch {len(history.read_text().splitlines())}" if history.exists() else ""


def _core_time(seconds: float) -> str:
    """Seconds of one core, in words."""
    if seconds < 60:
        return f"{seconds:.0f} core-seconds"
    return f"{seconds / 60:.0f} core-minutes" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} core-hours"
