"""What a running sweep tells: one live table on a terminal, a line a finished job otherwise; always on stderr."""

import time
from collections import Counter

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raydistill.cluster import cores
from raydistill.sweep.answering.cost import duration
from raydistill.sweep.planning.job import DONE
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder

TRUST = 0.2
"""How much the estimate made before counts, as a share of the whole work, beside what was seen since."""


class Progress:
    """Counts jobs by the line of the sweep file that they come from. Use as a context."""

    def __init__(
        self, runs: RunsFolder, console: Console | None = None, clock=time.monotonic, at_once: int | None = None
    ):
        """`at_once`: jobs of one core that run side by side; None: one a core."""
        self.runs, self.clock, self.at_once = runs, clock, at_once or cores()
        self.console = console or Console(stderr=True)
        self.stage = ""
        self.total, self.done, self.failed = Counter(), Counter(), Counter()
        self.current: tuple[str, str] | None = None
        self.started, self.left = clock(), 0
        self.estimates: dict[str, float] = {}
        """Key -> seconds, as thought before, of the jobs that are to run."""
        self.estimated, self.passed = 0.0, 0.0
        """Seconds, as thought before: of all of them, and of those that have ended."""
        self.live = Live(get_renderable=self._table, console=self.console, refresh_per_second=2, transient=True)

    def __enter__(self):
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_):
        if self.console.is_terminal:
            self.live.stop()

    def say(self, stage: str) -> None:
        """What is being done now, besides jobs."""
        self.stage = stage
        if not self.console.is_terminal:
            self.console.print(stage, highlight=False, markup=False, soft_wrap=True)

    def tell(self, text: str) -> None:
        """Something that came out besides jobs, and stays on a terminal."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def plan(self, plan: Plan) -> None:
        for planned in plan.planned:
            self.total[planned.job.line] += 1
            self.done[planned.job.line] += planned.state == DONE
        self.left = len(plan.todo)
        self.estimates = {p.job.key: p.estimated_s for p in plan.todo}
        self.estimated, self.passed = sum(self.estimates.values()), 0.0
        self.say(
            f"{len(plan.planned)} jobs: {len(plan.planned) - self.left} done, {self.left} to run"
            + (f", about {duration(self.estimated)} of one core" if self.left else "")
        )
        self.started = self.clock()

    def start(self, job) -> None:
        """A pretraining begins; its epochs are shown from its history."""
        self.current = (job.name, job.key)
        fewest, most = job.workers
        several = "" if fewest == most else f"{fewest} to "
        self.say(f"{job.name}: training on {several}{most} worker{'s' if most > 1 else ''}")

    def succeed(self, job, metrics) -> None:
        """`metrics`: what its folder says."""
        self._count(self.done, job)
        r2 = f"R² {metrics['r2']:+.3f}  " if "r2" in metrics else ""
        self._print(f"done    {job.name:<32} {r2}{metrics['seconds']:.1f} s")

    def fail(self, job, cause: str, advice: str = "") -> None:
        self._count(self.failed, job)
        self._print(f"failed  {job.name:<32} {cause}", on_terminal=True)
        if advice:
            self.tell(f"        {advice}")

    def _count(self, counter, job):
        counter[job.line] += 1
        self.passed += self.estimates.get(job.key, 0.0)
        self.left, self.current = self.left - 1, None

    def _print(self, text, on_terminal=False):
        if on_terminal or not self.console.is_terminal:
            eta = f"  ({self.left} left{self._eta()})" if self.left else ""
            self.console.print(text + eta, highlight=False, markup=False, soft_wrap=True)

    def _eta(self):
        if not self.passed:
            return ""
        # As much slower or faster as it went so far, which says little at first: the first job waits for Ray to start.
        believed = TRUST * self.estimated
        pace = (self.clock() - self.started + believed / self.at_once) / (self.passed + believed)
        return f", {duration(pace * (self.estimated - self.passed))}"

    def _table(self):
        table = Table(box=None, pad_edge=False)
        for column in ("job", "done", "failed", "of"):
            table.add_column(column, justify="left" if column == "job" else "right")
        for line, total in self.total.items():
            table.add_row(line, str(self.done[line]), str(self.failed[line]), str(total))
        return Group(Text(f"{self.stage}{self._epoch()}"), table, Text(f"{self.left} left{self._eta()}"))

    def _epoch(self):
        if self.current is None:
            return ""
        history = self.runs.job_folder(self.current[1]) / "history.jsonl"
        return f", epoch {len(history.read_text().splitlines())}" if history.exists() else ""
