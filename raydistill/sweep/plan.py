"""Planning: configuration and store catalogue in, jobs out, each with its state. Starts nothing."""

from dataclasses import dataclass, field
from pathlib import Path

from raydistill.config.paper import GROUPS, paper_group
from raydistill.config.sweep import SweepConfig, pairs
from raydistill.evaluation.panel import Panel
from raydistill.store.catalogue import Entry
from raydistill.sweep.expand import expand, select
from raydistill.sweep.folders import job_state, last_keys
from raydistill.sweep.job import DONE, STATES, Job, parameters

ASSUMED_FLOPS_PER_S = 2e10  # of one CPU core on small matrices, for estimates before anything was measured


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job and how it stands."""

    job: Job
    state: str
    reason: str
    estimated_s: float
    parameters: int | None = None
    """Of the model that it trains."""


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, sources before what starts from them."""

    protocol: str
    planned: tuple[Planned, ...] = field(default_factory=tuple)
    notes: tuple[str, ...] = ()
    """What a reader of the results should know, such as sessions of the paper that are not there."""
    panels: tuple[Panel, ...] = (Panel(),)

    @property
    def jobs(self) -> list[Job]:
        return [p.job for p in self.planned]

    @property
    def todo(self) -> list[Planned]:
        return [p for p in self.planned if p.state != DONE]

    def to_json(self) -> dict:
        """The shape that `plan --json` promises."""
        shown = ("key", "name", "kind", "method", "session", "seed")
        jobs = [
            {name: getattr(p.job, name) for name in shown}
            | {"state": p.state, "reason": p.reason, "depends_on": list(p.job.depends_on), "estimated_s": p.estimated_s}
            | ({} if p.parameters is None else {"parameters": p.parameters})
            for p in self.planned
        ]
        return {"jobs": jobs, "counts": {s: sum(p.state == s for p in self.planned) for s in STATES}}


def plan(sweep: SweepConfig, entries: list[Entry], runs: Path) -> Plan:
    """The jobs that answer the sweep over these sessions, and which of them the runs folder already holds."""
    jobs = expand(sweep, entries)
    sizes, known = {e.session: e.n_bins for e in entries}, {e.session: e for e in entries}
    before = last_keys(runs, sweep.name)
    planned = []
    for job in jobs:
        state, reason = job_state(runs, job, before.get(job.name))
        size = parameters(job, [known[s] for s in job.spec["sessions"]]) if "model" in job.spec else None
        estimate = _estimate(job, sizes)
        planned.append(Planned(job=job, state=state, reason=reason, estimated_s=estimate, parameters=size))
    protocols = sorted({e.protocol for e in entries if any(j.session == e.session for j in jobs)})
    return Plan(" and ".join(protocols), tuple(planned), _missing_of_paper(sweep, entries), _panels(sweep, entries))


def _panels(sweep, entries):
    """What the figures show that the sweep names; where it names none, all of it."""
    if not sweep.answers:
        return (Panel(pairs=tuple(pairs(sweep.compare))),)
    made = []
    for figure in sweep.answers:
        answer = sweep.answer(figure)
        shown = frozenset(e.session for e in select(sweep, answer.on, entries))
        made.append(Panel(figure=figure, sessions=shown, pairs=tuple(pairs(answer.compare)), called=answer.called))
    return tuple(made)


def _missing_of_paper(sweep, entries):
    """A line for each group of the paper that the store does not hold as a whole."""
    named = {name: group.named for name, group in sweep.sessions.items() if group.named}
    counts = {group: len(paper_group(group, entries)) for group in named.values()}
    return tuple(
        f"sessions.{name}: the store holds {counts[group]} of the {GROUPS[group]} sessions of {group}"
        for name, group in named.items()
        if counts[group] < GROUPS[group]
    )


def _estimate(job, sizes) -> float:
    """Seconds on one core, from the multiplications of the encoder: 6 a weight and token, over all epochs."""
    bins = sum(sizes[name] for name in job.spec["sessions"])
    if job.kind in ("baseline", "evaluate"):
        return 2.0
    width, layers = job.spec["model"]["width"], job.spec["model"]["layers"]
    weights = layers * (4 + 3 * job.spec["model"]["mlp_ratio"]) * width**2
    return round(6 * weights * bins * job.spec["training"]["epochs"] / ASSUMED_FLOPS_PER_S / job.workers[1], 1)


def render(plan: Plan, console) -> None:
    """A line a job, then the counts and the time that the missing ones will take."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("job", "state", "key", "reason"):
        table.add_column(column)
    for p in plan.planned:
        table.add_row(p.job.name, p.state, p.job.key[:12], p.reason)
    console.print(table)
    counts = ", ".join(f"{n} {state}" for state, n in plan.to_json()["counts"].items() if n)
    seconds = sum(p.estimated_s for p in plan.todo)
    for note in plan.notes:
        console.print(note)
    console.print(f"{len(plan.planned)} jobs: {counts}; about {seconds:.0f} core-seconds to run")
