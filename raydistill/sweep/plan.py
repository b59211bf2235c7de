"""Planning: configuration and store catalogue in, jobs out. Pure but for a look at which job folders are whole.

A job's key is the sha256 of its specification, and the specification holds everything that changes its answer:
the same question asked by two sweeps is one job.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from raydistill.config.fingerprint import FORMAT_VERSION, canonical, fingerprint
from raydistill.config.paper import GROUPS, counts_off, paper_group
from raydistill.config.sweep import JobConfig, SessionGroup, SweepConfig
from raydistill.errors import ConfigError, suggest
from raydistill.store.catalogue import Entry
from raydistill.sweep.folders import job_state, last_keys
from raydistill.sweep.job import DONE, STATES, Job

BASELINE_NAMES = {"ridge_on_spikes": "Ridge on spikes", "ridge_on_lfp": "Ridge on LFP", "clock": "Clock"}
ASSUMED_FLOPS_PER_S = 2e10  # of one CPU core on small matrices, for estimates before anything was measured


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job and how it stands."""

    job: Job
    state: str
    reason: str
    estimated_s: float


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, sources before what starts from them."""

    protocol: str
    planned: tuple[Planned, ...] = field(default_factory=tuple)
    notes: tuple[str, ...] = ()
    """What a reader of the results should know, such as sessions of the paper that are not there."""

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
            for p in self.planned
        ]
        return {"jobs": jobs, "counts": {s: sum(p.state == s for p in self.planned) for s in STATES}}


def plan(sweep: SweepConfig, entries: list[Entry], runs: Path) -> Plan:
    """The jobs that answer the sweep over these sessions, and which of them the runs folder already holds."""
    jobs = expand(sweep, entries)
    sizes = {e.session: e.n_bins for e in entries}
    before = last_keys(runs, sweep.name)
    planned = []
    for job in jobs:
        state, reason = job_state(runs, job, before.get(job.name))
        planned.append(Planned(job=job, state=state, reason=reason, estimated_s=_estimate(job, sizes)))
    protocols = sorted({e.protocol for e in entries if any(j.session == e.session for j in jobs)})
    return Plan(" and ".join(protocols), tuple(planned), _missing_of_paper(sweep, entries))


def expand(sweep: SweepConfig, entries: list[Entry]) -> list[Job]:
    """Every job of the sweep, in an order in which each comes after those it starts from."""
    groups = {name: select(sweep, name, entries) for name in sweep.sessions}
    methods = {job: method for method, job in sweep.methods.items()}
    made: dict[tuple, Job] = {}
    for name, config in sweep.jobs.items():
        for key, job in _instances(sweep, name, config, methods.get(name), groups, made):
            made[key] = job
    decoded = {e.session: e for name in methods for e in groups[sweep.jobs[name].each]}
    jobs = list(made.values()) + [j for e in decoded.values() for j in _baselines(sweep, e)]
    return list({job.key: job for job in jobs}.values())


def select(sweep: SweepConfig, name: str, entries: Iterable[Entry]) -> list[Entry]:
    """The sessions of a group, by name. Raises ConfigError for an unknown name or an empty group."""
    group: SessionGroup = sweep.sessions[name]
    known = {e.session: e for e in entries}
    for session in group.names:
        if session not in known:
            at = ("sessions", name, "names")
            raise ConfigError(
                f'{sweep.name}: {".".join(at)}: the store has no session "{session}"{suggest(session, known)}'
            )
    named = set(_paper_group(sweep.name, group.named, known.values())) if group.named else None
    excluded = {e.session for e in select(sweep, group.except_, known.values())} if group.except_ else set()
    chosen = [
        e
        for e in sorted(known.values(), key=lambda e: e.session)
        if e.session not in excluded
        and (named is None or e.session in named)
        and (not group.names or e.session in group.names)
        and (not group.subjects or e.subject in group.subjects)
        and (not group.datasets or e.dataset in group.datasets)
        and (group.modality is None or _has(e, group.modality))
    ]
    if not chosen:
        raise ConfigError(
            f"{sweep.name}: sessions.{name} matches none of the store's {len(known)} sessions; "
            "see `raydistill sessions --store DIR`"
        )
    return chosen


def _missing_of_paper(sweep, entries):
    """A line for each group of the paper that the store does not hold as a whole."""
    named = {name: group.named for name, group in sweep.sessions.items() if group.named}
    counts = {group: len(paper_group(group, entries)) for group in named.values()}
    return tuple(
        f"sessions.{name}: the store holds {counts[group]} of the {GROUPS[group]} sessions of {group}"
        for name, group in named.items()
        if counts[group] < GROUPS[group]
    )


def _paper_group(sweep_name, name, entries):
    if off := counts_off(entries):
        raise ConfigError(f"{sweep_name}: the store holds the paper's corpus, but {'; '.join(off)}; see `sessions`")
    return paper_group(name, entries)


def _has(entry, modality):
    return bool(entry.n_units if modality == "spikes" else entry.n_channels)


def _instances(sweep, name, config: JobConfig, method, groups, made):
    """((name, session, seed), Job) of one line of `jobs`: one pretraining, or one job a session and seed."""
    if config.pretrain:
        sessions = groups[config.on]
        _need(sweep, name, sessions, config.pretrain)
        spec = _spec(sweep, name, sessions, config.seed, ())
        job = _job(sweep, config, f"{name}/seed{config.seed}", None, None, config.seed, spec, ())
        yield (name, None, None), job
        return
    source = sweep.jobs[config.source] if config.source else None
    needed = {sweep.modality_of(job) for job in (name, config.source) if job}
    for entry in groups[config.each]:
        _need(sweep, name, [entry], *sorted(needed))
        for seed in sweep.seeds:
            start = ()
            if source:
                key = (config.source, None, None) if source.pretrain else (config.source, entry.session, seed)
                if key not in made:
                    raise ConfigError(
                        f"{sweep.name}: jobs.{name} runs on session {entry.session}, but {config.source} does not; "
                        "give both the same `each`"
                    )
                start = (made[key].key,)
            spec = _spec(sweep, name, [entry], seed, start) | {"behavior": _behavior(sweep, entry)}
            title = f"{name}/{entry.session}/seed{seed}"
            yield (name, entry.session, seed), _job(sweep, config, title, method, entry, seed, spec, start)


def _need(sweep, name, entries, *modalities):
    for entry in entries:
        for modality in modalities:
            if not _has(entry, modality):
                raise ConfigError(
                    f"{sweep.name}: jobs.{name} needs {modality}, which session {entry.session} does not have; "
                    f"add `modality: {modality}` to its group"
                )


def _behavior(sweep, entry):
    for column in sweep.behavior:
        if column not in entry.behavior:
            hint = suggest(column, entry.behavior)
            raise ConfigError(f'{sweep.name}: behavior: session {entry.session} has no column "{column}"{hint}')
    return list(sweep.behavior or entry.behavior)


def _spec(sweep, name, entries, seed, start):
    """Everything that changes the answer of a job, and nothing else."""
    config, modality, value = sweep.jobs[name], sweep.modality_of(name), sweep.embedding_of(name)
    model, training = asdict(sweep.model_of(config)), asdict(sweep.training_of(config))
    unused = {"checkpoint_every", "lfp_patch" if modality == "spikes" else "spikes_patch"}
    unused |= set() if value == "count" else {"max_count"}
    unused |= set() if value == "conv" else {"conv_kernel", "conv_dilation"}
    if config.distill:
        unused |= {"mask_ratio", "predictor_width", "predictor_layers", "predictor_heads"}
    else:
        unused |= {"alignment"}
    return canonical(
        {
            "format": FORMAT_VERSION,
            "kind": config.kind,
            "modality": modality,
            "value": value,
            "sessions": {e.session: e.content for e in entries},
            "model": {k: v for k, v in model.items() if k not in unused},
            "training": {k: v for k, v in training.items() if k not in unused},
            "seed": seed,
            "from": list(start),
        }
    )


def _job(sweep, config, name, method, entry, seed, spec, start):
    return Job(
        key=fingerprint(spec),
        name=name,
        kind=config.kind,
        method=method,
        session=entry.session if entry else None,
        subject=entry.subject if entry else None,
        seed=seed,
        spec=spec,
        depends_on=start,
        workers=config.workers,
        checkpoint_every=sweep.training_of(config).checkpoint_every,
    )


def _baselines(sweep, entry):
    fits = {"ridge_on_spikes": entry.n_units, "ridge_on_lfp": entry.n_channels, "clock": entry.aligned}
    for name in sweep.baselines:
        if fits[name]:
            spec = {"format": FORMAT_VERSION, "kind": "baseline", "baseline": name}
            spec |= {"sessions": {entry.session: entry.content}, "behavior": _behavior(sweep, entry)}
            yield Job(
                key=fingerprint(spec),
                name=f"{name}/{entry.session}",
                kind="baseline",
                method=BASELINE_NAMES[name],
                session=entry.session,
                subject=entry.subject,
                seed=None,
                spec=spec,
            )


def _estimate(job, sizes) -> float:
    """Seconds on one core, from the multiplications of the encoder: 6 a weight and token, over all epochs."""
    bins = sum(sizes[name] for name in job.spec["sessions"])
    if job.kind == "baseline":
        return 2.0
    width, layers = job.spec["model"]["width"], job.spec["model"]["layers"]
    weights = layers * (4 + 3 * job.spec["model"]["mlp_ratio"]) * width**2
    return round(6 * weights * bins * job.spec["training"]["epochs"] / ASSUMED_FLOPS_PER_S / job.workers, 1)


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
