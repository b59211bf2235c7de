"""What a sweep found: scores, baselines, comparisons and failures, as JSON, as tables and in words."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.panel import ALL, WHOLE, Panel
from raydistill.evaluation.statistics import Comparison

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Score:
    """R² of one method on one session with one seed."""

    method: str
    session: str
    subject: str
    seed: int | None
    """None where nothing is drawn: the plain baselines."""
    r2: float
    job: str
    """Key of the job that it comes from."""
    r2_per_axis: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A job without a score, and why."""

    job: str
    session: str | None
    cause: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything that a sweep is read by. `protocol` says under which rules it was made (spec A6)."""

    protocol: str
    scores: tuple[Score, ...]
    baselines: tuple[Score, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    failed: tuple[Failure, ...] = ()
    panels: tuple[Panel, ...] = (WHOLE,)

    def to_json(self) -> dict:
        """What `raydistill results --json` prints; numbers that are not finite are None."""
        return {
            "protocol": self.protocol,
            "scores": [_score_json(s) for s in self.scores],
            "baselines": [_score_json(s) for s in self.baselines],
            "tests": [_test_json(c) for c in self.comparisons],
            "failed": [{"job": f.job, "session": f.session, "cause": f.cause} for f in self.failed],
            "paper": paper_rows(self),
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
        rows += [_row(shown, method, baseline) for method in _unique(s.method for s in shown)]
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
        for name in _unique(subject.values())
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


def render(results: Results, console) -> None:
    """Print method by session, the means by subject, the comparisons in words and the failures (rich)."""
    from rich.text import Text

    console.print(Text(f"Decoding R² under the {results.protocol} protocol; mean ± SD over seeds"))
    console.print(_session_table(results))
    for panel in results.panels:
        of = f"{panel.figure}: " if panel.figure else ""
        printed = any(row["figure"] == panel.figure for row in paper_rows(results))
        beside = "; in brackets the paper's" if printed else ""
        console.print(f"\n{of}mean over sessions, by subject{beside}")
        console.print(_subject_table(results, panel))
        console.print()
        for comparison in results.comparisons:
            if comparison.figure == panel.figure:
                console.print(Text(f"• {in_words(comparison)}"))
    for failure in results.failed:
        console.print(Text(f"failed: {failure.session or ''} {failure.job[:12]}: {failure.cause}", style="red"))


def _session_table(results):
    from rich.table import Table

    scores = [s for s in (*results.scores, *results.baselines) if np.isfinite(s.r2)]
    methods = _unique(s.method for s in scores)
    found = defaultdict(list)
    for s in scores:
        found[s.method, s.session].append(s.r2)
    table = Table("subject", "session", box=None, pad_edge=False)
    for method in methods:
        table.add_column(_plain(method), justify="right", overflow="fold")
    for subject, session in sorted({(s.subject, s.session) for s in scores}):
        cells = []
        for method in methods:
            r2 = found[method, session]
            spread = f"±{_short(np.std(r2, ddof=1), 2)}" if len(r2) > 1 else ""
            cells.append(f"{_short(np.mean(r2))}{spread}" if r2 else "–")
        table.add_row(_plain(subject), _plain(session), *cells)
    return table


def _subject_table(results, panel):
    from rich.table import Table

    rows = method_table(results, panel)
    subjects = sorted({name for row in rows for name in row.by_subject})
    table = Table("method", box=None, pad_edge=False)
    for name in (*subjects, "all", "SD over sessions", "n"):
        table.add_column(_plain(name), justify="right")
    for row in rows:
        values = {name: row.by_subject.get(name, float("nan")) for name in subjects} | {ALL: row.mean}
        cells = [_beside(value, panel.printed(row.method, name)) for name, value in values.items()]
        table.add_row(_plain(row.method), *cells, "–" if np.isnan(row.sd) else _short(row.sd), str(row.n))
    return table


def _beside(value: float, printed: float | None) -> str:
    ours = "–" if np.isnan(value) else _short(value)
    return ours if printed is None else f"{ours} ({_short(printed, 2)})"


def _short(value: float, digits: int = 3) -> str:
    """.123: many columns share a terminal of 80 characters."""
    return f"{value:.{digits}f}".replace("0.", ".", 1)


def _plain(text):
    from rich.text import Text

    return Text(text)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
