"""From what does the gain of a distilled method come? Its controls, one below the other, up to the method itself."""

from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from raydistill.config.controls import CONTROLS, control_method
from raydistill.evaluation.figures.style import COLORS, GREY, ONE_COLUMN, TWO_COLUMNS, drawn, save, styled
from raydistill.evaluation.results import Results, unique
from raydistill.evaluation.scores import Score


@styled
def gain_by_control(results: Results, path: Path, narrow: bool = False) -> dict[str, Path]:
    """One panel per distilled method: the methods that it is compared with, its controls, and itself.

    A dot is the mean over seeds and draws of one session, always in the same place within a row; a bar is the mean over
    sessions. Scores below `LOWEST` are drawn there; the data file has them.

    Args:
        path: without extension.
        narrow: as wide as a phone.
    """
    methods = unique(c.method for c in results.controls)
    rows = {method: _rows(results, method) for method in methods}
    heights = [0.24 * len(of_method) + 0.5 for of_method in rows.values()]
    figure = Figure(figsize=(ONE_COLUMN if narrow else 0.62 * TWO_COLUMNS, sum(heights)))
    axes = figure.subplots(len(methods), 1, squeeze=False, height_ratios=heights)[:, 0]
    table = []
    for ax, (method, of_method) in zip(axes, rows.items(), strict=True):
        for y, (label, kind, by_session) in enumerate(of_method):
            color = {"method": COLORS[0], "control": COLORS[1]}.get(kind, GREY)
            means = [float(np.mean(r2)) for _, r2 in sorted(by_session.items())]
            offsets = np.linspace(-0.25, 0.25, len(means)) if len(means) > 1 else np.zeros(1)
            left = results.measure.chance
            ax.barh(y, drawn(np.mean(means)) - left, left=left, height=0.72, color=color, alpha=0.3, linewidth=0)
            ax.scatter(drawn(means), y + offsets, s=8, color=color, linewidths=0, zorder=3)
            table += [(method, kind, label, session, r2) for session, r2 in sorted(by_session.items())]
        ax.axvline(results.measure.chance, color="black", linewidth=0.6)
        ax.set_yticks(range(len(of_method)), [label for label, _, _ in of_method])
        ax.tick_params(axis="y", length=0)
        ax.invert_yaxis()
        ax.set_title(method, loc="left")
    axes[-1].set_xlabel(f"decoding {results.measure.symbol}")
    return save(
        figure,
        path,
        ("method", "kind", "row", "session", f"mean_{results.measure.key}"),
        [(*row[:4], float(np.mean(row[4]))) for row in table],
        narrow,
    )


def _rows(results: Results, method: str) -> list[tuple[str, str, dict[str, list[float]]]]:
    """(label, kind, session -> score of each seed) of each row, on the sessions that have controls."""
    others = unique(c.worse for c in results.comparisons if c.better == method)
    controls = [c.control for c in reversed(results.controls) if c.method == method]
    labels = {control_method(method, control): CONTROLS[control].title for control in controls}
    sessions = {s.session for s in results.control_scores if s.method in labels}
    wanted = [(name, name, "other") for name in others]
    wanted += [(name, title, "control") for name, title in labels.items()]
    wanted.append((method, method, "method"))
    scores = [s for s in (*results.scores, *results.control_scores) if s.session in sessions and np.isfinite(s.value)]
    rows = [(label, kind, _by_session(scores, name)) for name, label, kind in wanted]
    return [row for row in rows if row[2]]


def _by_session(scores: list[Score], method: str) -> dict[str, list[float]]:
    by_session = defaultdict(list)
    for score in scores:
        if score.method == method:
            by_session[score.session].append(score.value)
    return by_session
