"""The plan of a sweep: its jobs, each with its state in the runs folder. Planning starts nothing."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from raydistill.errors import counted
from raydistill.evaluation.equal_settings import EqualSettings
from raydistill.evaluation.tuning import TuningResults
from raydistill.papers.table import PAPER_OF_GROUP, PAPERS
from raydistill.papers.targets import WHOLE, Panel
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.methods import pairs
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.changes import Contents, SessionChanges
from raydistill.sweep.planning.estimate import pace, work
from raydistill.sweep.planning.expand import expand, lacks_validation, select
from raydistill.sweep.planning.job import DONE, MISSING, STATES, Job, parameters
from raydistill.sweep.planning.pieces import notes_on_pieces
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.sizes import notes_on_families, notes_on_sizes

NAMED = 4
"""Sessions that a note names."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job and its state."""

    job: Job
    work: float
    """Amount of work, in the unit of `estimate.work`."""
    parameters: int | None = None
    """Number of parameters of the model that the job trains; None if it trains none."""
    state: str = MISSING
    """One of STATES."""
    reason: str = ""
    """Why the job is in this state; empty for a finished job."""
    estimated_s: float = 0.0
    """Expected run time in seconds."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The jobs of a sweep, each after the jobs that it starts from."""

    sweep: str
    """Name of the sweep."""
    protocol: str
    """Protocol of the splits, such as corrected."""
    planned: tuple[Planned, ...] = ()
    notes: tuple[str, ...] = ()
    """Remarks for readers of the results, such as how many of the paper's sessions the store lacks."""
    panels: tuple[Panel, ...] = (WHOLE,)
    """The figures that the sweep answers, with their sessions and comparisons."""
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Line of `jobs` -> its group of sessions."""
    aligned: frozenset[str] = frozenset()
    """Sessions whose segments are whole trials that begin at the same event."""
    bin_width_ms: float | None = None
    """Of the sessions that are decoded; None if they differ."""
    contents: Contents = dataclasses.field(default_factory=dict)
    """Session -> signal -> sha256, for the words about what has changed."""
    tuning: TuningResults | None = None
    """How the settings of the methods were chosen, if the sweep says `tune`."""
    equal: tuple[EqualSettings, ...] = ()
    """Rows of methods with the settings of those that they are compared with."""
    of_trials: frozenset[str] = frozenset()
    """Keys of the jobs that only trials need, and not the comparison."""

    @property
    def jobs(self) -> list[Job]:
        """The jobs, without their states."""
        return [p.job for p in self.planned]

    @property
    def todo(self) -> list[Planned]:
        """The jobs that are not done."""
        return [p for p in self.planned if p.state != DONE]

    def refreshed(self, runs: RunsFolder) -> "Plan":
        """The same jobs with their present states and estimates.

        A finished job from which another one will start is read to the last byte, because its weights will be used.
        """
        damaged: dict[str, str] = {}
        while True:
            planned = self._with_states(runs, damaged)
            read = {key for p in planned.values() if p.state != DONE for key in p.job.depends_on}
            done = sorted(key for key in read if planned[key].state == DONE)
            found = {key: problem for key in done if (problem := runs.problem_of(key))}
            if not found:
                return dataclasses.replace(self, planned=tuple(planned.values()))
            damaged |= found

    def _with_states(self, runs: RunsFolder, damaged: Mapping[str, str]) -> dict[str, Planned]:
        """Key -> the job with its present state.

        Args:
            damaged: key -> problem of jobs that look finished and are not.
        """
        keys_before, rates = runs.last_keys(self.sweep), runs.rates()
        sessions = SessionChanges.of(
            self.groups,
            (keys_before, [job.name for job in self.jobs]),
            (runs.last_contents(self.sweep), self.contents),
        )
        planned: dict[str, Planned] = {}
        for p in self.planned:
            state, reason = runs.state(p.job, keys_before.get(p.job.name), sessions)
            if p.job.key in damaged:
                state, reason = MISSING, f"{damaged[p.job.key]}; the job will be run again"
            elif state == DONE and (problem := _problem_with_sources(p.job, planned, runs)):
                state, reason = MISSING, problem
            estimated_s = round(p.work * pace(p.job, rates), 1)
            planned[p.job.key] = dataclasses.replace(p, state=state, reason=reason, estimated_s=estimated_s)
        return planned

    def closure(self, keys: Iterable[str]) -> "Plan":
        """The part of the plan with these jobs and all jobs that they start from, directly or not."""
        jobs, needed, waiting = {job.key: job for job in self.jobs}, set(), list(keys)
        while waiting:
            key = waiting.pop()
            if key not in needed:
                needed.add(key)
                waiting += jobs[key].depends_on
        return dataclasses.replace(self, planned=tuple(p for p in self.planned if p.job.key in needed))

    def without_trials(self) -> "Plan":
        """The part of the plan that the comparison of the methods needs."""
        return dataclasses.replace(self, planned=tuple(p for p in self.planned if p.job.key not in self.of_trials))

    def to_json(self) -> dict:
        """The documented shape of `plan --json`."""
        fields = ("key", "name", "kind", "method", "session", "seed")
        jobs = [
            {name: getattr(p.job, name) for name in fields}
            | {"state": p.state, "reason": p.reason, "depends_on": list(p.job.depends_on), "estimated_s": p.estimated_s}
            | ({} if p.parameters is None else {"parameters": p.parameters})
            for p in self.planned
        ]
        tuning = {"tuning": self.tuning.to_json()} if self.tuning else {}
        return {"jobs": jobs, "counts": {s: sum(p.state == s for p in self.planned) for s in STATES}} | tuning


def plan(
    sweep: SweepConfig, entries: list[Entry], runs: RunsFolder, name: str = "", jobs: Sequence[Job] | None = None
) -> Plan:
    """The jobs of a sweep over these sessions, with their states.

    Args:
        name: of a variant of the sweep; by default that of the file.
        jobs: those to plan, each after the jobs that it starts from; by default all of the sweep.

    Raises:
        ConfigError: the sweep does not fit the sessions.
    """
    by_session = {e.session: e for e in entries}
    jobs = expand(sweep, entries) if jobs is None else jobs
    planned = tuple(
        Planned(
            job=job,
            work=work(job, by_session),
            parameters=parameters(job, [by_session[s] for s in job.spec.sessions]) if job.trains else None,
        )
        for job in jobs
    )
    read = {job.session for job in jobs}
    bin_widths = {e.bin_width_ms for e in entries if e.session in read}
    used = {session for job in jobs for session in job.spec.sessions}
    unstated = Plan(
        sweep=name or sweep.name,
        protocol=" and ".join(sorted({e.rules for e in entries if e.session in read})),
        planned=planned,
        notes=(
            *_missing_of_paper(sweep, entries),
            *_without_baselines(jobs, by_session),
            *notes_on_sizes(sweep, jobs),
            *notes_on_families(jobs),
            *notes_on_pieces(sweep, [job.training_spec.training for job in jobs if job.trains]),
        ),
        aligned=frozenset(e.session for e in entries if e.aligned),
        bin_width_ms=bin_widths.pop() if len(bin_widths) == 1 else None,
        panels=_panels(sweep, entries),
        groups={line: config.group for line, config in sweep.jobs.items() if config.group},
        contents={e.session: e.contents for e in entries if e.session in used},
    )
    return unstated.refreshed(runs)


def merged(plans: list[Plan]) -> Plan:
    """The jobs of several sweeps; a job that several of them share appears once."""
    if len(plans) == 1:
        return plans[0]
    planned = {p.job.key: p for plan in plans for p in plan.planned}
    return Plan(
        sweep=" and ".join(plan.sweep for plan in plans),
        protocol=" and ".join(dict.fromkeys(plan.protocol for plan in plans)),
        planned=tuple(planned.values()),
        notes=tuple(dict.fromkeys(note for plan in plans for note in (*_about_trials(plan), *plan.notes))),
    )


def lines(plan: Plan, code: Sequence[str] = ()) -> list[str]:
    """One line per job, then the notes, the counts and the expected time of the jobs to run.

    Args:
        code: lines about the code that made the finished jobs.
    """
    width = max((len(p.job.name) for p in plan.planned), default=0)
    table = [f"{'job':<{width}}  {'state':<7}  {'key':<12}  reason"]
    table += [f"{p.job.name:<{width}}  {p.state:<7}  {p.job.key[:12]}  {p.reason}".rstrip() for p in plan.planned]
    counts = ", ".join(f"{n} {state}" for state, n in plan.to_json()["counts"].items() if n)
    seconds = sum(p.estimated_s for p in plan.todo)
    return [
        *table,
        *_about_trials(plan),
        *plan.notes,
        *code,
        *([f"protocol: {plan.protocol}"] if plan.protocol else []),
        f"{counted(len(plan.planned), 'job')}: {counts}; about {seconds:.0f} core-seconds to run",
    ]


def _about_trials(plan: Plan) -> list[str]:
    """What the trials are, and how many jobs the comparison needs in addition if they choose other settings."""
    if plan.tuning is None:
        return []
    if plan.tuning.settled:
        return plan.tuning.in_words()
    again = [p for p in plan.without_trials().planned if p.job.trains]
    return [
        *plan.tuning.in_words(),
        "the comparison is listed with the settings of the sweep; with those that the trials choose, up to "
        f"{len(again)} jobs more (about {sum(p.estimated_s for p in again):.0f} core-seconds) are run",
    ]


def _problem_with_sources(job: Job, planned: Mapping[str, Planned], runs: RunsFolder) -> str:
    """Why a finished job has to be checked or run again because of the jobs that it started from; or "".

    Args:
        planned: key -> the jobs that come before it, with their present states.
    """
    for key in job.depends_on:
        if planned[key].state != DONE:
            return f"depends on {planned[key].job.name}, which will be rerun; kept if its weights are unchanged"
    changed = runs.changed_source(job)
    return f"{planned[changed].job.name} was rerun and its weights changed" if changed else ""


def _panels(sweep: SweepConfig, entries: list[Entry]) -> tuple[Panel, ...]:
    """The figures that the sweep answers; if it names none, one panel with all of its sessions.

    Similarity of latents is shown in a table of its own, on all sessions of the sweep and without means of R².
    """
    if not sweep.answers:
        return (Panel(pairs=tuple(pairs(sweep.compare))),)
    panels = []
    for figure in sweep.answers:
        answer = sweep.answer(figure)
        names = frozenset(e.session for e in select(sweep, answer.on, entries))
        panels.append(
            Panel(
                paper=sweep.paper,
                figure=figure,
                sessions=names,
                methods=answer.methods,
                pairs=tuple(pairs(answer.compare or ())),
                called=answer.called,
            )
        )
    if sweep.align and (table := PAPERS[sweep.paper].alignment_table):
        aligned = tuple(pairs(sweep.align, "align", sign="~"))
        panels.append(Panel(paper=sweep.paper, figure=table, methods=(), aligned=aligned))
    return tuple(panels)


def _without_baselines(jobs: Sequence[Job], by_session: Mapping[str, Entry]) -> tuple[str, ...]:
    """Which decoded sessions have no baselines, because these choose their settings on the validation fold."""
    decoded = dict.fromkeys(job.session for job in jobs if job.method and job.session)
    without = sorted(session for session in decoded if lacks_validation(by_session[session]))
    if not without:
        return ()
    more = f" and {len(without) - NAMED} more" if len(without) > NAMED else ""
    return (f"no baselines for {', '.join(without[:NAMED])}{more}: no validation fold to choose settings on",)


def _missing_of_paper(sweep: SweepConfig, entries: list[Entry]) -> tuple[str, ...]:
    """One line per group of the paper of which the store lacks sessions."""
    users = defaultdict[str, list[str]](list)  # group of the paper -> groups of the sweep that are a part of it
    for name, group in sweep.sessions.items():
        if group.named:
            users[group.named].append(name)
    firsts = [e for e in entries if e.draw == 1]
    counts = {group: len(PAPER_OF_GROUP[group].select(group, firsts)) for group in users}
    sizes = {group: PAPER_OF_GROUP[group].groups[group] for group in users}
    return tuple(
        f"sessions.{', '.join(names)}: the store holds {counts[group]} of the {sizes[group]} sessions of {group}"
        for group, names in users.items()
        if counts[group] < sizes[group]
    )
