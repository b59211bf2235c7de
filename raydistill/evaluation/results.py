"""The results of a sweep: scores, baselines, comparisons and failures, as JSON and as CSV."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.alignment import Alignment
from raydistill.evaluation.comparisons import Comparison
from raydistill.evaluation.controls import ControlTest
from raydistill.evaluation.equal_settings import EqualSettings
from raydistill.evaluation.flags import Flag, flags_of
from raydistill.evaluation.scores import Failure, MissingJob, Score
from raydistill.evaluation.sees import Sees
from raydistill.evaluation.settings import DifferentSettings
from raydistill.evaluation.tuning import TuningResults
from raydistill.papers.targets import ALL, WHOLE, Panel

MANY_SUBJECTS = 8
"""With more subjects, the table of means has a row per subject and not a column."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """All results of a sweep."""

    protocol: str
    """Rules of normalisation, splits and scoring (docs/methods.md, Splits and protocols); several joined by "and"."""
    scores: tuple[Score, ...]
    """Of the methods, in the order of the sweep file."""
    baselines: tuple[Score, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    control_scores: tuple[Score, ...] = ()
    """Of the controls of distilled methods."""
    controls: tuple[ControlTest, ...] = ()
    failed: tuple[Failure, ...] = ()
    missing: tuple[MissingJob, ...] = ()
    panels: tuple[Panel, ...] = (WHOLE,)
    alignments: tuple[Alignment, ...] = ()
    sees: tuple[Sees, ...] = ()
    """What each method and baseline sees."""
    tuning: TuningResults | None = None
    """How the settings of the methods were chosen; None: they are those of the sweep file."""
    equal: tuple[EqualSettings, ...] = ()
    """Rows of methods with the settings of those that they are compared with."""
    below: tuple[str, ...] = ()
    """Sentences about methods that decode worse than a plain decoder, with what to try."""
    settings: tuple[DifferentSettings, ...] = ()
    """For each comparison of methods with different settings: which."""
    notes: tuple[str, ...] = ()
    """Remarks on the results, such as sessions missing from a group."""

    def to_json(self) -> dict:
        """What `raydistill results --json` prints; a number that is not finite becomes None."""
        return {
            "protocol": self.protocol,
            "scores": [_score_json(s) for s in self.scores],
            "baselines": [_score_json(s) for s in self.baselines],
            "means": [_means_json(row) for row in method_table(self)],
            "sees": [s.to_json() for s in self.sees],
            "below_baselines": list(self.below),
            "flags": [flag.to_json() for flag in self.flags],
            "settings": [s.to_json() for s in self.settings],
            "tests": [_test_json(c) for c in self.comparisons],
            "controls": [
                {"method": c.method, "control": c.control, "r2": c.r2} | _test_json(c.gain) for c in self.controls
            ],
            "tuning": self.tuning and self.tuning.to_json(),
            "equal_settings": [row.to_json() for row in self.equal],
            "control_scores": [_score_json(s) for s in self.control_scores],
            "failed": [{"job": f.job, "session": f.session, "cause": f.cause} for f in self.failed],
            "missing": [{"job": m.job, "name": m.name, "reason": m.reason} for m in self.missing],
            "paper": paper_rows(self),
            "alignments": [a.to_json() for a in self.alignments],
            "notes": list(self.notes),
        }

    def settings_of(self, c: Comparison) -> str:
        """What differs in the settings of two compared methods, as a sentence; empty if nothing does."""
        found = (s.in_words() for s in self.settings if (s.better, s.worse) == (c.better, c.worse))
        return next(found, "")

    @property
    def flags(self) -> list[Flag]:
        """Scores that say little."""
        return flags_of(self.all_scores)

    @property
    def all_scores(self) -> tuple[Score, ...]:
        """Of the methods, then of the controls, then of the baselines."""
        return (*self.scores, *self.control_scores, *self.baselines)

    @property
    def repeats(self) -> str:
        """What the score of a session is a mean over, in words."""
        return "seeds and draws of the folds" if any(s.draw > 1 for s in self.all_scores) else "seeds"


def _score_json(s: Score) -> dict:
    return {
        "method": s.method,
        "session": s.session,
        "subject": s.subject,
        "seed": s.seed,
        "draw": s.draw,
        "r2": _number(s.r2),
        "job": s.job,
        "n_segments": s.n_segments,
        "seconds": s.seconds,
        "clock": s.clock and s.clock.metrics(),
    }


def _means_json(row: "MethodMeans") -> dict:
    numbers = {"mean": _number(row.mean), "median": _number(row.median), "sd": _number(row.sd)}
    return {"method": row.method, "baseline": row.baseline, **numbers, "n": row.n}


def _test_json(c: Comparison) -> dict:
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
        "session_level": {
            "n": c.session_level.n,
            "p": _number(c.session_level.p),
            "smallest_p": c.session_level.smallest_p,
            "sessions_needed": c.session_level.needed,
        },
        "missing": [{"method": m, "session": session, "seed": seed} for m, session, seed in c.missing],
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class MethodMeans:
    """Mean R² of one method: a row in the table of means."""

    method: str
    baseline: bool
    """Whether the method is a baseline."""
    by_subject: dict[str, float]
    """Subject -> mean R² over its sessions; the seeds and draws of a session are averaged first."""
    mean: float
    """Mean R² over all sessions, that is the session-weighted mean over subjects."""
    median: float
    """Median over all sessions, which a single session far off does not move."""
    sd: float
    """Standard deviation over sessions; NaN for fewer than two."""
    n: int
    """Number of scores: sessions times seeds times draws of the folds."""


def method_table(results: Results, panel: Panel = WHOLE) -> list[MethodMeans]:
    """Means of each method in the order of the scores, then of each baseline; scores that are not finite are excluded.

    Args:
        panel: the means are over its sessions only.
    """
    rows: list[MethodMeans] = []
    for scores, baseline in ((results.scores, False), (results.baselines, True)):
        by_method = defaultdict(list)
        for s in scores:
            if panel.shows(s.session):
                by_method[s.method].append(s)
        rows += [_method_means(method, of_method, baseline) for method, of_method in by_method.items()]
    return rows


def paper_rows(results: Results) -> list[dict]:
    """The mean R² of the sweep and the published one, for every mean that the paper prints.

    Returns:
        Rows of figure, method, subject ("all": mean over subjects), r2 and paper_r2.
    """
    rows: list[dict] = []
    for panel in results.panels:
        for row in method_table(results, panel):
            for subject, value in {**row.by_subject, ALL: row.mean}.items():
                if (printed := panel.printed(row.method, subject)) is not None:
                    where = {"figure": panel.figure, "method": row.method, "subject": subject}
                    rows.append(where | {"r2": _number(value), "paper_r2": printed})
    return rows


def to_csv(results: Results) -> str:
    """One line per score, controls and baselines last."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["method", "session", "subject", "seed", "draw", "r2", "job"])
    for s in results.all_scores:
        writer.writerow([s.method, s.session, s.subject, s.seed, s.draw, s.r2, s.job])
    return text.getvalue()


def _method_means(method: str, scores: Sequence[Score], baseline: bool) -> MethodMeans:
    finite = [s for s in scores if np.isfinite(s.r2)]
    of_session, of_subject = defaultdict(list), defaultdict(list)
    for s in finite:
        of_session[s.subject, s.session].append(s.r2)
    values = [np.mean(r2) for r2 in of_session.values()]
    for (subject, _), mean in zip(of_session, values, strict=True):
        of_subject[subject].append(mean)
    return MethodMeans(
        method=method,
        baseline=baseline,
        by_subject={subject: float(np.mean(means)) for subject, means in of_subject.items()},
        mean=float(np.mean(values)) if values else float("nan"),
        median=float(np.median(values)) if values else float("nan"),
        sd=float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"),
        n=len(finite),
    )


def session_means(results: Results) -> tuple[list[str], list[tuple[str, str, list]]]:
    """Mean R² of each method and session over seeds and draws of the folds.

    Returns:
        The methods followed by the baselines, and a row (subject, session, cells) per session, sorted. A cell is
        (mean, SD over seeds and draws or None for one score); it is None if the method has no score for the session.
    """
    r2_of = defaultdict(list)
    for s in (*results.scores, *results.baselines):
        if np.isfinite(s.r2):
            r2_of[s.method, s.subject, s.session].append(s.r2)
    methods = unique(method for method, _, _ in r2_of)
    rows = [
        (subject, session, [_mean_and_sd(r2_of.get((method, subject, session))) for method in methods])
        for subject, session in sorted({(subject, session) for _, subject, session in r2_of})
    ]
    return methods, rows


def _mean_and_sd(r2: Sequence[float] | None) -> tuple[float, float | None] | None:
    if not r2:
        return None
    return float(np.mean(r2)), float(np.std(r2, ddof=1)) if len(r2) > 1 else None


def unique(names: Iterable[str]) -> list[str]:
    """The names in their order, each once."""
    return list(dict.fromkeys(names))
