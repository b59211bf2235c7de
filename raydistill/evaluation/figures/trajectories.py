"""Decoded over recorded behavior."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raydistill.evaluation.figures.style import COLORS, GREY, ONE_COLUMN, TWO_COLUMNS, save, styled
from raydistill.evaluation.scored_segments import ScoredSegments


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawnModel:
    """The scored segments of one model on the drawn session."""

    segments: ScoredSegments
    r2: float
    """Over all scored bins of the session."""
    seed: int | None = None
    """None: the model has none, or is the only one."""

    @property
    def title(self) -> str:
        """Seed and R²."""
        return f"R² {self.r2:.2f}" if self.seed is None else f"seed {self.seed}, R² {self.r2:.2f}"


@styled
def trajectories(
    session: str,
    columns: Sequence[str],
    decoded: Mapping[str, DrawnModel],
    path: Path,
    narrow: bool = False,
    seconds: float = 15.0,
) -> dict[str, Path]:
    """The first scored seconds of one session: one row per method, one column per behavior column.

    Segments are in the order in which they were scored; a dotted line marks missing time.

    Args:
        columns: names of the K behavior columns.
        decoded: method -> its model.
        path: without extension.
        narrow: as wide as a phone: panels of all behavior columns are below each other.
        seconds: duration drawn.
    """
    reference = next(iter(decoded.values())).segments
    width_s = float(reference.bin_width_ms) / 1000
    n_bins = min(len(reference.true), max(2, round(seconds / width_s)))
    time_s = np.arange(n_bins) * width_s
    gaps_s = _gaps(reference, n_bins) * width_s

    n_panels = len(decoded) * len(columns)
    figure = Figure(figsize=(ONE_COLUMN, 0.55 + n_panels) if narrow else (TWO_COLUMNS, 0.55 + len(decoded)))
    if narrow:
        axes = figure.subplots(n_panels, 1, sharex=True, squeeze=False).reshape(len(decoded), len(columns))
        for of_column in axes.T:
            for ax in of_column[1:]:
                ax.sharey(of_column[0])
    else:
        axes = figure.subplots(len(decoded), len(columns), sharex=True, sharey="col", squeeze=False)
    for m, (row, (method, model)) in enumerate(zip(axes, decoded.items(), strict=True)):
        color = COLORS[m % (len(COLORS) - 1)]  # the last one is that of the recorded behavior
        for k, ax in enumerate(row):
            ax.plot(time_s, reference.true[:n_bins, k], color="black", linewidth=0.9)
            ax.plot(time_s, model.segments.decoded[:n_bins, k], color=color, linewidth=0.8)
            _finish(ax, time_s, gaps_s, f"{columns[k]} (SD)")
        row[0].set_title(f"{method}: {model.title}", loc="left", color=color)
    for ax in axes[-1:, -1] if narrow else axes[-1]:
        ax.set_xlabel(f"scored time of {session} (s)")
    rows = [
        (name, t, "recorded" if method is None else method, value)
        for k, name in enumerate(columns)
        for method, values in [(None, reference.true), *((m, model.segments.decoded) for m, model in decoded.items())]
        for t, value in zip(time_s, values[:n_bins, k], strict=True)
    ]
    return save(figure, path, ("column", "time_s", "method", "value_sd"), rows, narrow)


def _gaps(segments: ScoredSegments, n_bins: int) -> np.ndarray:
    """The drawn bins before which time is missing."""
    ends, steps = np.cumsum(segments.bins)[:-1], np.diff(segments.numbers)
    return ends[(ends < n_bins) & (steps != 1)]


def _finish(ax: Axes, time_s: np.ndarray, gaps_s: np.ndarray, label: str) -> None:
    for gap in gaps_s:
        ax.axvline(gap, color=GREY, linewidth=0.6, linestyle=":")
    ax.set_xlim(0, time_s[-1])
    ax.set_ylabel(label)
