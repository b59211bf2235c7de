"""What a sweep found: scores, baselines, comparisons and failures, as JSON, as CSV and in words."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.alignment import Alignment
from raydistill.evaluation.comparisons import Comparison
from raydistill.evaluation.scores import Failure, Score
from raydistill.papers.targets import ALL, WHOLE, Panel

ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that a sweep is read by. `protocol` says under which rules it was made (spec A6)."""

    protocol: str
    scores: tuple[Score, ...]
    baselines: tuple[Score, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    failed: tuple[Failure, ...] = ()
    panels: tuple[Panel, ...] = (WHOLE,)
    alignments: tuple[Alignment, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader should know besides."""

    def to_json(self) -> dict:
        """What `raydistill results --json` prints; numbers that are not finite are None."""
        return {
            "protocol": self.protocol,
            "scores": [_score_json(s) for s in self.scores],
            "baselines": [_score_json(s) for s in self.baselines],
            "tests": [_test_json(c) for c in self.comparisons],
            "failed": [{"job": f.job, "session": f.session, "cause": f.cause} for f in self.failed],
            "paper": paper_rows(self),
            "alignments": [a.to_json() for a in self.alignments],
            "notes": list(self.notes),
        }


def _score_json(s):
    return {
        "method": s.method,
        "session": s.session,
        "subject": s.subject,
        "seed": s.seed,
        "r2": _number(s.r2),
        "job": s.job,
    }


def _test_json(c):
    return {
        "figure": c.figure,
        "better": c.better,
        "worse": c.worse,
        "n": c.test.n,
        "n_zero": c.test.n_zero,
        "n_tie": c.test.n_tie,
        "statistic": _number(c.test.statistic),
        "p": _number(c.test.p),
        "p_method": c.test.p_method,
        "p_holm": _number(c.p_holm),
        "effect_size": _number(c.test.effect_size),
        "mean_difference": _number(c.mean_difference),
        "ci_low": _number(c.ci_low),
        "ci_high": _number(c.ci_high),
        "wins": c.wins,
        "losses": c.losses,
        "session_level": {"n": c.session_level.n, "p": _number(c.session_level.p)},
        "missing": [{"method": m, "session": session, "seed": seed} for m, session, seed in c.missing],
    }


def _number(value):
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Row:
    """One method in the table of means."""

    method: str
    baseline: bool
    by_subject: dict[str, float]
    """Mean R² over the sessions of each subject, the seeds of a session averaged first."""
    mean: float
    """Over all sessions: the session-weighted mean of the subjects' means (spec A0)."""
    sd: float
    """Over sessions; NaN with fewer than two."""
    n: int
    """Scores: sessions times seeds."""


def method_table(results: Results, panel: Panel = WHOLE) -> list[Row]:
    """A row for each method in the order of the scores, then one for each baseline; NaN scores are left out.

    Args:
        panel: whose sessions alone count.
    """
    rows = []
    for scores, baseline in ((results.scores, False), (results.baselines, True)):
        shown = [s for s in scores if panel.shows(s.session)]
        rows += [_row(shown, method, baseline) for method in unique(s.method for s in shown)]
    return rows


def paper_rows(results: Results) -> list[dict]:
    """Our means beside the paper's, wherever it prints one: figure, method, subject ("all" of them), r2, paper_r2."""
    rows = []
    for panel in results.panels:
        for row in method_table(results, panel):
            for subject, value in {**row.by_subject, ALL: row.mean}.items():
                if (printed := panel.printed(row.method, subject)) is not None:
                    where = {"figure": panel.figure, "method": row.method, "subject": subject}
                    rows.append(where | {"r2": _number(value), "paper_r2": printed})
    return rows


def to_csv(results: Results) -> str:
    """A line a score, those of baselines last."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["method", "session", "subject", "seed", "r2", "job"])
    for s in (*results.scores, *results.baselines):
        writer.writerow([s.method, s.session, s.subject, s.seed, s.r2, s.job])
    return text.getvalue()


def _row(scores, method, baseline):
    finite = [s for s in scores if s.method == method and np.isfinite(s.r2)]
    subject = {s.session: s.subject for s in finite}
    by_session = {name: np.mean([s.r2 for s in finite if s.session == name]) for name in subject}
    by_subject = {
        name: float(np.mean([by_session[session] for session in subject if subject[session] == name]))
        for name in unique(subject.values())
    }
    values = list(by_session.values())
    return Row(
        method=method,
        baseline=baseline,
        by_subject=by_subject,
        mean=float(np.mean(values)) if values else float("nan"),
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"),
        n=len(finite),
    )


def session_means(results: Results) -> tuple[list[str], list[tuple[str, str, list]]]:
    """Methods, then baselines; and for each session, by subject and name, (subject, session, cells).

    A cell is (mean, SD) over seeds, the SD None with one seed; None where the method has no score there.
    """
    found = defaultdict(list)
    for s in (*results.scores, *results.baselines):
        if np.isfinite(s.r2):
            found[s.method, s.subject, s.session].append(s.r2)
    methods = unique(method for method, _, _ in found)
    cell = lambda r2: (float(np.mean(r2)), float(np.std(r2, ddof=1)) if len(r2) > 1 else None) if r2 else None  # noqa: E731
    rows = [
        (*place, [cell(found.get((method, *place))) for method in methods])
        for place in sorted({(subject, session) for _, subject, session in found})
    ]
    return methods, rows


def in_words(c: Comparison) -> str:
    """A comparison as two sentences: what was found, and what it rests on."""
    if not c.test.n:
        return f"{c.better} and {c.worse} share no scored session: nothing to compare."
    verdict = "decodes better than" if c.p_holm < ALPHA else "is not shown to decode better than"
    doubt = ", though not over sessions alone" if c.p_holm < ALPHA <= c.session_level.p else ""
    interval = f" (95% CI {c.ci_low:+.3f} to {c.ci_high:+.3f})" if np.isfinite(c.ci_low) else ""
    left_out = f" {len(c.missing)} scores are missing and their pairs left out." if c.missing else ""
    return (
        f"{c.better} {verdict} {c.worse}{doubt}: "
        f"mean difference {c.mean_difference:+.3f} R²{interval}, better in {c.wins} and worse in {c.losses} of "
        f"{c.test.n} pairs. One-sided signed-rank test over session-seed pairs: p = {c.test.p:.2g} "
        f"({c.test.p_method}), {c.p_holm:.2g} after Holm; over {c.session_level.n} "
        f"session{'s' if c.session_level.n != 1 else ''}: p = {c.session_level.p:.2g}.{left_out}"
    )


def unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
