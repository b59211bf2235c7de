"""The card of a job, from its specification, the description of its sessions, its metrics and its provenance."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raydistill.config.objectives import keeps_last
from raydistill.config.plain import to_plain
from raydistill.config.recordings import SCORED_WITH_VALID
from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.card import METRICS, Card, ScoreRow
from raydistill.evaluation.flags import is_few
from raydistill.evaluation.interval import ScoreInterval
from raydistill.evaluation.measure import measure_of
from raydistill.evaluation.neural_table import with_titles
from raydistill.evaluation.sees import Sees
from raydistill.files import write_atomically
from raydistill.store.catalogue import Entry
from raydistill.sweep.answering.advice import was_improving
from raydistill.sweep.answering.sees import sees_of_job, trainings_of
from raydistill.sweep.planning.code import in_words
from raydistill.sweep.planning.job import Job, parameters
from raydistill.sweep.planning.job_folder import CARD
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.sizes import remark_on
from raydistill.sweep.planning.spec import BaselineSpec, EvaluationSpec, ImportedSpec, TrainingSpec

NAMED = 6
"""Sessions that a fact names."""
SPLITS = {
    "time": "units of {parent_s:g} s",
    "trials": "whole trials",
    "blocks": "contiguous blocks of time, {guard_s:g} s left out where two folds meet",
}
"""`splits.by` -> what is assigned to a fold."""


def write_card(job: Job, runs: RunsFolder, entries: Sequence[Entry], metrics: Mapping[str, Any]) -> None:
    """Write card.md into the folder of a job that is about to be complete.

    Args:
        entries: of the sessions that the job reads.
    Raises:
        DataError: the job.json of the job, or of one that it starts or learns from, is missing or damaged.
    """
    card = card_of(job, _with_sources(job, runs), entries, metrics, provenance_of(job, runs))
    write_atomically(runs.job_folder(job.key) / CARD, card.to_markdown().encode())


def provenance_of(job: Job, runs: RunsFolder) -> dict:
    """What job.json says of software and machine. Raises DataError if the file is missing or damaged."""
    provenance = runs.job_json(job.key).get("provenance")
    return provenance if isinstance(provenance, dict) else {}


def card_of(
    job: Job,
    jobs: Mapping[str, Job],
    entries: Sequence[Entry],
    metrics: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> Card:
    """The card of a job.

    Args:
        jobs: key -> the job itself, and those that it starts or learns from.
        entries: of the sessions that the job reads.
        metrics: of the job.
        provenance: software and machine, as in job.json.
    """
    sees = sees_of_job(job, jobs, all(e.aligned for e in entries))
    interval, is_scored = ScoreInterval.from_metrics(metrics, measure_of(job.spec.label).key), job.session is not None
    where = f"{job.session}, seed {job.seed}" if job.seed is not None else job.session
    sections = {
        "Data": dict(_data(job, entries)),
        "Protocol": dict(_protocol(job, entries, metrics)),
        "Training": dict(_training(job, jobs, entries, metrics)),
        METRICS: dict(_numbers(job, metrics, interval)) if is_scored else {},
        "What it sees": {"at decoding and in training": sees.in_words()},
        "Origin": dict(_origin(job, metrics, provenance)),
    }
    return Card(
        title=f"{job.method or job.line}: {where}" if is_scored else job.name,
        summary=_summary(job, sees, entries, metrics),
        sections={title: facts for title, facts in sections.items() if facts},
        limits=(
            *_limits(job, sees, entries, metrics, _other_sessions(job, jobs)),
            *_remark(job, jobs),
            *_fitted(metrics),
        ),
        limits_alone=tuple(_limits_alone(job, sees)),
        symbol=measure_of(job.spec.label).symbol,
        scores=(_score(job, metrics, interval),) if is_scored else (),
    )


def _with_sources(job: Job, runs: RunsFolder) -> dict[str, Job]:
    """Key -> the job and all those that it starts or learns from."""
    jobs, waiting = {job.key: job}, list(job.depends_on)
    while waiting:
        key = waiting.pop()
        if key not in jobs:
            jobs[key] = Job.from_json(runs.job_json(key))
            waiting += jobs[key].depends_on
    return jobs


def _summary(job: Job, sees: Sees, entries: Sequence[Entry], metrics: Mapping[str, Any]) -> str:
    signals = " and ".join({"lfp": "LFP", "spikes": "spikes"}[name] for name in sees.reads) or "the time alone"
    if job.session is None:
        n = len(job.spec.sessions)
        how = {"finetune": "fine-tuned", "distill": "distilled"}.get(job.kind, "pretrained")
        return f"A model of {signals}, {how} on {n} session{'s' if n != 1 else ''}. Other jobs start from it."
    measure = measure_of(job.spec.label)
    target = ", ".join(metrics.get("r2_per_axis", ())) if job.spec.label is None else measure.target
    is_apart = all(e.protocol not in SCORED_WITH_VALID for e in entries)
    fold = "the test fold, which is used for nothing else" if is_apart else "the validation and test folds together"
    return f"Decodes {target} from {signals}: {measure.symbol} {metrics[measure.key]:.3f} on {fold}."


def _data(job: Job, entries: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    reads = job.spec.reads
    subjects = list(dict.fromkeys(e.subject for e in entries))
    yield "sessions", _listed([e.session for e in entries])
    yield "subjects", _listed(subjects)
    for name in ("dataset", "task", "region"):
        if values := list(dict.fromkeys(value for e in entries if (value := getattr(e, name)))):
            yield name, _listed(values)
    if "spikes" in reads:
        yield "units", _range([e.n_units for e in entries])
    if "lfp" in reads:
        yield "LFP channels", _range([e.n_channels for e in entries])
    yield "bin width", f"{_range([e.bin_width_ms for e in entries])} ms"
    yield "length", f"{sum(e.n_bins * e.bin_width_ms for e in entries) / 3.6e6:.2f} hours of segments"
    if job.session is not None:
        (entry,) = entries
        if job.spec.label is not None:
            label = entry.labels[job.spec.label]
            yield "label", f"{job.spec.label}, of {label.of}: {', '.join(label.classes)}"
            return
        units = dict(zip(entry.behavior, entry.behavior_units, strict=False))
        columns = [f"{name}{f' ({units[name]})' if units.get(name) else ''}" for name in job.spec.behavior]
        yield "behavior", ", ".join(columns)


def _protocol(job: Job, entries: Sequence[Entry], metrics: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    splits = entries[0].config.get("splits", {})
    yield "protocol", _listed(list(dict.fromkeys(e.rules for e in entries)))
    if splits.get("by") in SPLITS:
        in_time = splits.get("order") == "chronological"
        how = "in the order of time" if in_time else f"at random (seed {splits['seed']})"
        yield "split", f"{SPLITS[splits['by']].format(**splits)}; assigned to folds {how}"
        longest = "at most " if splits["by"] == "trials" else ""
        yield "sequence length", f"{longest}{splits['segment_s']:g} s"
    for fold, words in (("train", "training"), ("valid", "validation"), ("test", "test")):
        yield f"{words} segments", str(sum(e.splits.get(fold, 0) for e in entries))
    if job.seed is not None:
        yield "seed", str(job.seed)
    chosen = [f"{name} = {value:g}" for name, value in (metrics.get("settings") or {}).items()]
    chosen += [f"{name} = {value}" for name, value in metrics.get("fit", {}).get("chosen", {}).items()]
    if "best_epoch" in metrics:
        is_last = keeps_last(getattr(job.spec, "objective", None))
        why = "the last, as losses of a moving target cannot be compared" if is_last else "by validation loss"
        chosen.append(f"the weights of epoch {metrics['best_epoch'] + 1}, {why}")
    yield "chosen on the validation fold", ", ".join(chosen) or "nothing"


def _training(
    job: Job, jobs: Mapping[str, Job], entries: Sequence[Entry], metrics: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    if isinstance(job.spec, BaselineSpec):
        yield "decoder", BASELINES[job.spec.baseline].title
        return
    trainings = trainings_of(job, jobs)
    spec = trainings[0].model_spec
    if isinstance(job.spec, EvaluationSpec):
        yield "model", f"that of the job {trainings[0].name}, as it is"
    if isinstance(spec, ImportedSpec):
        yield "objective", "not known: the model was imported"
    else:
        yield "objective", _settings(to_plain(spec.objective)) if spec.objective else "fitted in one step"
    if spec.control:
        yield "control", spec.control
    yield "architecture", f"{spec.family}: {_settings(to_plain(spec.model))}"
    if job.trains:
        yield "parameters", f"{parameters(job, list(entries)):,}"
    if spec.training:
        yield "recipe", _settings(to_plain(spec.training))
    if "epoch" in metrics and isinstance(spec, TrainingSpec):
        yield "epochs run", f"{metrics['epoch']} of at most {spec.epochs}"
    for name, keys in (("starts from", [spec.weights]), ("teacher", list((spec.teachers or {}).values()))):
        if sources := [jobs[key].name for key in keys if key and key in jobs]:
            yield name, _listed(sources)
    if len(trainings) > 1:
        yield "trained before", "; ".join(map(_in_short, trainings[1:]))


def _in_short(job: Job) -> str:
    """A training behind a model: its name, its objective and its sessions."""
    if isinstance(job.spec, ImportedSpec):
        return f"{job.name} (imported)"
    objective = job.training_spec.objective
    return f"{job.name} ({objective.name if objective else 'a fit'} on {_listed(list(job.spec.sessions))})"


def _numbers(job: Job, metrics: Mapping[str, Any], interval: ScoreInterval | None) -> Iterator[tuple[str, str]]:
    of_target = _behavior_numbers if job.spec.label is None else _label_numbers
    yield from of_target(metrics, interval)
    if "n_test_segments" in metrics:
        yield "scored", f"{metrics['n_test_segments']} segments, {metrics.get('test_s', 0):.0f} s"


def _those_there(metrics: Mapping[str, Any], named: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The numbers among these metrics, by their names in words."""
    for name, words in named.items():
        if isinstance(value := metrics.get(name), int | float):
            yield words, f"{value:.3f}"


def _label_numbers(metrics: Mapping[str, Any], interval: ScoreInterval | None) -> Iterator[tuple[str, str]]:
    yield "AUC", f"{metrics['auc']:.3f}"
    if interval:
        yield "interval of AUC", interval.in_words()
    named = {
        "balanced_accuracy": "balanced accuracy",
        "accuracy": "accuracy",
        "largest_class": "share of the largest class",
        "valid_auc": "AUC on the validation fold",
        "auc_logistic": "AUC by logistic regression",
    }
    yield from _those_there(metrics, named)
    for one, auc in metrics["auc_per_class"].items():
        yield f"AUC of {one}", f"{auc:.3f}"
    for fold, classes in metrics["label"]["missing"].items():
        yield f"classes missing from the {fold} fold", ", ".join(classes)


def _behavior_numbers(metrics: Mapping[str, Any], interval: ScoreInterval | None) -> Iterator[tuple[str, str]]:
    yield "R²", f"{metrics['r2']:.3f}"
    if interval:
        yield "interval of R²", interval.in_words()
    for column, r2 in metrics.get("r2_per_axis", {}).items():
        yield f"R² of {column}", f"{r2:.3f}"
    named = {
        "valid_r2": "R² on the validation fold",
        "r2_least_squares": "R² by least squares",
        "clock_r2": "R² of the clock",
        "skill_over_clock": "skill over the clock",
        "r2_other_trials": "R² on LFP of other trials",
    }
    yield from _those_there(metrics, named)
    for words, value in with_titles(metrics.get("neural", {})).items():
        yield f"prediction of the {words}", f"{value:.3f}"


def _origin(job: Job, metrics: Mapping[str, Any], provenance: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "job", job.name
    yield "key", job.key
    yield "software", in_words(dict(provenance))
    machine = [provenance.get(name) for name in ("system", "machine", "gpu")]
    machine.append(
        f"{provenance['threads']} thread{'s' if provenance['threads'] != 1 else ''}"
        if "threads" in provenance
        else None
    )
    yield "machine", ", ".join(str(part) for part in machine if part) or "unknown"
    if "seconds" in metrics:
        yield "time", f"{metrics['seconds']:.0f} s on {metrics.get('device', 'cpu')}"


def _other_sessions(job: Job, jobs: Mapping[str, Job]) -> str:
    """How a model reads other sessions than those of its training; "" if it does not."""
    trainings = trainings_of(job, jobs)
    if not trainings or not trainings[0].model_spec.reads_any_session:
        return ""
    if getattr(trainings[0].model_spec.model, "channels_are_alike", False):
        return "It reads other sessions, too, and does not tell their channels apart."
    return "It reads other sessions, too, but knows a channel by its place among the channels of the session alone."


def _remark(job: Job, jobs: Mapping[str, Job]) -> Iterator[str]:
    """What readers of scores of the family of the model must know."""
    for training in trainings_of(job, jobs)[:1]:
        if remark := remark_on(training.model_spec):
            yield f"{remark[0].upper()}{remark[1:]}."


def _fitted(metrics: Mapping[str, Any]) -> Iterator[str]:
    """How a model that was fitted in one step is approximate or may be inaccurate."""
    if note := metrics.get("fit", {}).get("note"):
        yield f"It is {note}."


def _limits(
    job: Job, sees: Sees, entries: Sequence[Entry], metrics: Mapping[str, Any], other_sessions: str
) -> Iterator[str]:
    symbol = measure_of(job.spec.label).symbol
    if any(e.dataset == "synthetic" for e in entries):
        yield "The recordings are simulated."
    if job.session is not None and is_few(metrics.get("n_test_segments", 0), metrics.get("test_s", 0.0)):
        yield f"The test fold is so small that {symbol} depends much on which segments it has."
    if any(e.protocol in SCORED_WITH_VALID for e in entries):
        yield "Scores are optimistic: the published protocol scores the fold that ended the training, too."
    if any(e.protocol == "session_zscores" for e in entries):
        yield "Scores may be optimistic: z-scores are fitted on all folds, which a decoder that runs live cannot do."
    if any(e.protocol == "realm" for e in entries):
        yield "Scores may be optimistic: z-scores are fitted on all folds, and test units lie next to training units."
    if other_sessions:
        yield other_sessions
    elif job.trains or isinstance(job.spec, EvaluationSpec):
        yield "It reads only the units and channels of the sessions that it was trained on."
    if late := sees.lookahead_bins:
        ms = late * entries[0].bin_width_ms
        yield f"It reads {late} later bin{'s' if late > 1 else ''}, so that a stream of it answers {ms:g} ms late."
    if sees.future:
        way_out = (
            "a baseline that reads the past alone" if isinstance(job.spec, BaselineSpec) else "`model: {causal: true}`"
        )
        yield f"It reads later bins of a segment, so that it cannot decode live; {way_out} can."
    if sees.clock and sees.reads and job.spec.label is None:
        yield "It can tell how long ago the trial began, and part of R² may come from this: see skill over the clock."
    if isinstance(job.spec, TrainingSpec) and was_improving(job.spec, metrics):
        yield "Its best epoch is among the last ones: training was still improving."


def _limits_alone(job: Job, sees: Sees) -> Iterator[str]:
    if job.session is not None:
        if sees.other_sessions:
            yield "It is scored on one session of one subject."
        else:
            yield "It is trained and scored on one session of one subject; nothing is known about others."
    if isinstance(job.spec, TrainingSpec) and job.spec.teachers:
        yield "Whether its gain is owed to the spikes of its teacher is told by the controls of a sweep, not here."


def _score(job: Job, metrics: Mapping[str, Any], interval: ScoreInterval | None) -> ScoreRow:
    assert job.session is not None
    measure = measure_of(job.spec.label)
    return ScoreRow(
        session=job.session,
        seed=job.seed,
        value=metrics[measure.key],
        valid=metrics.get(f"valid_{measure.key}"),
        interval=interval,
        n_segments=metrics.get("n_test_segments"),
    )


def _listed(names: Sequence[str]) -> str:
    """Such as "12: a_1, a_2, a_3, a_4, a_5, a_6, ..."; one name as it is."""
    if len(names) == 1:
        return names[0]
    return f"{len(names)}: {', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''}"


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _settings(tree: Mapping[str, Any], prefix: str = "") -> str:
    """Settings as text, such as "distillation, alignment 5"; those that are None or false are left out."""
    name = str(tree.get("name", ""))
    parts = [name] if name else []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            parts.append(f"{prefix}{key}: ({_settings(value)})")
        elif key != "name" and value is not None and value is not False:
            parts.append(f"{prefix}{key} {value:g}" if isinstance(value, float) else f"{prefix}{key} {value}")
    return ", ".join(parts)
