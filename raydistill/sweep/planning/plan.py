"""Planning: configuration and store catalogue in, jobs out, each with its state. Starts nothing."""

import dataclasses
import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from raydistill.errors import ConfigError, suggest
from raydistill.papers.table import PAPER_OF_GROUP
from raydistill.papers.targets import WHOLE, Panel
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.sweep import SweepConfig, pairs
from raydistill.sweep.planning.estimate import known_rates, pace, work
from raydistill.sweep.planning.expand import expand, select
from raydistill.sweep.planning.job import DONE, MISSING, STATES, Job, parameters
from raydistill.sweep.planning.runs_folder import changed_source, job_state, last_keys


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job and how it stands."""

    job: Job
    state: str
    reason: str
    estimated_s: float
    work: float
    """What the estimate is made from."""
    parameters: int | None = None
    """Of the model that it trains."""


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, sources before what starts from them."""

    protocol: str
    planned: tuple[Planned, ...] = field(default_factory=tuple)
    notes: tuple[str, ...] = ()
    """What a reader of the results should know, such as sessions of the paper that are not there."""
    panels: tuple[Panel, ...] = (WHOLE,)

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
    before, rates = last_keys(runs, sweep.name), known_rates(runs)
    planned, todo = [], set()
    names = {job.key: job.name for job in jobs}
    for job in jobs:
        state, reason = job_state(runs, job, before.get(job.name))
        if state == DONE and (again := next((key for key in job.depends_on if key in todo), None)):
            state, reason = MISSING, f"{names[again]} is made again; kept if that comes out the same"
        elif state == DONE and (changed := changed_source(runs, job)):
            state, reason = MISSING, f"{names[changed]} has come out differently"
        if state != DONE:
            todo.add(job.key)
        size = parameters(job, [known[s] for s in job.spec["sessions"]]) if "model" in job.spec else None
        needs = work(job, sizes)
        seconds = round(needs * pace(job, rates), 1)
        made = Planned(job=job, state=state, reason=reason, estimated_s=seconds, work=needs, parameters=size)
        planned.append(made)
    read = {job.session for job in jobs}
    protocols = sorted({e.protocol for e in entries if e.session in read})
    return Plan(" and ".join(protocols), tuple(planned), _missing_of_paper(sweep, entries), _panels(sweep, entries))


@dataclass(frozen=True)
class Choice:
    """Part of a sweep: what is needed for some methods, on some sessions."""

    methods: tuple[str, ...] = ()
    """None: all."""
    sessions: str = "*"
    """Pattern of session names, such as MonkeyI_*."""


EVERYTHING = Choice()


def narrow(whole: Plan, choice: Choice) -> Plan:
    """The jobs of a choice, and those that they start from.

    Raises:
        ConfigError: there is no such method, or no session of that pattern.
    """
    known = {p.job.method for p in whole.planned if p.job.method}
    for method in choice.methods:
        if method not in known:
            raise ConfigError(f'--only: there is no method "{method}"{suggest(method, known)}')
    chosen = [
        p.job
        for p in whole.planned
        if p.job.session
        and (not choice.methods or p.job.method in choice.methods)
        and fnmatch.fnmatchcase(p.job.session, choice.sessions)
    ]
    if not chosen:
        known = {p.job.session for p in whole.planned if p.job.session}
        raise ConfigError(f'--sessions: none is called "{choice.sessions}"{suggest(choice.sessions, known)}')
    return closure(whole, [job.key for job in chosen])


def together(plans: list[Plan]) -> Plan:
    """The jobs of several sweeps, those that they share once."""
    if len(plans) == 1:
        return plans[0]
    jobs = {p.job.key: p for each in plans for p in each.planned}
    return Plan(
        protocol=" and ".join(dict.fromkeys(each.protocol for each in plans)),
        planned=tuple(jobs.values()),
        notes=tuple(dict.fromkeys(note for each in plans for note in each.notes)),
    )


def closure(whole: Plan, keys: Iterable[str]) -> Plan:
    """These jobs, and all that they start from."""
    jobs, needed, waiting = {p.job.key: p.job for p in whole.planned}, set(), list(keys)
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting += jobs[key].depends_on
    return dataclasses.replace(whole, planned=tuple(p for p in whole.planned if p.job.key in needed))


def _panels(sweep, entries):
    """What the figures show that the sweep names; where it names none, all of it."""
    if not sweep.answers:
        return (Panel(pairs=tuple(pairs(sweep.compare))),)
    made = []
    for figure in sweep.answers:
        answer = sweep.answer(figure)
        shown = frozenset(e.session for e in select(sweep, answer.on, entries))
        compared = tuple(pairs(answer.compare))
        made.append(Panel(paper=sweep.paper, figure=figure, sessions=shown, pairs=compared, called=answer.called))
    return tuple(made)


def _missing_of_paper(sweep, entries):
    """A line for each group of the paper that the store does not hold as a whole."""
    named = {name: group.named for name, group in sweep.sessions.items() if group.named}
    counts = {group: len(PAPER_OF_GROUP[group].select(group, entries)) for group in named.values()}
    sizes = {group: PAPER_OF_GROUP[group].groups[group] for group in counts}
    return tuple(
        f"sessions.{name}: the store holds {counts[group]} of the {sizes[group]} sessions of {group}"
        for name, group in named.items()
        if counts[group] < sizes[group]
    )


def lines(plan: Plan) -> list[str]:
    """A line a job, then the counts and the time that the missing ones will take."""
    width = max((len(p.job.name) for p in plan.planned), default=0)
    made = [f"{'job':<{width}}  {'state':<7}  {'key':<12}  reason"]
    made += [f"{p.job.name:<{width}}  {p.state:<7}  {p.job.key[:12]}  {p.reason}".rstrip() for p in plan.planned]
    counts = ", ".join(f"{n} {state}" for state, n in plan.to_json()["counts"].items() if n)
    seconds = sum(p.estimated_s for p in plan.todo)
    made += plan.notes
    return [*made, f"{len(plan.planned)} jobs: {counts}; about {seconds:.0f} core-seconds to run"]
