"""What MLflow is given of a sweep: a record of each job and of each method, few parameters, and the scores first."""

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from raydistill.config.fingerprint import fingerprint
from raydistill.config.names import recorded_and_draw
from raydistill.evaluation.card import Card
from raydistill.evaluation.comparisons import Comparison
from raydistill.evaluation.equal_words import equal_sentences
from raydistill.evaluation.fit_table import numbers_of
from raydistill.evaluation.label_table import label_rows
from raydistill.evaluation.measure import measure_of
from raydistill.evaluation.neural_table import neural_means, with_titles
from raydistill.evaluation.results import Results, method_table, session_means
from raydistill.evaluation.sentences import limits, origins, verdict
from raydistill.papers.targets import Panel
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.job_folder import CARD, JOB
from raydistill.sweep.planning.notes import read_notes
from raydistill.sweep.planning.spec import spec_to_json
from raydistill.tracking.child_runs import NOTE
from raydistill.tracking.job import JobToRead, TrackedJob
from raydistill.tracking.naming import metric_name
from raydistill.training.history import read_history

_SETTINGS = ("family", "model", "objective", "training", "baseline", "control", "spikes_as")
"""Parts of a specification that hold settings."""
_FEW_SESSIONS = 12
"""Up to so many sessions have their columns before the gains; more would push these out of the table."""


def columns_of(label: str | None) -> tuple[tuple[str, str], ...]:
    """Columns of the table of jobs of a sweep that decodes this label, or behavior if it is None."""
    score = measure_of(label).tracked
    return (
        ("metrics", score),
        *(("params", name) for name in ("method", "session", "seed")),
        ("tags", "stage"),
        ("metrics", f"{score} validation"),
    )


class Records:
    """The records of the jobs and methods of a sweep.

    The parameters of a job are its method, session and seed, and those settings in which jobs of the sweep differ. All
    settings are in job.json, which is an artifact of the job's run.
    """

    def __init__(self, sweep: OpenSweep):
        self._runs, self._protocol, self._jobs = sweep.runs.absolute(), sweep.protocol, sweep.jobs
        self._differing = _differing([_settings(job) for job in self._jobs])

    @property
    def fingerprint(self) -> str:
        """Identity of the records: what is logged once and cannot be changed later depends on it."""
        return fingerprint(sorted([job.key, job.name, job.method or ""] for job in self._jobs))

    def job(self, job: Job, metrics: dict | None) -> JobToRead:
        """The record of a job, which is read from the job's folder when it is sent.

        Args:
            metrics: of the job if it is done; empty if it is not; None: to be read with the rest.
        """
        return JobToRead(key=job.key, read=functools.partial(self._record, job, metrics))

    def methods(self, results: Results, cards: Mapping[str, Card]) -> list[TrackedJob]:
        """Mean score of each method, control and baseline, over all sessions and in each, and its gains; rounded.

        A sweep that answers figures of a paper has such a record for each figure, over the sessions of this figure.

        Args:
            cards: method -> its card, which MLflow shows as the description of the method's run.
        """
        return [row for panel in results.figures for row in self._of_figure(results.part(panel), panel, cards)]

    def _of_figure(self, part: Results, panel: Panel, cards: Mapping[str, Card]) -> Iterator[TrackedJob]:
        """The records of one figure of a paper, or of a sweep that answers none."""
        controls = dataclasses.replace(part, scores=part.control_scores, baselines=(), comparisons=(), controls=())
        gains = (*part.comparisons, *(test.gain for test in part.controls))
        for row in (*self._rows(part, panel, gains, "method"), *self._rows(controls, panel, (), "control")):
            yield _described(row, cards.get(str(row.params["method"])))

    def _rows(self, part: Results, panel: Panel, gains: Sequence[Comparison], stage: str) -> Iterator[TrackedJob]:
        names, sessions = session_means(part)
        jobs_of = defaultdict(list)
        for job in self._jobs:
            if job.session and panel.shows(recorded_and_draw(job.session)[0]):
                jobs_of[job.method].append(job)
        predicted = neural_means(part)
        score = part.measure.tracked
        of_label = {row.method: row.values for row in label_rows(part)}
        for row in method_table(part):
            column = names.index(row.method) if row.method in names else None
            by_session = {
                f"{score} {session}": cells[column][0]
                for _, session, cells in sessions
                if column is not None and cells[column]
            }
            printed = panel.printed(row.method)
            metrics = {score: row.mean} | ({"R2 of the paper": float(printed)} if printed else {})
            metrics |= by_session if len(sessions) <= _FEW_SESSIONS else {}
            for comparison in gains:
                if comparison.better == row.method:
                    metrics |= _gain(comparison)
            metrics |= {f"{score} SD over sessions": row.sd, f"{score} number of scores": float(row.n)} | by_session
            name = f"{panel.figure}: {row.method}" if panel.figure else row.method
            accuracies = {key: value for key, value in of_label.get(name, {}).items() if key != "auc"}
            metrics |= {metric_name(key): value for key, value in accuracies.items()}
            metrics |= _of_signals(predicted.get(name, {}))
            figure = {"figure": panel.figure} if panel.figure else {}
            yield TrackedJob(
                key=name,
                name=name,
                params={"method": row.method, **figure, **self._shared_settings(jobs_of[row.method])},
                tags={"stage": "baseline" if row.baseline else stage, "protocol": self._protocol},
                metrics={name: _short(value) for name, value in metrics.items() if np.isfinite(value)},
            )

    def _record(self, job: Job, metrics: dict | None) -> TrackedJob:
        folder = self._runs.job_folder(job.key)
        metrics = self._runs.metrics(job.key) if metrics is None else metrics
        session, draw = recorded_and_draw(job.session) if job.session else (None, 1)
        whose = {"method": job.method, "session": session, "seed": job.seed, "draw": draw if draw > 1 else None}
        tags = {"stage": job.kind, "subject": job.subject, "protocol": self._protocol}
        if isinstance(segments := metrics.get("segments"), dict):
            tags["segments"] = segments.get("place")
        numbers = {name: value for name, value in metrics.items() if isinstance(value, int | float)}
        measure = measure_of(job.spec.label)
        numbers |= {f"{measure.tracked} {name}": value for name, value in metrics.get(measure.parts, {}).items()}
        numbers |= _without_superscript(numbers_of(metrics.get("fit", {})))
        numbers |= _of_signals(with_titles(metrics.get("neural", {})))
        return TrackedJob(
            key=job.key,
            name=job.name,
            params=_without_none(whose) | self._shared_settings([job]),
            tags=_without_none(tags) | read_notes(self._runs).of_job(job.key).to_tags(),
            history=read_history(folder),
            metrics=numbers,
            sessions=job.spec.sessions,
            artifacts=[path for name in (JOB, CARD) if (path := folder / name).exists()],
        )

    def _shared_settings(self, jobs: Sequence[Job]) -> dict[str, str]:
        """The settings in which the sweep's jobs differ, and these jobs do not."""
        settings = [_settings(job) for job in jobs]
        shared = self._differing - _differing(settings)
        return {name: tree[name] for tree in settings for name in sorted(shared & tree.keys())}


def _described(row: TrackedJob, card: Card | None) -> TrackedJob:
    """The record of a method with its card as description."""
    if card is None:
        return row
    lines = card.to_markdown().splitlines()
    shown = list(_first(lines))
    if len(shown) < len(lines):
        shown += ["", f"{len(lines) - len(shown)} more lines are on the page of the sweep (`raydistill report`)."]
    return dataclasses.replace(row, tags={**row.tags, NOTE: "\n".join(shown)})


def note_of(results: Results, figures: Sequence[Path]) -> str:
    """The answer of a sweep in Markdown: verdicts, means and a figure. `{run}` stands for the id of the sweep's run."""
    said = (*(b.in_words() for b in results.below), *map(verdict, results.comparisons), *origins(results))
    said += (*equal_sentences(results), *limits(results))
    said += tuple(results.tuning.in_words()) if results.tuning else ()
    lines = [*_first(f"- {sentence}" for sentence in said), ""]
    lines += [f"| method | mean {results.measure.symbol} | sessions and seeds |", "|---|---|---|"]
    means = ((panel.figure, row) for panel in results.figures for row in method_table(results, panel))
    rows = (f"| {figure + ': ' if figure else ''}{row.method} | {row.mean:.3f} | {row.n} |" for figure, row in means)
    lines += [*_first(rows), ""]
    # MLflow shows a picture in its own size; that of an SVG is the printed one.
    if pictures := [figure.name for figure in figures if figure.suffix == ".svg"]:
        first = next((name for name in pictures if name.startswith(("session_dots", "published"))), pictures[0])
        lines.append(f"![{first}](get-artifact?path=figures/{first}&run_uuid={{run}})")
    lines += ["", "All figures, scores and tests: Artifacts."]
    return "\n".join(lines)


def _first(lines: Iterable[str]) -> Iterator[str]:
    """The lines up to a number of characters, because a description in MLflow can have 8000."""
    room = 3500
    for line in lines:
        room -= len(line) + 1
        if room > 0:
            yield line


def _gain(c: Comparison) -> dict[str, float]:
    what = f"{c.measure.tracked} gain over {c.worse}"
    return {what: c.mean_difference, f"{what} p": c.test.p, f"{what} p over sessions": c.session_level.p}


def _settings(job: Job) -> dict[str, str]:
    plain = spec_to_json(job.spec)
    return _flat({name: plain[name] for name in _SETTINGS if name in plain})


def _flat(tree: Mapping, prefix: str = "") -> dict[str, str]:
    """Nested mappings under dotted names, such as model.backbone.layers; settings that are None are left out."""
    flat: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            flat[prefix + name] = str(value)
    return flat


def _differing(settings: Sequence[Mapping[str, str]]) -> set[str]:
    """The settings that have several values among the jobs that have them."""
    values = defaultdict(set)
    for tree in settings:
        for name, value in tree.items():
            values[name].add(value)
    return {name for name, found in values.items() if len(found) > 1}


def _of_signals(metrics: Mapping[str, float]) -> dict[str, float]:
    """Scores of predicted signals, under a common title."""
    return {f"signals/{name}": value for name, value in _without_superscript(metrics).items()}


def _without_superscript(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics with R2 in place of R² in their names, as all others have."""
    return {name.replace("²", "2"): value for name, value in metrics.items()}


def _short(value: float) -> float:
    """Four decimals, because MLflow's table prints every digit; very small numbers, as p may be, keep two digits."""
    return round(value, 4) if abs(value) >= 0.001 else float(f"{value:.2g}")


def _without_none(tree: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in tree.items() if value is not None}
