"""A sweep as one page: HTML that needs nothing beside it, no script, no font, no address.

Everything that comes from a file or a recording, names among them, is escaped by the template.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2

from raydistill.evaluation.results import Results, in_words, method_table, session_means
from raydistill.papers.targets import ALL, printed_alignment

PROTOCOLS = {
    "corrected": "Normalisation is fitted on train segments alone and the folds have exactly the sizes that were asked "
    "for. Training stops by the validation fold; every score is of the test fold, which nothing else has seen.",
    "paper": "The paper's rules: signals are normalised over the whole session before it is split, and scores are over "
    "the validation and the test fold together, although training stops by the validation fold. Scores are therefore "
    "optimistic; the corrected protocol keeps the folds apart.",
    "released": "The rules of the paper's released code, with its slips: signals are normalised over the whole session "
    "before it is split, the sizes of the folds are off by one, and scores are over the validation and the test fold "
    "together, although training stops by the validation fold. Scores are therefore optimistic; the corrected protocol "
    "keeps the folds apart.",
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, and what it shows."""

    svg: Path
    caption: str
    data: str
    """The file with its numbers, as the reader will find it."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """The jobs of one line of the sweep file, and what they took."""

    name: str
    jobs: int
    seconds: float
    core_hours: float
    gpu_hours: float


@dataclass(frozen=True, kw_only=True)
class Background:
    """What the page says besides the results."""

    name: str
    question: str
    answers: str
    pictures: Sequence[Picture]
    sessions: int
    subjects: int
    hours: float
    """Of recordings, in segments."""
    data_fingerprint: str
    fingerprint: str
    job_names: Mapping[str, str]
    """Key -> name, of the jobs that failed."""
    lines: Sequence[Line]
    last_run: str
    """How long it took, in words; empty where that is not known."""
    commands: str
    versions: Mapping[str, str]
    sweep: str
    """The sweep file as YAML, with what it includes."""


def html(results: Results, about: Background) -> str:
    """The page."""
    template = (files(__package__) / "report.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(template).render(r=_page(results, about))


def _page(results: Results, about: Background) -> dict:
    """All that the template shows, by the names that it has there."""
    json = results.to_json()
    return {
        "name": about.name,
        "question": about.question or about.name,
        "answers": about.answers,
        "verdicts": [(f"{c.figure}: " if c.figure else "") + in_words(c) for c in results.comparisons],
        "notes": results.notes,
        "panels": [_panel(results, panel) for panel in results.panels],
        "sessions": _sessions(results),
        "tests": json["tests"],
        "alignments": [a.to_json() | {"paper": _printed(results, a)} for a in results.alignments],
        "figures": [
            {"svg": base64.b64encode(p.svg.read_bytes()).decode(), "caption": p.caption, "data": p.data}
            for p in about.pictures
        ],
        "protocol": results.protocol,
        "protocol_words": " ".join(PROTOCOLS[name] for name in results.protocol.split(" and ") if name in PROTOCOLS),
        "data": {
            "sessions": about.sessions,
            "subjects": about.subjects,
            "hours": about.hours,
            "fingerprint": about.data_fingerprint,
        },
        "fingerprint": about.fingerprint,
        "failed": [{"name": about.job_names[f.job], "key": f.job, "cause": f.cause} for f in results.failed],
        "costs": {
            "lines": about.lines,
            "core_hours": sum(line.core_hours for line in about.lines),
            "gpu_hours": sum(line.gpu_hours for line in about.lines),
            "wall": about.last_run,
        },
        "commands": about.commands,
        "versions": about.versions,
        "sweep": about.sweep,
    }


def _panel(results: Results, panel) -> dict:
    rows = method_table(results, panel)
    subjects = sorted({name for row in rows for name in row.by_subject})
    return {
        "figure": panel.figure,
        "subjects": subjects,
        "rows": [
            {
                "method": row.method,
                "baseline": row.baseline,
                "cells": [
                    (row.by_subject.get(name, row.mean if name == ALL else None), panel.printed(row.method, name))
                    for name in (*subjects, ALL)
                ],
                "sd": row.sd,
                "n": row.n,
            }
            for row in rows
        ],
    }


def _sessions(results: Results) -> dict:
    """R² of every session by method: mean and SD over seeds, None where there is none."""
    methods, rows = session_means(results)
    shown = [
        {"session": session, "subject": subject, "cells": [cell or (None, None) for cell in cells]}
        for subject, session, cells in rows
    ]
    return {"methods": methods, "rows": shown}


def _printed(results: Results, a) -> dict:
    found = printed_alignment(results.panels, a.queries, a.keys)
    return {name: found.get(name) for name in ("top1", "top5", "mean_rank", "CKA")}
