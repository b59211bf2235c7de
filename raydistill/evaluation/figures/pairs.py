"""Comparisons of two methods as lines between their scores for the same session and seed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raydistill.evaluation.comparisons import Comparison
from raydistill.evaluation.figures.style import (
    GREY,
    ONE_COLUMN,
    OTHER_COLORS,
    TWO_COLUMNS,
    drawn,
    legend_columns,
    look_of_subject,
    marker,
    save,
    styled,
)
from raydistill.evaluation.results import Results, unique

MOST_SESSIONS = 2 * len(OTHER_COLORS)
"""Sessions that are told apart by colour and marker; of more, subjects are."""
LEGEND_ROW = 0.16
"""Height of a row of the legend, in inches."""

Look = tuple[str, Mapping[str, Any]]
"""What the legend says of a line, and its colour and marker."""


@styled
def paired_differences(results: Results, path: Path, narrow: bool = False) -> dict[str, Path]:
    """One panel per comparison: a line per session and seed from method `worse` to method `better`; test below.

    Lines of one session have one colour and marker; with many sessions, lines of one subject do. Scores below `LOWEST`
    are drawn there; the numbers below a panel, and the data file, have them.

    Args:
        path: without extension.
        narrow: as wide as a phone.
    """
    comparisons, key = [c for c in results.comparisons if c.pairs], results.measure.key
    looks = _looks(results, comparisons)
    n_columns = min(max(len(comparisons), 1), 2 if narrow else 4)
    n_rows = max(1, -(-len(comparisons) // n_columns))
    width = TWO_COLUMNS if n_columns > 2 else ONE_COLUMN
    handles = [marker(name, dict(mark)) for name, mark in dict(looks.values()).items()]
    in_legend = legend_columns(handles, width) if handles else 1
    figure = Figure(figsize=(width, 2.8 * n_rows + LEGEND_ROW * (-(-len(handles) // in_legend))))
    axes = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for ax in axes.flat[len(comparisons) :]:
        ax.set_axis_off()
    for ax, c in zip(axes.flat, comparisons, strict=False):
        _pair_lines(ax, c, looks)
    for ax in axes[:, 0]:
        ax.set_ylabel(f"decoding {results.measure.symbol}")
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=in_legend)
    return save(
        figure,
        path,
        ("better", "worse", "session", "seed", f"{key}_better", f"{key}_worse", "difference"),
        [(c.better, c.worse, *pair, pair[2] - pair[3]) for c in comparisons for pair in c.pairs],
        narrow,
    )


def _looks(results: Results, comparisons: Sequence[Comparison]) -> dict[str, Look]:
    """Session -> its look, or that of its subject if there are many sessions."""
    sessions = sorted({pair[0] for c in comparisons for pair in c.pairs})
    if len(sessions) <= MOST_SESSIONS:
        return {session: (session, look_of_subject(i)) for i, session in enumerate(sessions)}
    subject_of = {s.session: s.subject for s in results.all_scores}
    subjects = unique(subject_of[session] for session in sessions)
    if len(subjects) > MOST_SESSIONS:
        return {session: ("a session", {"color": GREY, "marker": "o"}) for session in sessions}
    return {session: (subject := subject_of[session], look_of_subject(subjects.index(subject))) for session in sessions}


def _pair_lines(ax: Axes, c: Comparison, looks: Mapping[str, Look]) -> None:
    for session, _, better, worse in c.pairs:
        ax.plot(
            [0, 1],
            drawn([worse, better]),
            linewidth=0.7,
            alpha=0.7,
            markersize=3,
            markeredgewidth=0,
            **looks[session][1],
        )
    means = np.mean([p[2:] for p in c.pairs], axis=0)
    ax.plot([0, 1], drawn(means[::-1]), color="black", linewidth=2, marker="o", markersize=4, zorder=5)
    ax.set_xticks([0, 1], [fill(name, 12) for name in (c.worse, c.better)])
    ax.set_xlim(-0.3, 1.3)
    interval = f"\n95% CI {c.ci_low:+.3f} to {c.ci_high:+.3f}" if np.isfinite(c.ci_low) else ""
    ax.set_xlabel(
        f"{c.mean_difference:+.3f} {c.measure.symbol}{interval}\n{c.wins} better, {c.losses} worse\n"
        f"{c.test.n} pairs: p = {c.test.p:.2g}\nHolm: p = {c.p_holm:.2g}\n"
        f"{c.session_level.n} sessions: p = {c.session_level.p:.2g}"
    )
