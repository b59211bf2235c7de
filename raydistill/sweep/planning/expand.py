"""From a sweep file to its jobs: every question to every session and seed, named by what determines the answer.

A job's key is the sha256 of its specification, and the specification holds everything that changes its answer:
the same question asked by two sweeps is one job.
"""

from collections.abc import Iterable
from dataclasses import asdict

from raydistill.config.fingerprint import FORMAT_VERSION, canonical, fingerprint
from raydistill.errors import ConfigError, suggest
from raydistill.evaluation.baselines import BASELINES
from raydistill.papers.table import PAPER_OF_GROUP
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.job import JobConfig
from raydistill.sweep.config.sweep import MethodConfig, SessionGroup, SweepConfig
from raydistill.sweep.planning.job import Job


def expand(sweep: SweepConfig, entries: list[Entry]) -> list[Job]:
    """Every job of the sweep, in an order in which each comes after those it starts from."""
    groups = {name: select(sweep, name, entries) for name in _used_groups(sweep)}
    methods = {d.job: m for m in sweep.methods for d in sweep.decoders(m) if d.is_training}
    made: dict[tuple, Job] = {}
    for name, config in sweep.sources_first():
        for key, job in _instances(sweep, name, config, methods.get(name), groups, made):
            made[key] = job
    jobs = [*made.values(), *_evaluations(sweep, made, groups, {e.session: e for e in entries})]
    decoded = {job.session for job in jobs if job.method}
    jobs += [job for e in entries if e.session in decoded for job in _baselines(sweep, e)]
    return list({job.key: job for job in jobs}.values())


def _used_groups(sweep) -> set[str]:
    used = {job.on or job.each for job in sweep.jobs.values()} | {sweep.answer(figure).on for figure in sweep.answers}
    return used | {d.each for m in sweep.methods for d in sweep.decoders(m) if d.each}


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
    paper = PAPER_OF_GROUP[name]
    if mismatches := paper.count_mismatches(entries):
        raise ConfigError(
            f"{sweep_name}: the store holds the whole corpus of the {paper.name} paper, but {'; '.join(mismatches)}; "
            "see `raydistill sessions`"
        )
    return paper.select(name, entries)


def _has(entry, modality):
    return bool(entry.n_units if modality == "spikes" else entry.n_channels)


def _instances(sweep, name, config: JobConfig, method, groups, made):
    """((name, session, seed), Job) of one line of `jobs`: one pretraining, or one job a session and seed."""
    sessions = groups[config.on or config.each]
    modalities = {sweep.modality_of(job) for job in (name, config.distill) if job}
    needed = {one for m in modalities for one in (("spikes", "lfp") if m == "multimodal" else (m,))}
    _need(sweep, name, sessions, *sorted(needed))
    recipe, engine = _recipe(sweep, name), asdict(sweep.engine_of(config))
    if config.is_pretraining:
        own, start = _own(sweep, name, sessions, config.seed, made)
        title = f"{name}/seed{config.seed}"
        yield (name, None, None), _job(config, title, None, None, config.seed, recipe | own, start, engine)
        return
    for entry in sessions:
        for seed in sweep.seeds_of(config):
            own, start = _own(sweep, name, [entry], seed, made)
            own |= {"behavior": _behavior(sweep, entry)}
            title = f"{name}/{entry.session}/seed{seed}"
            yield (name, entry.session, seed), _job(config, title, method, entry, seed, recipe | own, start, engine)


def _made_before(sweep, name, other, session, seed, made) -> str:
    """The key of the job `other` that a job `name` on a session and seed starts from or learns from."""
    place = (other, None, None) if sweep.jobs[other].is_pretraining else (other, session, seed)
    if place not in made:
        raise ConfigError(
            f"{sweep.name}: jobs.{name} runs on session {session} with seed {seed}, but {other} does not; "
            "give both the same sessions and seeds"
        )
    return made[place].key


def _evaluations(sweep, made, groups, known):
    """A job for each session that a method decodes in another way than its model was trained."""
    for method in sweep.methods:
        for decoder in sweep.decoders(method):
            if not decoder.is_training:
                for entry, trained in _decodes(sweep, method, decoder, made, groups, known):
                    yield _evaluation(sweep, method, decoder, entry, trained)


def _decodes(sweep, method, decoder: MethodConfig, made, groups, known):
    """(session to decode, job whose model decodes it)."""
    trained = {(session, seed): job for (name, session, seed), job in made.items() if name == decoder.job}
    if decoder.each is None:
        return [(known[session], job) for (session, _), job in trained.items()]
    entries = groups[decoder.each]
    if decoder.as_ is None:
        pretrained = trained[None, None]
        for entry in entries:
            if entry.session not in pretrained.spec["sessions"]:
                raise ConfigError(
                    f"{sweep.name}: methods.{method}: {decoder.job} has not seen session {entry.session}; decode "
                    "sessions that it was trained on, or finetune it"
                )
        return [(entry, pretrained) for entry in entries]
    sources = [job for (session, _), job in trained.items() if session == decoder.as_]
    if not sources:
        raise ConfigError(
            f"{sweep.name}: methods.{method}: {decoder.job} is not trained on session {decoder.as_}"
            f"{suggest(decoder.as_, {session for session, _ in trained})}"
        )
    if sources[0].spec["modality"] != "spikes":
        _same_array(f"{sweep.name}: methods.{method}", known[decoder.as_], entries)
    return [(entry, job) for entry in entries for job in sources]


def _same_array(at, source, entries):
    """A channel stands for a place on the array, and a frozen model knows it by its number."""
    for entry in entries:
        if entry.n_channels != source.n_channels:
            raise ConfigError(
                f"{at}: session {entry.session} has {entry.n_channels} channels, but {source.session}, whose model is "
                f"to decode it, {source.n_channels}; leave it out, or ingest both with the same (`drop_channels`)"
            )


def _evaluation(sweep, method, decoder: MethodConfig, entry, trained: Job) -> Job:
    modality, seed = trained.spec["modality"], None if trained.is_pretraining else trained.seed
    spec = {
        "format": FORMAT_VERSION,
        "kind": "evaluate",
        "trained": trained.key,
        "spikes_as": decoder.spikes_as if decoder.inputs else "recorded",
        "sessions": {entry.session: entry.content},
        "behavior": _behavior(sweep, entry),
        "seed": trained.spec["seed"],
    }
    if decoder.as_:
        spec["as"] = decoder.as_
    needed = ("spikes", "lfp") if modality == "multimodal" else (modality,)
    _need(sweep, decoder.job, [entry], *needed)
    return Job(
        key=fingerprint(spec),
        name=f"{method}/{entry.session}{'' if seed is None else f'/seed{seed}'}",
        kind="evaluate",
        method=method,
        session=entry.session,
        subject=entry.subject,
        seed=seed,
        spec=spec,
        depends_on=(trained.key,),
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


def _recipe(sweep, name) -> dict:
    """What all jobs of one line have in common of everything that changes their answer, and nothing else."""
    config, modality, value = sweep.jobs[name], sweep.modality_of(name), sweep.embedding_of(name)
    model, training = asdict(sweep.model_of(config)), asdict(sweep.training_of(config))
    unused = _unused(config, modality, value, model["backbone"])
    recipe = {
        "format": FORMAT_VERSION,
        "kind": config.kind,
        "modality": modality,
        "value": value,
        "supervision": config.supervision,
        "model": {k: v for k, v in model.items() if k not in unused},
        "training": {k: v for k, v in training.items() if k not in unused},
    }
    if config.unfreeze_epoch is not None:
        recipe["unfreeze_epoch"] = config.unfreeze_epoch
    return canonical(recipe)


def _own(sweep, name, entries, seed, made) -> tuple[dict, tuple[str, ...]]:
    """What changes the answer of one job besides, and the keys of the jobs that it starts from."""
    config = sweep.jobs[name]
    weights = config.source and _made_before(sweep, name, config.source, entries[0].session, seed, made)
    teachers = {
        e.session: _made_before(sweep, name, config.distill, e.session, seed, made) for e in entries if config.distill
    }
    sessions = {e.session: e.content for e in entries}
    own = {"sessions": sessions, "seed": seed, "weights": weights, "teachers": teachers}
    return own, tuple(dict.fromkeys(key for key in (weights, *teachers.values()) if key))


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


def _job(config, name, method, entry, seed, spec, start, engine):
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
        engine=engine,
    )


def _baselines(sweep, entry):
    for name in sweep.baselines:
        if BASELINES[name].suits(entry):
            spec = {"format": FORMAT_VERSION, "kind": "baseline", "baseline": name}
            spec |= {"sessions": {entry.session: entry.content}, "behavior": _behavior(sweep, entry)}
            yield Job(
                key=fingerprint(spec),
                name=f"{name}/{entry.session}",
                kind="baseline",
                method=BASELINES[name].title,
                session=entry.session,
                subject=entry.subject,
                seed=None,
                spec=spec,
            )
