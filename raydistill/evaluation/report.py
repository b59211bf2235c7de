"""The results of a sweep as one self-contained HTML page, without scripts, external fonts or links.

Templates escape every value, since names come from files and recordings.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import jinja2

from raydistill.config.controls import CONTROLS
from raydistill.evaluation.card import Card
from raydistill.evaluation.clock_table import COLUMNS, EXPLANATION, NAMES, clock_rows
from raydistill.evaluation.comparisons import Comparison
from raydistill.evaluation.equal_words import equal_sentences
from raydistill.evaluation.fit_table import COLUMNS as COLUMNS_OF_FITS
from raydistill.evaluation.fit_table import EXPLANATION as WORDS_OF_FITS
from raydistill.evaluation.fit_table import fit_rows
from raydistill.evaluation.flags import in_words
from raydistill.evaluation.label_table import COLUMNS as LABEL_COLUMNS
from raydistill.evaluation.label_table import EXPLANATION as LABEL_WORDS
from raydistill.evaluation.label_table import NAMES as LABEL_NAMES
from raydistill.evaluation.label_table import TITLE as LABEL_TITLE
from raydistill.evaluation.label_table import label_rows
from raydistill.evaluation.neural_table import COLUMNS as COLUMNS_OF_SIGNALS
from raydistill.evaluation.neural_table import EXPLANATION as WORDS_OF_SIGNALS
from raydistill.evaluation.neural_table import neural_rows
from raydistill.evaluation.published import P
from raydistill.evaluation.results import (
    MANY_SUBJECTS,
    Results,
    method_table,
    session_means,
    unique,
)
from raydistill.evaluation.sentences import headline, limits, missing_by_line, origins, verdict
from raydistill.evaluation.tuning import settings_in_words
from raydistill.evaluation.tuning_table import COLUMNS as COLUMNS_OF_TUNING
from raydistill.evaluation.tuning_table import EXPLANATION as WORDS_OF_TUNING
from raydistill.evaluation.tuning_table import tuning_rows
from raydistill.papers.targets import ALL, Panel

PROTOCOLS = {
    "corrected": "Normalisation is fitted on the training segments only, and the folds have exactly the configured "
    "sizes. Early stopping uses the validation fold. All scores are computed on the test fold, which is used for "
    "nothing else.",
    "session_zscores": "As the corrected protocol, but normalisation is fitted on the whole session, the test fold "
    "included. Early stopping uses the validation fold, and all scores are computed on the test fold. The "
    "difference to the corrected protocol is what z-scores of whole sessions are worth, which cannot run live.",
    "paper": "The published protocol: signals are normalised over the whole session before it is split. Scores are "
    "computed over the validation and test folds together, although early stopping uses the validation fold. Scores "
    "are therefore optimistic; the corrected protocol keeps the folds separate.",
    "released": "The protocol of the released code, including its errors: signals are normalised over the whole "
    "session before it is split, and the sizes of the folds are off by one. Scores are computed over the validation "
    "and test folds together, although early stopping uses the validation fold. Scores are therefore optimistic; the "
    "corrected protocol keeps the folds separate.",
    "realm": "The protocol of REALM's second version: signals are normalised over the whole session before it is "
    "split, and short units are drawn into folds of 72, 8 and 20 %. Early stopping uses the validation fold, and "
    "scores are computed on the test fold. They are not comparable to those of the corrected protocol.",
}
"""Protocol -> what the page says about it (docs/methods.md, Splits and protocols)."""


MOST_COLUMNS = 12
"""Of a table with a column per method or subject; more follow in a table below it."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure and its caption."""

    svg: Path
    narrow: Path | None = None
    """Its form for phones, if it is wider than these."""
    caption: str
    data: str
    """Path of the file with the plotted numbers, as the page shows it; empty if there is none."""


@dataclass(frozen=True, kw_only=True)
class JobCost:
    """The cost of all jobs of one entry (a job, method or baseline) of the sweep file."""

    name: str
    jobs: int
    """Number of jobs that are done."""
    seconds: float
    """Summed over the jobs."""
    core_hours: float
    gpu_hours: float


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """What the page shows in addition to the results."""

    name: str
    question: str
    answers: str
    pictures: Sequence[Picture]
    sessions: int
    subjects: int
    hours: float
    """Length of all segments."""
    data_fingerprint: str
    fingerprint: str
    job_names: Mapping[str, str]
    """Key -> name, including those of the jobs that failed."""
    costs: Sequence[JobCost]
    last_run: str
    """Duration of the last run as text; empty if it is unknown."""
    commands: str
    runs: str = "runs"
    """The runs folder, as a command takes it."""
    versions: Mapping[str, str]
    written: str
    """Date of the page, and of the last training behind it."""
    paper: str = ""
    """The paper whose methods, figures or tables are compared, as a citation."""
    meanings: Mapping[str, str] = field(default_factory=dict)
    """Method or baseline -> what it is."""
    cards: Sequence[Card] = ()
    """Of the methods."""
    sweep: str
    """The configuration as YAML, with included files and overrides applied."""


def html(results: Results, context: ReportContext) -> str:
    """The page as HTML text."""
    return rendered("report.html", _page(results, context))


def rendered(template: str, page: Mapping[str, object]) -> str:
    """A page as HTML text.

    Args:
        template: file name of a template in this folder.
        page: the values that it shows, by the names that it uses.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (files(__package__) / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(r=page)


def embedded(pictures: Sequence[Picture]) -> list[dict]:
    """Figures as parts of a page."""
    return [
        {"svg": _base64(p.svg), "narrow": _base64(p.narrow) if p.narrow else "", "caption": p.caption, "data": p.data}
        for p in pictures
    ]


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def picture(svg: Path, narrow: Path, caption: str, data: str) -> Picture:
    """A figure with its narrow form, unless there is none or it is the same.

    Args:
        narrow: folder of narrow forms, which have the names of the figures.
    """
    other = narrow / svg.name
    has_other = other.is_file() and other.read_bytes() != svg.read_bytes()
    return Picture(svg=svg, narrow=other if has_other else None, caption=caption, data=data)


def _page(results: Results, context: ReportContext) -> dict:
    """The values of the template, by the names that it uses."""
    json = results.to_json()
    return {
        "name": context.name,
        "question": context.question or context.name,
        "answers": context.answers,
        "headline": headline(results),
        "limits": [*(b.in_words() for b in results.below), *limits(results)],
        "verdicts": [
            " ".join((f"{c.figure}:" if c.figure else "", verdict(c), results.about(c))).strip()
            for c in results.comparisons
        ],
        "controls": [
            {"method": c.method, "control": CONTROLS[c.control], "value": c.value, "test": test}
            for c, test in zip(results.controls, json["controls"], strict=True)
        ],
        "meanings": [CONTROLS[name] for name in unique(c.control for c in results.controls)],
        "origins": [*origins(results), *equal_sentences(results)],
        "notes": results.notes,
        "missing": missing_by_line(results),
        "panels": [_panel(results, panel) for panel in results.figures],
        "published": _published(results),
        "sessions": _sessions(results),
        "flags": in_words(results.flags, results.measure),
        "sees": [{"method": s.method, "words": s.in_words()} for s in results.sees],
        "symbol": results.measure.symbol,
        "target": results.measure.target,
        "labels": _labels(results),
        "clock": _clock(results),
        "neural": {"columns": COLUMNS_OF_SIGNALS, "rows": list(neural_rows(results)), "words": WORDS_OF_SIGNALS},
        "fits": {"columns": COLUMNS_OF_FITS, "rows": fit_rows(results), "words": WORDS_OF_FITS},
        "tuning": _tuning(results),
        "tests": [
            test | {"paper": _printed_p(results, c)} for c, test in zip(results.comparisons, json["tests"], strict=True)
        ],
        "alignments": [a.to_json() | {"paper": results.published_alignment(a)} for a in results.alignments],
        "figures": embedded(context.pictures),
        "protocol": results.protocol,
        "repeats": results.repeats,
        "protocol_words": " ".join(_protocol_words(results.protocol)),
        "data": {
            "sessions": context.sessions,
            "subjects": context.subjects,
            "hours": context.hours,
            "fingerprint": context.data_fingerprint,
        },
        "fingerprint": context.fingerprint,
        "failed": [{"name": context.job_names[f.job], "key": f.job, "cause": f.cause} for f in results.failed],
        "costs": {
            "jobs": context.costs,
            "core_hours": sum(cost.core_hours for cost in context.costs),
            "gpu_hours": sum(cost.gpu_hours for cost in context.costs),
            "wall": context.last_run,
        },
        "written": context.written,
        "paper": context.paper,
        "explained": context.meanings,
        "cards": context.cards,
        "commands": context.commands,
        "runs": context.runs,
        "versions": context.versions,
        "sweep": context.sweep,
    }


def _protocol_words(protocol: str) -> Iterator[str]:
    """What the page says about `Results.protocol`, sentence by sentence."""
    for name in protocol.split(" and "):
        yield PROTOCOLS.get(name.partition(" ")[0], "")
    if "z-scores follow" in protocol:
        yield (
            "From the mean and SD of the training segments on, the z-scores of the LFP follow slow changes, reading "
            "nothing later (ingest.adapt_s)."
        )


def _panel(results: Results, panel: Panel) -> dict:
    """The table of means of one panel: a row per method, or, with many subjects, a column per method."""
    rows = method_table(results, panel)
    subjects = sorted({name for row in rows for name in row.by_subject})
    titles, columns = [row.method for row in rows], [*subjects, ALL, "median", "SD", "n"]
    cells: list[list[dict]] = []
    for row in rows:
        means: list[dict] = [
            {
                "value": row.by_subject.get(name, row.mean if name == ALL else None),
                "paper": panel.printed(row.method, name),
            }
            for name in (*subjects, ALL)
        ]
        printed_sd = panel.printed(row.method, metric="R2_SD")
        spread: list[dict] = [{"value": row.median, "paper": None}, {"value": row.sd, "paper": printed_sd}]
        spread.append({"value": row.n, "paper": None, "digits": 0})
        cells.append([cell | {"baseline": row.baseline} for cell in (*means, *spread)])
    if is_transposed := len(subjects) > MANY_SUBJECTS:
        titles, columns, cells = columns, titles, [list(column) for column in zip(*cells, strict=True)]
    return {
        "figure": panel.figure,
        "corner": "subject" if is_transposed else "method",
        "tables": [
            {"columns": columns[part], "rows": [(title, row[part]) for title, row in zip(titles, cells, strict=True)]}
            for part in _parts(len(columns))
        ],
    }


def _parts(n_columns: int) -> list[slice]:
    """The columns of a table in parts that fit next to each other on paper."""
    n_parts = max(1, -(-n_columns // MOST_COLUMNS))
    length = max(1, -(-n_columns // n_parts))
    return [slice(start, start + length) for start in range(0, max(1, n_columns), length)]


def _sessions(results: Results) -> list[dict]:
    """The table of sessions in parts; a cell is (mean score, SD) over seeds and draws, and what the paper prints; None
    for a missing number."""
    methods, rows = session_means(results)
    printed = results.published_sessions
    return [
        {
            "methods": methods[part],
            "rows": [
                {
                    "session": session,
                    "subject": subject,
                    "cells": [
                        (*(cell or (None, None)), printed.get((method, session)))
                        for method, cell in zip(methods[part], cells[part], strict=True)
                    ],
                }
                for subject, session, cells in rows
            ],
        }
        for part in _parts(len(methods))
    ]


def _clock(results: Results) -> dict:
    """The table of methods compared with the clock; without rows if no trials are aligned."""
    rows = clock_rows(results)
    return {
        "columns": COLUMNS,
        "rows": [(row.method, [row.values[name] for name in NAMES]) for row in rows],
        "words": EXPLANATION,
    }


def _labels(results: Results) -> dict:
    """The table of AUC and accuracy; without rows if behavior is decoded."""
    rows = [(row.method, [row.values[name] for name in LABEL_NAMES]) for row in label_rows(results)]
    return {"title": LABEL_TITLE, "columns": LABEL_COLUMNS, "rows": rows, "words": LABEL_WORDS}


def _tuning(results: Results) -> dict:
    """The table of chosen settings, and the trials of each method; without rows if the sweep has no trials."""
    tuning = results.tuning
    return {
        "columns": COLUMNS_OF_TUNING,
        "rows": tuning_rows(results),
        "words": WORDS_OF_TUNING,
        "sentences": tuning.sentences() if tuning else [],
        "space": dict(tuning.space) if tuning else {},
        "trials": [
            (tuned.title, trial, settings_in_words(trial.values))
            for tuned in (tuning.methods if tuning else ())
            for trial in tuned.trials
        ],
    }


def _printed_p(results: Results, c: Comparison) -> str:
    """The p that the paper prints for a comparison; empty if none."""
    own = (r for r in results.published if r.target.figure == c.figure and r.methods == (c.better, c.worse))
    return next((row.in_figures()[1] for row in own if row.target.metric == P), "")


def _published(results: Results) -> dict:
    """Every number that the paper prints in the figures of the sweep, by figure, next to that of the sweep."""
    figures = unique(row.target.figure for row in results.published)
    return {
        "figures": [
            {"figure": figure, "rows": [row for row in results.published if row.target.figure == figure]}
            for figure in figures
        ],
        "other_protocol": not results.as_the_paper,
    }
