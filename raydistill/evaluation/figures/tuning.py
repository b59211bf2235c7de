"""The trials of each method: validation R² of every one, with the settings of the sweep and the chosen ones marked."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from raydistill.evaluation.figures.style import COLORS, GREY, ONE_COLUMN, TWO_COLUMNS, save, styled
from raydistill.evaluation.tuning import TuningResults


@styled
def tuning_trials(tuning: TuningResults, path: Path, narrow: bool = False) -> dict[str, Path]:
    """One row per method and draw of the folds, one dot per trial.

    Args:
        path: without extension.
        narrow: as wide as a phone.
    """
    figure = Figure(figsize=(ONE_COLUMN if narrow else 0.62 * TWO_COLUMNS, 0.3 * len(tuning.methods) + 0.6))
    ax = figure.subplots()
    table = []
    for y, tuned in enumerate(tuning.methods):
        scored = [(trial.number, trial.valid_r2) for trial in tuned.trials if trial.valid_r2 is not None]
        ax.scatter([r2 for _, r2 in scored], [y] * len(scored), s=10, color=GREY, alpha=0.7, linewidths=0)
        own = [r2 for number, r2 in scored if number == 0]
        ax.scatter(own, [y] * len(own), s=30, marker="D", facecolors="none", edgecolors=COLORS[1], zorder=3)
        best = [r2 for number, r2 in scored if tuned.best and number == tuned.best.number]
        ax.scatter(best, [y] * len(best), s=14, color=COLORS[0], zorder=4)
        table += [
            (tuned.title, t.number, t.state, json.dumps(dict(t.values)), "" if t.valid_r2 is None else t.valid_r2)
            for t in tuned.trials
        ]
    ax.set_yticks(range(len(tuning.methods)), [tuned.title for tuned in tuning.methods])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(tuning.methods) - 0.5, -0.5)
    ax.set_xlabel("R² on validation folds")
    return save(figure, path, ("method", "trial", "state", "settings", "valid_r2"), table, narrow)
