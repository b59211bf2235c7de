"""A published figure with our scores and the paper's numbers: a lettered panel per subject, one over all sessions."""

from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raydistill.evaluation.figures.methods import LEGEND_ROW
from raydistill.evaluation.figures.style import (
    GREY,
    ONE_COLUMN,
    TWO_COLUMNS,
    drawn,
    legend_columns,
    look,
    marker,
    save,
    styled,
)
from raydistill.evaluation.means import MethodMeans
from raydistill.evaluation.results import Results, method_table, unique
from raydistill.papers.targets import ALL, Panel

PAPER: dict[str, Any] = {"color": "black", "marker": "D", "markerfacecolor": "none", "markeredgewidth": 0.7}
"""Look of a number that the paper prints."""


@styled
def published_figure(results: Results, panel: Panel, path: Path, narrow: bool = False) -> dict[str, Path]:
    """Decoding R² in the sessions of one figure: a panel per subject, and one over all sessions.

    A dot is a session (mean over seeds and draws), a bar the mean over the sessions of the panel, and an open diamond a
    number that the paper prints, of a mean or of a session. Scores below `LOWEST` are drawn there; the data file has
    them. Methods have the colours that they have in the other figures of the sweep.

    Args:
        path: without extension.
        narrow: as wide as a phone.
    """
    rows = [row for row in method_table(results, panel) if not row.baseline and row.n]
    place = {method: m for m, method in enumerate(unique(s.method for s in results.scores))}
    of_subject = {s.session: s.subject for s in results.scores if panel.shows(s.session)}
    subjects = [*sorted({s for row in rows for s in row.by_subject}), ALL]
    width, columns = (ONE_COLUMN, 2) if narrow else (TWO_COLUMNS, _columns(len(subjects)))
    n_rows = -(-len(subjects) // columns)
    handles = [marker(row.method, look(place[row.method])) for row in rows]
    handles.append(Line2D([], [], linestyle="", markersize=3.5, label="printed in the paper", **PAPER))
    in_legend = legend_columns(handles, width)
    legend = LEGEND_ROW * -(-len(handles) // in_legend)
    figure = Figure(figsize=(width, 0.3 + 1.7 * n_rows + legend))
    axes = figure.subplots(n_rows, columns, sharey=True, squeeze=False)
    for ax in axes.flat[len(subjects) :]:
        ax.set_axis_off()
    for letter, ax, subject in zip(ascii_lowercase, axes.flat, subjects, strict=False):
        name = "all sessions" if subject == ALL else f"subject {subject}"
        ax.set_title(f"{letter}  {name}", loc="left")
        _draw(ax, rows, place, panel, subject, of_subject)
    for ax in axes[:, 0]:
        ax.set_ylabel("decoding R²")
    figure.legend(handles=handles, loc="outside upper center", ncols=in_legend)
    table = [entry for row in rows for entry in _table(row, panel, subjects, of_subject)]
    return save(figure, path, ("method", "subject", "session", "mean_r2", "paper_r2"), table, narrow)


def _columns(n_panels: int) -> int:
    """Panels next to each other: all of few; of more, as many as give rows of nearly equal length."""
    n_rows = -(-n_panels // 5)
    return -(-n_panels // n_rows)


def _draw(ax: Axes, rows: list[MethodMeans], place: dict[str, int], panel: Panel, subject: str, of: dict[str, str]):
    """One panel: a column per method."""
    for x, row in enumerate(rows):
        sessions = sorted(s for s in row.by_session if subject in (ALL, of[s]))
        if not sessions:
            continue
        mark = look(place[row.method])
        at = x + (np.linspace(-0.28, 0.28, len(sessions)) if len(sessions) > 1 else np.zeros(1))
        ax.scatter(at, drawn([row.by_session[s] for s in sessions]), s=7, linewidths=0, zorder=3, **mark)
        mean = drawn(row.mean if subject == ALL else row.by_subject[subject])
        ax.plot([x - 0.4, x + 0.4], [mean] * 2, color="black", linewidth=1.2, solid_capstyle="butt", zorder=2)
        printed = [
            (at_session, 2.2, panel.printed(row.method, of[s], s)) for at_session, s in zip(at, sessions, strict=True)
        ]
        printed.append((x, 3.5, panel.printed(row.method, subject)))
        for position, size, text in printed:
            if text is not None:
                ax.plot([position], [float(text)], markersize=size, zorder=4, **PAPER)
    ax.axhline(0, color=GREY, linewidth=0.5, zorder=1)
    ax.set_xlim(-0.7, len(rows) - 0.3)
    ax.set_xticks([])


def _table(row: MethodMeans, panel: Panel, subjects: list[str], of: dict[str, str]) -> list[tuple]:
    """The drawn numbers of a method: its sessions, then its means."""
    by_subject = {**row.by_subject, ALL: row.mean}
    sessions = [
        (row.method, of[s], s, row.by_session[s], panel.printed(row.method, of[s], s)) for s in sorted(row.by_session)
    ]
    means = [(row.method, s, "", by_subject[s], panel.printed(row.method, s)) for s in subjects if s in by_subject]
    return [*sessions, *means]
