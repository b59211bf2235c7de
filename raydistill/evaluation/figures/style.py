"""What all figures have in common: sizes, colours, marks, and how they are saved.

Colours are Okabe and Ito's, told apart by colour-blind readers too; sizes are those of a journal's columns
(3.4 and 7 inches). Figures are drawn without pyplot, so nothing is shared between threads or kept open.
"""

import csv
from pathlib import Path

import matplotlib
from matplotlib.lines import Line2D

ONE_COLUMN, TWO_COLUMNS = 3.4, 7.0
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D")
DASHES = ((0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (1, 3)), (0, (3, 1, 1, 1, 1, 1)))
GREY = "#8a8a8a"

STYLE = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
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
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
}

styled = matplotlib.rc_context(STYLE)
"""Around a function that draws."""


def look(m):
    """Colour and marker of the m-th method: told apart without colour from the eighth on."""
    return {"color": COLORS[m % len(COLORS)], "marker": MARKERS[m // len(COLORS) % len(MARKERS)]}


def marker(m, label):
    return Line2D([], [], linestyle="", markersize=3.5, label=label, **look(m))


def legend_columns(handles, width):
    """As many legend columns as fit into `width` inches at about 0.05 inches a letter."""
    widest = max((len(h.get_label()) for h in handles), default=1)
    return max(1, min(len(handles), int(width / (0.33 + 0.05 * widest))))


def save(figure, path, header, rows):
    """Write `path` as png, pdf, svg and csv; the same figure gives the same bytes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Names hold dots, so an extension is put behind and never in place of one.
    files = {kind: path.with_name(f"{path.name}.{kind}") for kind in ("png", "pdf", "svg", "csv")}
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # placed once, for all formats alike
    with matplotlib.rc_context({"svg.hashsalt": path.name}):
        figure.savefig(files["png"])
        figure.savefig(files["pdf"], metadata={"CreationDate": None})
        figure.savefig(files["svg"], metadata={"Date": None})
    with files["csv"].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return files
