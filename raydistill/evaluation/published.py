"""The numbers that a paper prints, next to those of a sweep: means, SDs, sessions, tests, similarity of latents."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from raydistill.evaluation.alignment import Alignment
from raydistill.evaluation.comparisons import Comparison
from raydistill.evaluation.means import MethodMeans
from raydistill.papers.paper import Target
from raydistill.papers.targets import ALL, Panel

P = "p_below"
QUANTITIES = {
    "R2_SD": "SD of R²",
    P: "p",
    "wins": "wins",
    "losses": "losses",
    "gain_of_wins": "mean gain of the wins",
    "gain_of_losses": "mean gain of the losses",
    "top1": "top-1",
    "top5": "top-5",
    "mean_rank": "mean rank",
    "CKA": "CKA",
}
"""Metric of a printed number, other than R² -> its name for readers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRow:
    """One printed number and that of the sweep."""

    target: Target
    about: str
    """Method, or the two methods that are compared, by their names in the sweep."""
    ours: float
    """NaN if the sweep has no score for it."""
    n: int
    """Number of sessions behind `ours`; of a test, of pairs of session and seed; of latents, of segments."""
    methods: tuple[str, ...] = field(default=(), repr=False)
    """The methods in `about`."""

    @property
    def quantity(self) -> str:
        """What is measured, and of a mean R² over which sessions, or in which."""
        if self.target.metric != "R2":
            return QUANTITIES[self.target.metric]
        if self.target.session:
            return self.target.session
        return "all sessions" if self.target.subject == ALL else f"subject {self.target.subject}"

    def in_figures(self) -> tuple[str, str]:
        """Our number, or a dash, and the one that is printed."""
        ours = "–" if np.isnan(self.ours) else _text(self.ours, self.target.metric)
        return ours, ("< " if self.target.metric == P else "") + self.target.text

    def to_json(self) -> dict:
        """As JSON data."""
        t = self.target
        where = {"figure": t.figure, "setting": t.setting, "method": self.about, "subject": t.subject}
        numbers = {"ours": None if np.isnan(self.ours) else self.ours, "n": self.n, "paper": t.value}
        return where | {"session": t.session or None, "metric": t.metric} | numbers | {"note": t.note}


def published_rows(
    panels: Iterable[Panel],
    means_of: Callable[[Panel], Sequence[MethodMeans]],
    comparisons: Sequence[Comparison],
    alignments: Sequence[Alignment],
) -> list[PublishedRow]:
    """A row for every number printed in the figures of a sweep, in the order of the paper's file.

    Args:
        means_of: panel -> the means of its methods.
    """
    rows = []
    for panel in panels:
        means = {row.method: row for row in means_of(panel)}
        tests = {(c.better, c.worse): c for c in comparisons if c.figure == panel.figure}
        pairs = {(a.queries, a.keys): a for a in alignments}
        for target, methods in panel.answers():
            if methods in panel.aligned:
                ours, n = _of_alignment(pairs.get(methods), target.metric)
            elif len(methods) == 2:
                ours, n = _of_test(tests.get(methods), target.metric)
            else:
                ours, n = _of_means(means.get(methods[0]), target)
            about = (" ~ " if methods in panel.aligned else " > ").join(methods)
            rows.append(PublishedRow(target=target, about=about, ours=ours, n=n, methods=methods))
    return rows


def printed_of_test(rows: Iterable[PublishedRow], figure: str | None, better: str, worse: str) -> str:
    """What the paper prints of a comparison, as a sentence; empty if nothing."""
    own = [row for row in rows if row.target.figure == figure and row.methods == (better, worse)]
    if not own:
        return ""
    numbers = ", ".join(f"{row.quantity} {'' if row.target.metric == P else '= '}{row.in_figures()[1]}" for row in own)
    notes = "; ".join(dict.fromkeys(row.target.note for row in own if row.target.note))
    return f"The paper has {numbers} ({own[0].target.setting}{'; ' if notes else ''}{notes})."


def published_csv(rows: Iterable[PublishedRow]) -> str:
    """One line per printed number; empty without any."""
    text = io.StringIO()
    documents = [row.to_json() for row in rows]
    if not documents:
        return ""
    writer = csv.DictWriter(text, list(documents[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(documents)
    return text.getvalue()


def _of_means(means: MethodMeans | None, target: Target) -> tuple[float, int]:
    if means is None:
        return float("nan"), 0
    sessions = means.sessions_of.get(target.subject, 0) if target.subject != ALL else len(means.by_session)
    if target.session:
        return means.by_session.get(target.session, float("nan")), int(target.session in means.by_session)
    if target.metric == "R2_SD":
        return means.sd, sessions
    return (means.mean if target.subject == ALL else means.by_subject.get(target.subject, float("nan"))), sessions


def _of_test(c: Comparison | None, metric: str) -> tuple[float, int]:
    if c is None:
        return float("nan"), 0
    gains = np.array([better - worse for _, _, better, worse in c.pairs])
    values: Mapping[str, float] = {
        P: c.test.p,
        "wins": c.wins,
        "losses": c.losses,
        "gain_of_wins": gains[gains > 0].mean() if c.wins else float("nan"),
        "gain_of_losses": gains[gains < 0].mean() if c.losses else float("nan"),
    }
    return float(values[metric]), c.test.n


def _of_alignment(a: Alignment | None, metric: str) -> tuple[float, int]:
    if a is None:
        return float("nan"), 0
    value = a.cka.cka if metric == "CKA" else getattr(a.overall, metric)
    return float(value), a.overall.n


def _text(value: float, metric: str) -> str:
    if metric == P:
        return f"{value:.2g}"
    return (
        f"{value:.0f}" if metric in ("wins", "losses") else f"{value:.2f}" if metric == "mean_rank" else f"{value:.3f}"
    )
