"""Sizes, colours and markers of all figures, and how they are saved.

Colours are those of Okabe and Ito, which colour-blind readers can distinguish; widths are those of journal columns (3.4
and 7 inches). Figures are drawn without pyplot, so there is no state that threads share.
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

ONE_COLUMN, TWO_COLUMNS = 3.4, 7.0
"""A figure of one column is as wide as a phone. Wider ones have a narrow form, whose panels are below each other."""
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D")
DASHES = ((0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (1, 3)), (0, (3, 1, 1, 1, 1, 1)))
OTHER_COLORS = ("#882255", "#44AA99", "#999933", "#332288", "#CC6677", "#117733", "#AA4499", "#6699CC")
OTHER_MARKERS = ("^", "v", "P", "X")
"""Colours (of Tol) and markers for subjects and sessions, which no method has. None is so light that it is lost on
white, or, where a page turns light into dark, on black."""
GREY = "#8a8a8a"
LOWEST = -1.0
"""Lower scores are drawn at this one, or one session that fails would hide all others."""
MAX_LABELS = 8
"""Labels of numbers that fit next to each other below a figure of one column."""

STYLE = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 1.7,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.4,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a dollar sign in a name stays a dollar sign
}

styled = matplotlib.rc_context(STYLE)  # type: ignore[arg-type]  # the stubs want literal keys
"""Decorator of a function that draws."""


def drawn(r2: ArrayLike) -> np.ndarray:
    """Where scores are drawn."""
    return np.maximum(r2, LOWEST)


def look(m: int) -> dict[str, Any]:
    """Colour and marker of the m-th method; from the eighth on, colours repeat with another marker."""
    return {"color": COLORS[m % len(COLORS)], "marker": MARKERS[m // len(COLORS) % len(MARKERS)]}


def look_of_subject(g: int) -> dict[str, Any]:
    """Colour and marker of the g-th subject or session, which no method has."""
    return {
        "color": OTHER_COLORS[g % len(OTHER_COLORS)],
        "marker": OTHER_MARKERS[(g + g // len(OTHER_COLORS)) % len(OTHER_MARKERS)],
    }


def marker(label: str, mark: dict[str, Any]) -> Line2D:
    """Entry of a method or subject with this look in a legend."""
    return Line2D([], [], linestyle="", markersize=3.5, label=label, **mark)


def legend_columns(handles: Sequence[Line2D], width: float) -> int:
    """Number of legend columns that fit into `width` inches, at about 0.054 inches per letter."""
    widest = max((len(str(h.get_label())) for h in handles), default=1)
    return max(1, min(len(handles), int(width / (0.33 + 0.054 * widest))))


def parameter_axis(ax: Axes, parameters: Iterable[int]) -> None:
    """Make x a logarithmic axis for numbers of parameters of models, labelled at these numbers as far as labels fit."""
    values = sorted(set(parameters))
    apart = max(1.25, (values[-1] / values[0]) ** (1 / MAX_LABELS))
    ticks = values[:1]
    for value in values[1:]:
        if value > apart * ticks[-1]:
            ticks.append(value)
    ax.set_xscale("log")
    ax.minorticks_off()
    ax.set_xticks(ticks, [f"{n / 1e6:.3g} M" if n >= 1e6 else f"{n / 1e3:.3g} k" for n in ticks])
    ax.set_xlabel("parameters of the model")


def save(
    figure: Figure, path: Path, header: Sequence[str], rows: Iterable[Sequence], narrow: bool = False
) -> dict[str, Path]:
    """Write a figure and its numbers; the same figure gives the same bytes.

    Args:
        path: without extension.
        header: names of the columns of `rows`.
        narrow: the figure is the narrow form of another, which has the numbers; only svg is written.
    Returns:
        Extension (png, pdf, svg, csv) -> file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Names may contain dots, so the extension is appended and never replaces a suffix.
    files = {kind: path.with_name(f"{path.name}.{kind}") for kind in ("png", "pdf", "svg", "csv")}
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is computed once, for all formats
    with matplotlib.rc_context({"svg.hashsalt": path.name}):
        if narrow:
            figure.savefig(files["svg"], metadata={"Date": None})
            return {"svg": files["svg"]}
        figure.savefig(files["png"])
        figure.savefig(files["pdf"], metadata={"CreationDate": None})
        figure.savefig(files["svg"], metadata={"Date": None})
    with files["csv"].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return files
