"""From a sweep file to its jobs: every line of `jobs` on every session, draw of the folds, and seed.

A job's key is the sha256 of its specification (spec.py), so sweeps that need the same training share one job.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from raydistill.config.names import draw_name
from raydistill.errors import ConfigError, suggest
from raydistill.evaluation.baselines import BASELINES
from raydistill.models.families import FAMILIES
from raydistill.models.spec import reads_any_session
from raydistill.papers.table import PAPER_OF_GROUP
from raydistill.store.catalogue import Entry
from raydistill.store.table import SIGNALS
from raydistill.sweep.config.groups import SessionGroup
from raydistill.sweep.config.job import JobConfig
from raydistill.sweep.config.methods import MethodConfig
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.baselines import baselines_of
from raydistill.sweep.planning.controls import control_jobs
from raydistill.sweep.planning.draws import Draws
from raydistill.sweep.planning.imported import decoded_by_imported, imported_job
from raydistill.sweep.planning.job import Job, Place
from raydistill.sweep.planning.labels import check_clock, check_same_examples, suits_label
from raydistill.sweep.planning.pieces import check_pieces, without_needless_pieces
from raydistill.sweep.planning.spec import BaselineSpec, EvaluationSpec, TrainingSpec


def expand(sweep: SweepConfig, entries: list[Entry], only: int | None = None) -> list[Job]:
    """Every job of the sweep, each after the jobs that it starts from.

    Args:
        only: a draw of the folds; without it, the jobs of all draws.
    Raises:
        ConfigError: the sweep does not fit the sessions.
    """
    methods = {d.job: m for m in sweep.methods for d in sweep.decoders(m) if d.is_training}
    draws, jobs = draws_of(sweep, entries), list[Job]()
    for draw in draws.numbers if only is None else (only,):
        trainings = dict[Place, Job]()
        for name, config in sweep.sources_first():
            if config.imported:
                trainings[name, None, None] = imported_job(sweep, name, config)
            else:
                sessions = draws.sessions(config.group, draws.trained_on(name, draw))
                trainings |= dict(_instances(sweep, name, config, methods.get(name), sessions, trainings))
        jobs += [*trainings.values(), *control_jobs(sweep, trainings, entries)]
        jobs += _evaluations(sweep, trainings, draws, draw)
    decoded = {job.session for job in jobs if job.method}
    if sweep.label:
        of_label = [e for e in entries if e.session in decoded]
        check_same_examples(sweep.name, sweep.label, of_label)
        check_clock(sweep, of_label)
    jobs += [job for e in entries if e.session in decoded for job in _baselines(sweep, e)]
    return _each_once(sweep.name, jobs)


def draws_of(sweep: SweepConfig, entries: list[Entry]) -> Draws:
    """The draws of the folds that the sweep decodes.

    Raises:
        ConfigError: the sweep does not fit the sessions.
    """
    return Draws.of(sweep, {name: select(sweep, name, entries) for name in _used_groups(sweep)}, entries)


def _each_once(sweep_name: str, jobs: Iterable[Job]) -> list[Job]:
    """The jobs, each once: jobs with the same key are one job, which has the method of any of them.

    Raises:
        ConfigError: two methods would decode the same model in the same way.
    """
    unique: dict[str, Job] = {}
    for job in jobs:
        earlier = unique.setdefault(job.key, job)
        if earlier is not job and job.kind == "control" and job.method:
            unique[job.key] = replace(earlier, also=(*earlier.also, job.method))
        elif earlier.method and job.method and earlier.method != job.method:
            raise ConfigError(
                f"{sweep_name}: {job.name} of {job.method} is the same job as {earlier.name} of {earlier.method}, "
                "because their settings are equal; leave one method out, or change the settings of one"
            )
        if not earlier.method:
            unique[job.key] = job
    return list(unique.values())


def _used_groups(sweep) -> set[str]:
    used = {job.group for job in sweep.jobs.values() if job.group} | {
        sweep.answer(figure).on for figure in sweep.answers
    }
    return used | {d.each for m in sweep.methods for d in sweep.decoders(m) if d.each}


def select(sweep: SweepConfig, name: str, entries: Iterable[Entry]) -> list[Entry]:
    """The sessions of the group `name`, each with its first draw, sorted by name.

    Raises:
        ConfigError: the store lacks one of its `names`, or the group is empty.
    """
    group: SessionGroup = sweep.sessions[name]
    stored = {e.session: e for e in entries if e.draw == 1}
    for session in group.names:
        if session not in stored:
            raise ConfigError(
                f'{sweep.name}: sessions.{name}.names: the store has no session "{session}"{suggest(session, stored)}'
            )
    named = set(_paper_group(sweep.name, group.named, stored.values())) if group.named else None
    excluded = {e.session for e in select(sweep, group.except_, stored.values())} if group.except_ else set()
    chosen = [
        e
        for e in sorted(stored.values(), key=lambda e: e.session)
        if e.session not in excluded
        and (named is None or e.session in named)
        and (not group.names or e.session in group.names)
        and (not group.subjects or e.subject in group.subjects)
        and (not group.datasets or e.dataset in group.datasets)
        and (group.modality is None or _has(e, group.modality))
    ]
    if not chosen:
        raise ConfigError(
            f"{sweep.name}: sessions.{name} matches none of the store's {len(stored)} sessions; "
            "see `raydistill sessions --store DIR`"
        )
    return chosen


def _paper_group(sweep_name, name, entries):
    paper = PAPER_OF_GROUP[name]
    if mismatches := paper.count_mismatches(entries):
        raise ConfigError(
            f"{sweep_name}: the store has all datasets of the {paper.name} paper, but {'; '.join(mismatches)}; "
            "see `raydistill sessions`"
        )
    return paper.select(name, entries)


def _has(entry, modality):
    return bool(entry.n_units if modality == "spikes" else entry.n_channels)


def _instances(
    sweep: SweepConfig,
    name: str,
    config: JobConfig,
    method: str | None,
    sessions: list[Entry],
    jobs: Mapping[Place, Job],
) -> Iterator[tuple[Place, Job]]:
    """The jobs of one line of `jobs` in one draw of the folds: one pretraining, or one job per session and seed."""
    modalities = {sweep.modality_of(line) for line in (name, config.distill) if line}
    signals = sorted({signal for m in modalities for signal in _signals(m)})
    _need(sweep, name, sessions, *signals)
    _need_validation(sweep, name, config, sessions)
    _need_one_patch(sweep, name, sessions)
    _need_readable(f"{sweep.name}: jobs.{name}", config.family, sweep.model_of(name), sessions)
    check_pieces(f"{sweep.name}: jobs.{name}", config, sweep.recipe_of(config), sessions)
    objective = sweep.objective_of(config)
    decodes = not config.is_pretraining or (objective is not None and objective.needs.behavior)
    template = TrainingSpec(
        family=config.family,
        model=sweep.model_of(name),
        objective=objective,
        training=sweep.recipe_of(config),
        sessions={},
        reads=_reads(*signals, *([sweep.target] if decodes else [])),
        seed=0,
        inherit=config.inherit,
        freeze=config.freeze,
    )
    if config.is_pretraining:
        spec = _training_spec(sweep, name, template, sessions, config.seed, jobs)
        draw = max(e.draw for e in sessions)
        title = f"{name}/{draw_name(f'seed{config.seed}', draw)}"
        yield (name, None, None), _training_job(sweep, config, title, spec, None, None, config.seed)
        return
    for entry in sessions:
        for seed in sweep.seeds_of(config):
            spec = _training_spec(sweep, name, template, [entry], seed or 0, jobs)
            spec = replace(spec, behavior=_behavior(sweep, entry), label=sweep.label)
            title = f"{name}/{entry.session}/{'fit' if seed is None else f'seed{seed}'}"
            yield (name, entry.session, seed), _training_job(sweep, config, title, spec, method, entry, seed)


def _signals(modality: str) -> tuple[str, ...]:
    return ("spikes", "lfp") if modality == "multimodal" else (modality,)


def _reads(*signals: str) -> tuple[str, ...]:
    """The signals in the order in which all jobs name them, so that the order changes no key."""
    return tuple(name for name in SIGNALS if name in signals)


def _training_spec(
    sweep: SweepConfig, name: str, template: TrainingSpec, entries: list[Entry], seed: int, jobs: Mapping[Place, Job]
) -> TrainingSpec:
    """The specification of one job of a line: `template`, with the job's sessions, seed and sources."""
    config = sweep.jobs[name]
    teachers = {e.session: _teacher(sweep, name, e.session, seed, jobs) for e in entries if config.distill}
    return replace(
        template,
        training=without_needless_pieces(template.training, entries),
        sessions={e.session: e.content_of(template.reads) for e in entries},
        seed=seed,
        weights=_source(sweep, name, config.source, entries[0].session, seed, jobs) if config.source else None,
        teachers=teachers or None,
    )


def _training_job(
    sweep, config: JobConfig, title, spec: TrainingSpec, method, entry: Entry | None, seed: int | None
) -> Job:
    return Job(
        name=title,
        kind=config.verb,
        method=method,
        session=entry.session if entry else None,
        subject=entry.subject if entry else None,
        seed=seed,
        spec=spec,
        workers=config.worker_range,
        engine=sweep.engine_of(config),
    )


def _source(sweep, name: str, other: str, session: str, seed: int, jobs: Mapping[Place, Job]) -> str:
    """The key of the job of `other` from which a job of `name` on this session and seed starts or learns."""
    job = sweep.jobs[other]
    place = (other, None, None) if job.is_one_model else (other, session, None if job.is_fitted else seed)
    if place not in jobs:
        raise ConfigError(
            f"{sweep.name}: jobs.{name} runs on session {session} with seed {seed}, but jobs.{other} does not; "
            "give both the same sessions and seeds"
        )
    return jobs[place].key


def _teacher(sweep, name: str, session: str, seed: int, jobs: Mapping[Place, Job]) -> str:
    """The key of the job whose model teaches a job of `name` on this session and seed."""
    line = sweep.jobs[name].distill
    key = _source(sweep, name, line, session, seed, jobs)
    teacher = sweep.jobs[line]
    if not teacher.is_one_model:
        return key
    known = sweep.imported_spec(teacher).sessions if teacher.imported else jobs[line, None, None].spec.sessions
    if session not in known and not reads_any_session(sweep.model_of(line)):
        raise ConfigError(
            f"{sweep.name}: jobs.{name} runs on session {session}, on which its teacher jobs.{line} is not trained; "
            f"finetune {line} on this session, and distill from that"
        )
    return key


def _evaluations(sweep, trainings: Mapping[Place, Job], draws: Draws, draw: int):
    """The jobs of methods that do not use the scores of their trainings: one per session and model to decode."""
    for method in sweep.methods:
        for decoder in sweep.decoders(method):
            if sweep.jobs[decoder.job].imported:
                job = trainings[decoder.job, None, None]
                for entry, own in decoded_by_imported(sweep, method, decoder, draws.sessions(str(decoder.each), draw)):
                    yield _evaluation(sweep, method, own, entry, job)
            elif not decoder.is_training:
                decoder = replace(decoder, as_=draw_name(decoder.as_, draw)) if decoder.as_ else decoder
                for entry, trained in _decodes(sweep, method, decoder, trainings, draws, draw):
                    yield _evaluation(sweep, method, decoder, entry, trained)


def _decodes(sweep, method, decoder: MethodConfig, trainings: Mapping[Place, Job], draws: Draws, draw: int):
    """(session to decode, job whose model decodes it)."""
    trained = {(session, seed): job for (name, session, seed), job in trainings.items() if name == decoder.job}
    if decoder.each is None:
        return [(draws.stored[session], job) for (session, _), job in trained.items() if session]
    entries = draws.sessions(decoder.each, draw)
    if decoder.as_ is None:
        pretrained = trained[None, None]
        for entry in entries:
            if entry.session not in pretrained.spec.sessions and not pretrained.model_spec.reads_any_session:
                raise ConfigError(
                    f"{sweep.name}: methods.{method}: {decoder.job} is not trained on session {entry.session}; decode "
                    "sessions on which it is trained, or finetune it"
                )
        return [(entry, pretrained) for entry in entries]
    sources = [job for (session, _), job in trained.items() if session == decoder.as_]
    if not sources:
        raise ConfigError(
            f"{sweep.name}: methods.{method}: {decoder.job} is not trained on session {decoder.as_}"
            f"{suggest(decoder.as_, {session for session, _ in trained})}"
        )
    if sources[0].training_spec.model.modality != "spikes":
        assert decoder.as_
        _check_channels(f"{sweep.name}: methods.{method}", draws.stored[decoder.as_], entries)
    return [(entry, job) for entry in entries for job in sources]


def _check_channels(at, source, entries):
    """Refuse sessions with other channels than `source`, because a frozen model identifies channels by number."""
    for entry in entries:
        if entry.n_channels != source.n_channels:
            raise ConfigError(
                f"{at}: session {entry.session} has {entry.n_channels} channels, but {source.session}, whose model "
                f"would decode it, has {source.n_channels}; leave the session out of the group, or ingest both "
                "sessions with the same channels (`drop_channels`)"
            )


def _evaluation(sweep, method: str, decoder: MethodConfig, entry: Entry, trained: Job) -> Job:
    seed = trained.seed if trained.session else None
    signals = _signals(trained.model_spec.model.modality)
    _need(sweep, decoder.job, [entry], *signals)
    _need_readable(f"{sweep.name}: methods.{method}", trained.model_spec.family, trained.model_spec.model, [entry])
    for column in trained.model_spec.predicted_behavior if sweep.label is None else ():
        if column not in entry.behavior:
            raise ConfigError(
                f"{sweep.name}: methods.{method}: the model of {decoder.job} predicts {column}, which session "
                f"{entry.session} does not have{suggest(column, entry.behavior)}"
            )
    if decoder.past_bins is not None and lacks_validation(entry):
        raise ConfigError(
            f"{sweep.name}: methods.{method}: `past_bins` chooses a penalty on the validation fold, which session "
            f"{entry.session} does not have; leave the session out of the group"
        )
    reads = _reads(*signals, sweep.target)
    return Job(
        name=f"{method}/{entry.session}{'' if seed is None else f'/seed{seed}'}",
        kind="evaluate",
        method=method,
        session=entry.session,
        subject=entry.subject,
        seed=seed,
        spec=EvaluationSpec(
            trained=trained.key,
            sessions={entry.session: entry.content_of(reads)},
            reads=reads,
            behavior=_behavior(sweep, entry),
            label=sweep.label,
            seed=trained.model_spec.seed,
            spikes_as=decoder.spikes_as if decoder.inputs else "recorded",
            embeddings_of=decoder.as_,
            past_bins=decoder.past_bins,
        ),
    )


def _need(sweep, name, entries, *modalities):
    for entry in entries:
        for modality in modalities:
            if not _has(entry, modality):
                raise ConfigError(
                    f"{sweep.name}: jobs.{name} needs {modality}, which session {entry.session} does not have; "
                    f"add `modality: {modality}` to its group"
                )


def _need_one_patch(sweep: SweepConfig, name: str, entries: list[Entry]) -> None:
    """Refuse sessions with more channels than a patch, if the model reconstructs all patches of a bin by one map."""
    model = sweep.model_of(name)
    of_bins = getattr(model, "bins_predictor", None) or getattr(model, "readout", False)
    if not (reads_any_session(model) and of_bins):
        return
    for entry in entries:
        if entry.n_channels > model.inputs.widths(entry.lfp_bands)[0]:
            raise ConfigError(
                f"{sweep.name}: jobs.{name} reconstructs all channels of a bin by one map, so they must fit into one "
                f"patch, but session {entry.session} has {entry.n_channels}; set `model: {{lfp_patch: "
                f"{entry.n_channels // entry.lfp_bands}}}`"
            )


def _need_readable(at: str, family: str, model: Any, entries: Iterable[Entry]) -> None:
    """Refuse sessions that models of the family cannot read."""
    for entry in entries:
        if problem := FAMILIES[family].why_not(model, entry):
            raise ConfigError(f"{at}: session {entry.session} {problem}")


def lacks_validation(entry: Entry) -> bool:
    """Whether a session has no validation fold: under the protocol `released`, one with fewer than ten parents."""
    return bool(entry.splits) and not entry.splits.get("valid")


def _need_validation(sweep: SweepConfig, name: str, config: JobConfig, entries: list[Entry]) -> None:
    """Refuse a training that nothing could stop."""
    without = [entry.session for entry in entries if lacks_validation(entry)]
    if without and (not config.is_pretraining or len(without) == len(entries)):
        raise ConfigError(
            f"{sweep.name}: jobs.{name} needs a validation fold, which session {without[0]} does not have, because "
            "`protocol: released` draws none from fewer than ten split units; leave the session out of its group"
        )


def _behavior(sweep, entry: Entry) -> tuple[str, ...]:
    """The behavior columns to decode; none if the sweep decodes a label, which the session must have."""
    if sweep.label:
        if sweep.label not in entry.labels:
            there = (
                f"it has {', '.join(entry.labels)}" if entry.labels else "it has none; `labels` of a manifest adds them"
            )
            raise ConfigError(
                f'{sweep.name}: behavior.labels: session {entry.session} has no label "{sweep.label}"'
                f"{suggest(sweep.label, entry.labels)}; {there}"
            )
        return ()
    for column in sweep.columns:
        if column not in entry.behavior:
            hint = suggest(column, entry.behavior)
            raise ConfigError(f'{sweep.name}: behavior: session {entry.session} has no column "{column}"{hint}')
    return tuple(sweep.columns or entry.behavior)


def _baselines(sweep, entry):
    for name in baselines_of(sweep):
        suits = BASELINES[name].suits(entry) and suits_label(name, sweep.label, entry)
        if suits and not lacks_validation(entry):
            reads = _reads(*BASELINES[name].reads, sweep.target)
            yield Job(
                name=f"{name}/{entry.session}",
                kind="baseline",
                method=BASELINES[name].title,
                session=entry.session,
                subject=entry.subject,
                spec=BaselineSpec(
                    baseline=name,
                    sessions={entry.session: entry.content_of(reads)},
                    reads=reads,
                    behavior=_behavior(sweep, entry),
                    label=sweep.label,
                ),
            )
