"""Decoded over recorded behavior."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from raydistill.evaluation.figures.style import COLORS, GREY, TWO_COLUMNS, save, styled
from raydistill.evaluation.scored_segments import ScoredSegments


@styled
def trajectories(
    session: str,
    columns: Sequence[str],
    decoded: Mapping[str, tuple[ScoredSegments, float]],
    path: Path,
    seconds: float = 15.0,
) -> dict[str, Path]:
    """The first scored seconds of one session: one row per method, one column per behavior column.

    Segments are in the order in which they were scored; a dotted line marks missing time.

    Args:
        columns: names of the K behavior columns.
        decoded: method -> its scored segments, and its R² over all scored bins of the session.
        path: without extension.
        seconds: duration drawn.
    """
    reference = next(iter(decoded.values()))[0]
    width_s = float(reference.bin_width_ms) / 1000
    n_bins = min(len(reference.true), max(2, round(seconds / width_s)))
    time_s = np.arange(n_bins) * width_s
    ends = np.cumsum(reference.bins)
    after = reference.numbers[1:] - reference.numbers[:-1]
    gaps = [end * width_s for end, step in zip(ends, after, strict=False) if end < n_bins and step != 1]

    figure = Figure(figsize=(TWO_COLUMNS, 0.55 + 0.8 * len(decoded)))
    axes = figure.subplots(len(decoded), len(columns), sharex=True, sharey="col", squeeze=False)
    for m, (row, (method, (segments, r2))) in enumerate(zip(axes, decoded.items(), strict=True)):
        for k, ax in enumerate(row):
            ax.plot(time_s, reference.true[:n_bins, k], color="black", linewidth=0.9)
            ax.plot(time_s, segments.decoded[:n_bins, k], color=COLORS[m % len(COLORS)], linewidth=0.8)
            for gap in gaps:
                ax.axvline(gap, color=GREY, linewidth=0.6, linestyle=":")
            ax.set_xlim(0, time_s[-1])
        row[0].set_ylabel(f"{method}\nR² {r2:.2f}", color=COLORS[m % len(COLORS)])
    for ax, name in zip(axes[0], columns, strict=True):
        ax.set_title(f"{name} (SD); black: recorded", loc="left")
    for ax in axes[-1]:
        ax.set_xlabel(f"scored time of {session} (s)")
    rows = [
        (name, t, "recorded" if method is None else method, value)
        for k, name in enumerate(columns)
        for method, values in [(None, reference.true), *((m, segments.decoded) for m, (segments, _) in decoded.items())]
        for t, value in zip(time_s, values[:n_bins, k], strict=True)
    ]
    return save(figure, path, ("column", "time_s", "method", "value_sd"), rows)
