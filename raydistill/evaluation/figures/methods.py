"""Decoding R² of the methods: sessions as dots by subject."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raydistill.evaluation.figures.style import (
    DASHES,
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
from raydistill.evaluation.results import Results, unique
from raydistill.evaluation.scores import Score
from raydistill.evaluation.sees import Sees

MOST_BASELINES = 4
"""More lines than this hide the sessions."""
LEGEND_ROW = 0.15
"""Height of a row of the legend, in inches."""


@styled
def session_dots(results: Results, path: Path, narrow: bool = False) -> dict[str, Path]:
    """Decoding R² of each session by subject and method; baselines are lines at their mean over the subject.

    Of many baselines, lines are drawn of those that see most (`_drawn_baselines`); the data file has them all.

    A dot is a session (mean over seeds and draws) and its bar their SD; a bar across, behind the dots, is the mean over
    several sessions. Scores below `LOWEST` are drawn there; the data file has them.

    Args:
        path: without extension; here and below.
        narrow: as wide as a phone; here and below.
    Returns:
        Extension (png, pdf, svg, csv) -> file.
    """
    scores = [s for s in results.scores if np.isfinite(s.value)]
    baselines = [s for s in results.baselines if np.isfinite(s.value)]
    methods = list(dict.fromkeys(s.method for s in scores))
    lines = _drawn_baselines(results)
    subjects = sorted({s.subject for s in (*scores, *baselines)})

    step = len(methods) + 1  # columns from one subject to the next
    widest = ONE_COLUMN if narrow else TWO_COLUMNS
    per_row = max(1, (13 if narrow else 30) // step)
    rows = [subjects[i : i + per_row] for i in range(0, len(subjects), per_row)] or [[]]
    columns = min(len(subjects), per_row) * step
    handles = [marker(method, look(m)) for m, method in enumerate(methods)]
    handles += [Line2D([], [], label=name, **_line(b)) for b, name in enumerate(lines)]
    width = float(np.clip(0.24 * columns + 0.8, ONE_COLUMN, widest))
    in_legend = legend_columns(handles, width) if handles else 1
    legend_rows = -(-len(handles) // in_legend)
    figure = Figure(figsize=(width, 0.6 + 1.9 * len(rows) + LEGEND_ROW * max(0, legend_rows - 3)))
    for ax, row in zip(figure.subplots(len(rows), 1, sharey=True, squeeze=False)[:, 0], rows, strict=True):
        for g, subject in enumerate(row):
            for m, method in enumerate(methods):
                _dots(ax, g * step + m, [s for s in scores if (s.method, s.subject) == (method, subject)], m)
            for b, baseline in enumerate(lines):
                r2 = [s.value for s in baselines if (s.method, s.subject) == (baseline, subject)]
                if r2:
                    span = [g * step - 0.5, g * step + len(methods) - 0.5]
                    ax.plot(span, drawn([np.mean(r2)] * 2), **_line(b), linewidth=1, zorder=1)
        ax.set_xticks([g * step + (len(methods) - 1) / 2 for g in range(len(row))], row)
        ax.set_xlim(-0.8, max(columns, 1) - 1.2)
        ax.tick_params(axis="x", length=0)
        ax.set_ylabel(f"decoding {results.measure.symbol}")
    ax.set_xlabel("subject")
    figure.legend(handles=handles, loc="outside upper center", ncols=in_legend)
    return save(
        figure,
        path,
        ("kind", "method", "subject", "session", "seed", results.measure.key),
        [
            (kind, s.method, s.subject, s.session, s.seed, s.value)
            for kind, group in (("method", scores), ("baseline", baselines))
            for s in group
        ],
        narrow,
    )


def _drawn_baselines(results: Results) -> list[str]:
    """All baselines if they are few; otherwise, for each signal, the one that sees most: past, future and clock.

    The choice does not depend on scores, so it favours no method.
    """
    names = unique(s.method for s in results.baselines if np.isfinite(s.value))
    sees = {s.method: s for s in results.sees}
    if len(names) <= MOST_BASELINES or not set(names) <= set(sees):
        return names
    widest: dict[tuple[str, ...], str] = {}
    for name in names:
        other = widest.get(sees[name].reads)
        if other is None or _sights(sees[name]) > _sights(sees[other]):
            widest[sees[name].reads] = name
    return [name for name in names if name in widest.values()]


def _sights(sees: Sees) -> int:
    return sees.past + sees.future + sees.clock


def _line(b: int) -> dict:
    """Style of the b-th baseline."""
    return {"color": GREY, "linestyle": DASHES[b % len(DASHES)]}


def _dots(ax, x: float, scores: Sequence[Score], m: int) -> None:
    """Sessions of one subject under the m-th method, side by side around x in the order of their names."""
    by_session = defaultdict(list)
    for s in sorted(scores, key=lambda s: s.session):
        by_session[s.session].append(s.value)
    if not by_session:
        return
    means = np.array([np.mean(r2) for r2 in by_session.values()])
    spreads = np.array([np.std(r2, ddof=1) if len(r2) > 1 else 0.0 for r2 in by_session.values()])
    bars = np.abs(drawn([means - spreads, means + spreads]) - drawn(means))
    offsets = np.linspace(-0.28, 0.28, len(means)) if len(means) > 1 else np.zeros(1)
    mark = look(m)
    ax.errorbar(x + offsets, drawn(means), bars, fmt="none", ecolor=mark["color"], elinewidth=0.7, alpha=0.7)
    ax.scatter(x + offsets, drawn(means), s=9, linewidths=0, zorder=3, **mark)
    if len(means) > 1:
        ax.plot(
            [x - 0.42, x + 0.42],
            drawn([np.mean(means)] * 2),
            color="black",
            linewidth=1.2,
            solid_capstyle="butt",
            zorder=1.5,
        )
