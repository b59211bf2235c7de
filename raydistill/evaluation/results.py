"""The results of a sweep: scores, baselines, comparisons and failures, as JSON and as CSV."""

import csv
import functools
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace

import numpy as np

from raydistill.evaluation.alignment import Alignment
from raydistill.evaluation.below import BelowBaseline
from raydistill.evaluation.comparisons import Comparison
from raydistill.evaluation.controls import ControlTest
from raydistill.evaluation.equal_settings import EqualSettings
from raydistill.evaluation.flags import Flag, flags_of
from raydistill.evaluation.means import MethodMeans, method_means
from raydistill.evaluation.measure import R2, Measure
from raydistill.evaluation.published import PublishedRow, printed_of_test, published_rows
from raydistill.evaluation.scores import Failure, LabelNumbers, MissingJob, Score
from raydistill.evaluation.sees import Sees
from raydistill.evaluation.settings import DifferentSettings
from raydistill.evaluation.tuning import TuningResults
from raydistill.papers.table import PAPERS
from raydistill.papers.targets import WHOLE, Panel

MANY_SUBJECTS = 8
"""With more subjects, the table of means has a row per subject and not a column."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """All results of a sweep."""

    protocol: str
    """Rules of normalisation, splits and scoring (docs/methods.md, Splits and protocols); several joined by "and"."""
    scores: tuple[Score, ...]
    """Of the methods, in the order of the sweep file."""
    measure: Measure = R2
    """What the scores are."""
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
    below: tuple[BelowBaseline, ...] = ()
    """Methods that decode worse than a plain decoder."""
    settings: tuple[DifferentSettings, ...] = ()
    """For each comparison of methods with different settings: which."""
    notes: tuple[str, ...] = ()
    """Remarks on the results, such as sessions missing from a group."""

    def to_json(self) -> dict:
        """What `raydistill results --json` prints; a number that is not finite becomes None."""
        return {
            "protocol": self.protocol,
            "measure": self.measure.key,
            "scores": [_score_json(s, self.measure) for s in self.scores],
            "baselines": [_score_json(s, self.measure) for s in self.baselines],
            "means": [
                {"figure": panel.figure} | _means_json(row)
                for panel in self.figures
                for row in method_table(self, panel)
            ],
            "sees": [s.to_json() for s in self.sees],
            "below_baselines": [b.in_words() for b in self.below],
            "flags": [flag.to_json() for flag in self.flags],
            "settings": [s.to_json() for s in self.settings],
            "tests": [_test_json(c) for c in self.comparisons],
            "controls": [
                {"method": c.method, "control": c.control, self.measure.key: c.value} | _test_json(c.gain)
                for c in self.controls
            ],
            "tuning": self.tuning and self.tuning.to_json(),
            "equal_settings": [row.to_json() for row in self.equal],
            "control_scores": [_score_json(s, self.measure) for s in self.control_scores],
            "failed": [{"job": f.job, "session": f.session, "cause": f.cause} for f in self.failed],
            "missing": [{"job": m.job, "name": m.name, "reason": m.reason} for m in self.missing],
            "paper": [row.to_json() for row in self.published],
            "alignments": [a.to_json() for a in self.alignments],
            "notes": list(self.notes),
        }

    def settings_of(self, c: Comparison) -> str:
        """What differs in the settings of two compared methods, as a sentence; empty if nothing does."""
        of = (c.better, c.worse, c.figure)
        return next((s.in_words() for s in self.settings if (s.better, s.worse, s.figure) == of), "")

    def about(self, c: Comparison) -> str:
        """What a reader of a comparison has to know: the settings that differ, and what the paper prints; or empty."""
        printed = printed_of_test(self.published, c.figure, c.better, c.worse)
        return " ".join(text for text in (printed, self.settings_of(c)) if text)

    @property
    def figures(self) -> tuple[Panel, ...]:
        """The panels that show scores."""
        return tuple(panel for panel in self.panels if panel.methods is None or panel.methods)

    @functools.cached_property
    def published(self) -> list[PublishedRow]:
        """Every number that the paper prints in the figures of the sweep, with that of the sweep."""
        return published_rows(self.panels, functools.partial(method_table, self), self.comparisons, self.alignments)

    @property
    def as_the_paper(self) -> bool:
        """Whether scores follow a protocol of the paper whose numbers are shown."""
        papers = {panel.paper for panel in self.panels if panel.paper and panel.figure}
        return all(self.protocol in PAPERS[name].protocols for name in papers)

    def published_alignment(self, a: Alignment) -> dict[str, str]:
        """Metric -> what the paper prints for the latents of two methods."""
        return {r.target.metric: r.target.text for r in self.published if r.about == f"{a.queries} ~ {a.keys}"}

    @property
    def published_sessions(self) -> dict[tuple[str, str], str]:
        """(method, session) -> the R² that the paper prints."""
        return {(r.about, r.target.session): r.target.text for r in self.published if r.target.session}

    def part(self, panel: Panel) -> "Results":
        """The results of the sessions and methods of one figure."""
        return replace(
            self,
            scores=tuple(s for s in self.scores if panel.shows(s.session) and panel.has(s.method)),
            baselines=tuple(s for s in self.baselines if panel.shows(s.session)),
            control_scores=tuple(s for s in self.control_scores if panel.shows(s.session)),
            comparisons=tuple(c for c in self.comparisons if c.figure == panel.figure),
            controls=tuple(c for c in self.controls if c.gain.figure == panel.figure),
            panels=(panel,),
        )

    @property
    def flags(self) -> list[Flag]:
        """Scores that say little."""
        return flags_of(self.all_scores, self.measure)

    @property
    def all_scores(self) -> tuple[Score, ...]:
        """Of the methods, then of the controls, then of the baselines."""
        return (*self.scores, *self.control_scores, *self.baselines)

    @property
    def repeats(self) -> str:
        """What the score of a session is a mean over, in words."""
        return "seeds and draws of the folds" if any(s.draw > 1 for s in self.all_scores) else "seeds"


def _score_json(s: Score, measure: Measure) -> dict:
    further = {} if s.label is None else asdict(s.label)
    return {
        "method": s.method,
        "session": s.session,
        "subject": s.subject,
        "seed": s.seed,
        "draw": s.draw,
        measure.key: _number(s.value),
        "job": s.job,
        "n_segments": s.n_segments,
        "seconds": s.seconds,
        "clock": s.clock and s.clock.metrics(),
        "neural": s.neural or None,
        "fit": s.fit or None,
    } | further


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


def method_table(results: Results, panel: Panel = WHOLE) -> list[MethodMeans]:
    """Means of each method in the order of the scores, then of each baseline; scores that are not finite are excluded.

    Args:
        panel: only its methods, and the baselines, have a row; the means are over its sessions only.
    """
    rows: list[MethodMeans] = []
    for scores, baseline in ((results.scores, False), (results.baselines, True)):
        by_method = defaultdict(list)
        for s in scores:
            if panel.shows(s.session) and (baseline or panel.has(s.method)):
                by_method[s.method].append(s)
        rows += [method_means(method, of_method, baseline) for method, of_method in by_method.items()]
    return rows


def to_csv(results: Results) -> str:
    """One line per score, controls and baselines last."""
    text = io.StringIO()
    writer = csv.writer(text)
    further = [f.name for f in fields(LabelNumbers)] if any(s.label for s in results.all_scores) else []
    writer.writerow(["method", "session", "subject", "seed", "draw", results.measure.key, "job", *further])
    for s in results.all_scores:
        numbers = [getattr(s.label, name, None) for name in further]
        writer.writerow([s.method, s.session, s.subject, s.seed, s.draw, s.value, s.job, *numbers])
    return text.getvalue()


def session_means(results: Results) -> tuple[list[str], list[tuple[str, str, list]]]:
    """Mean score of each method and session over seeds and draws of the folds.

    Returns:
        The methods followed by the baselines, and a row (subject, session, cells) per session, sorted. A cell is
        (mean, SD over seeds and draws or None for one score); it is None if the method has no score for the session.
    """
    values_of = defaultdict(list)
    for s in (*results.scores, *results.baselines):
        if np.isfinite(s.value):
            values_of[s.method, s.subject, s.session].append(s.value)
    methods = unique(method for method, _, _ in values_of)
    rows = [
        (subject, session, [_mean_and_sd(values_of.get((method, subject, session))) for method in methods])
        for subject, session in sorted({(subject, session) for _, subject, session in values_of})
    ]
    return methods, rows


def _mean_and_sd(values: Sequence[float] | None) -> tuple[float, float | None] | None:
    if not values:
        return None
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None


def unique(names: Iterable[str]) -> list[str]:
    """The names in their order, each once."""
    return list(dict.fromkeys(names))
