"""Decoded behavior over the recorded one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raydistill.evaluation.figures.style import COLORS, GREY, TWO_COLUMNS, legend_columns, save, styled
from raydistill.evaluation.sequences import Sequences


@styled
def trajectories(
    session: str,
    columns: Sequence[str],
    decoded: Mapping[str, tuple[Sequences, float]],
    path: Path,
    seconds: float = 15.0,
) -> dict[str, Path]:
    """The first scored seconds of one session: a row for each behavior column (K), a line for each method.

    Segments follow each other as they were scored; a dotted line where time is missing.

    Args:
        decoded: method -> its sequences, and its R² over all scored bins of the session.
    """
    any_ = next(iter(decoded.values()))[0]
    width_s = float(any_.bin_width_ms) / 1000
    n_bins = min(len(any_.true), max(2, round(seconds / width_s)))
    time_s = np.arange(n_bins) * width_s
    ends = np.cumsum(any_.bins)
    after = any_.numbers[1:] - any_.numbers[:-1]
    gaps = [end for end, step in zip(ends, after, strict=False) if end < n_bins and step != 1]

    figure = Figure(figsize=(TWO_COLUMNS, 0.6 + 1.15 * len(columns)))
    axes = figure.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
    for k, (ax, name) in enumerate(zip(axes, columns, strict=True)):
        ax.plot(time_s, any_.true[:n_bins, k], color="black", linewidth=1.1)
        for m, (found, _) in enumerate(decoded.values()):
            ax.plot(time_s, found.decoded[:n_bins, k], color=COLORS[m % len(COLORS)], linewidth=0.8, alpha=0.9)
        for gap in gaps:
            ax.axvline(gap * width_s, color=GREY, linewidth=0.6, linestyle=":")
        ax.set_ylabel(f"{name} (SD)")
        ax.set_xlim(0, time_s[-1])
    axes[-1].set_xlabel(f"scored time of {session} (s)")
    handles = [Line2D([], [], color="black", linewidth=1.1, label="recorded")]
    handles += [
        Line2D([], [], color=COLORS[m % len(COLORS)], linewidth=1, label=f"{name}, R² {r2:.2f}")
        for m, (name, (_, r2)) in enumerate(decoded.items())
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=legend_columns(handles, TWO_COLUMNS))
    rows = [
        (name, t, "recorded" if method is None else method, value)
        for k, name in enumerate(columns)
        for method, values in [(None, any_.true), *((m, found.decoded) for m, (found, _) in decoded.items())]
        for t, value in zip(time_s, values[:n_bins, k], strict=True)
    ]
    return save(figure, path, ("column", "time_s", "method", "value_sd"), rows)
