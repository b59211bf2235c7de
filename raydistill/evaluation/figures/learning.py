"""Learning curves of trainings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raydistill.evaluation.figures.style import COLORS, DASHES, GREY, ONE_COLUMN, TWO_COLUMNS, save, styled


@styled
def learning_curves(histories: Mapping[str, Sequence[Mapping]], path: Path, narrow: bool = False) -> dict[str, Path]:
    """Training and validation loss by epoch, one panel per name; a ring marks the best epoch, whose model is used.

    Args:
        histories: name -> lines of the job's history.jsonl: epoch, train_loss, valid_loss.
        path: without extension.
        narrow: as wide as a phone.
    """
    n_columns = min(max(len(histories), 1), 2 if narrow else 4)
    n_rows = max(1, -(-len(histories) // n_columns))
    width = TWO_COLUMNS if n_columns > 2 else ONE_COLUMN
    figure = Figure(figsize=(width, 0.35 + 1.6 * n_rows))
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for ax in axes.flat[len(histories) :]:
        ax.set_axis_off()
    for i, (ax, (name, history)) in enumerate(zip(axes.flat, histories.items(), strict=False)):
        epoch, train, valid = (
            np.array([line[key] for line in history], dtype=float) for key in ("epoch", "train_loss", "valid_loss")
        )
        ax.plot(epoch, train, color=GREY, linewidth=1, linestyle=DASHES[0])
        ax.plot(epoch, valid, color=COLORS[0], linewidth=1)
        if np.isfinite(valid).any():
            best = np.nanargmin(valid)
            ax.plot(epoch[best], valid[best], "o", markersize=4, fillstyle="none", color="black")
        ax.set_title("\n".join(wrap(name, 24)))
        ax.locator_params(axis="x", integer=True, nbins=5)
        if i + n_columns >= len(histories):
            ax.set_xlabel("epoch")
    for ax in axes[:, 0]:
        ax.set_ylabel("loss")
    handles = [
        Line2D([], [], color=GREY, linestyle=DASHES[0], label="training"),
        Line2D([], [], color=COLORS[0], label="validation"),
        Line2D([], [], color="black", marker="o", markersize=4, fillstyle="none", linestyle="", label="best epoch"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return save(
        figure,
        path,
        ("name", "epoch", "train_loss", "valid_loss"),
        [(name, h["epoch"], h["train_loss"], h["valid_loss"]) for name, lines in histories.items() for h in lines],
        narrow,
    )
