"""From a sweep file to its jobs: every question to every session and seed, named by what determines the answer.

A job's key is the sha256 of its specification, and the specification holds everything that changes its answer:
the same question asked by two sweeps is one job.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict

from raydistill.config.fingerprint import FORMAT_VERSION, canonical, fingerprint
from raydistill.config.paper import counts_off, paper_group
from raydistill.config.sweep import JobConfig, SessionGroup, SweepConfig
from raydistill.errors import ConfigError, suggest
from raydistill.store.catalogue import Entry
from raydistill.sweep.job import Job

BASELINE_NAMES = {"ridge_on_spikes": "Ridge on spikes", "ridge_on_lfp": "Ridge on LFP", "clock": "Clock"}


def expand(sweep: SweepConfig, entries: list[Entry]) -> list[Job]:
    """Every job of the sweep, in an order in which each comes after those it starts from."""
    groups = {name: select(sweep, name, entries) for name in sweep.sessions}
    methods = {sweep.method(m).job: m for m in sweep.methods if sweep.method(m).inputs is None}
    made: dict[tuple, Job] = {}
    for name, config in sweep.jobs.items():
        for key, job in _instances(sweep, name, config, methods.get(name), groups, made):
            made[key] = job
    decoded = {e.session: e for m in sweep.methods for e in groups[sweep.jobs[sweep.method(m).job].each]}
    jobs = [*made.values(), *_evaluations(sweep, made)]
    jobs += [j for e in decoded.values() for j in _baselines(sweep, e)]
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


def _paper_group(sweep_name, name, entries):
    if off := counts_off(entries):
        raise ConfigError(f"{sweep_name}: the store holds the paper's corpus, but {'; '.join(off)}; see `sessions`")
    return paper_group(name, entries)


def _has(entry, modality):
    return bool(entry.n_units if modality == "spikes" else entry.n_channels)


def _instances(sweep, name, config: JobConfig, method, groups, made):
    """((name, session, seed), Job) of one line of `jobs`: one pretraining, or one job a session and seed."""
    sessions = groups[config.on or config.each]
    modalities = {sweep.modality_of(job) for job in (name, config.distill) if job}
    needed = {one for m in modalities for one in (("spikes", "lfp") if m == "multimodal" else (m,))}
    _need(sweep, name, sessions, *sorted(needed))
    if config.is_pretraining:
        spec, start = _spec(sweep, name, sessions, config.seed, made)
        yield (name, None, None), _job(sweep, config, f"{name}/seed{config.seed}", None, None, config.seed, spec, start)
        return
    for entry in sessions:
        for seed in sweep.seeds:
            spec, start = _spec(sweep, name, [entry], seed, made)
            spec |= {"behavior": _behavior(sweep, entry)}
            title = f"{name}/{entry.session}/seed{seed}"
            yield (name, entry.session, seed), _job(sweep, config, title, method, entry, seed, spec, start)


def _made_before(sweep, name, other, session, seed, made) -> str:
    """The key of the job `other` that a job `name` on a session and seed starts from or learns from."""
    place = (other, None, None) if sweep.jobs[other].is_pretraining else (other, session, seed)
    if place not in made:
        raise ConfigError(
            f"{sweep.name}: jobs.{name} runs on session {session} with seed {seed}, but {other} does not; "
            "give both the same sessions"
        )
    return made[place].key


def _evaluations(sweep, made):
    """A job for each model that a method decodes in another way than it was trained."""
    for method in sweep.methods:
        config = sweep.method(method)
        if config.inputs is None:
            continue
        for (name, session, seed), job in list(made.items()):
            if name == config.job:
                spec = {"format": FORMAT_VERSION, "kind": "evaluate", "trained": job.key, "spikes_as": config.spikes_as}
                spec |= {part: job.spec[part] for part in ("sessions", "behavior", "seed")}
                yield dataclasses.replace(
                    job,
                    key=fingerprint(spec),
                    name=f"{method}/{session}/seed{seed}",
                    kind="evaluate",
                    method=method,
                    spec=spec,
                    depends_on=(job.key,),
                )


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


def _spec(sweep, name, entries, seed, made):
    """Everything that changes the answer of a job, and nothing else; and the keys of the jobs that it starts from."""
    config, modality, value = sweep.jobs[name], sweep.modality_of(name), sweep.embedding_of(name)
    model, training = asdict(sweep.model_of(config)), asdict(sweep.training_of(config))
    unused = _unused(config, modality, value, model["backbone"])
    weights = config.source and _made_before(sweep, name, config.source, entries[0].session, seed, made)
    teachers = {
        e.session: _made_before(sweep, name, config.distill, e.session, seed, made) for e in entries if config.distill
    }
    spec = {
        "format": FORMAT_VERSION,
        "kind": config.kind,
        "modality": modality,
        "value": value,
        "supervision": config.supervision,
        "sessions": {e.session: e.content for e in entries},
        "model": {k: v for k, v in model.items() if k not in unused},
        "training": {k: v for k, v in training.items() if k not in unused},
        "seed": seed,
        "weights": weights,
        "teachers": teachers,
    }
    if config.unfreeze_epoch is not None:
        spec["unfreeze_epoch"] = config.unfreeze_epoch
    return canonical(spec), tuple(dict.fromkeys(key for key in (weights, *teachers.values()) if key))


def _unused(config: JobConfig, modality, value, backbone) -> set[str]:
    """Settings that such a job does not look at."""
    unused = {"spikes": {"lfp_patch"}, "lfp": {"spikes_patch"}}.get(modality, set())
    unused |= {"multimodal"} if modality != "multimodal" else set()
    unused |= {"max_count"} if modality != "spikes" else set()
    unused |= {"conv_kernel", "conv_dilation", "conv_axis"} if value != "conv" else set()
    unused |= {"heads"} if backbone != "transformer" else set()
    if config.distill or config.supervision == "full":
        unused |= {"mask_ratio", "predictor_width", "predictor_layers", "predictor_heads"}
    if not config.distill:
        unused |= {"alignment"}
    return unused


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
        workers=config.worker_range,
        engine=asdict(sweep.engine_of(config)),
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
