"""The figures: every one saved as PNG, PDF and SVG, with the numbers that it shows as CSV beside them.

Colours are Okabe and Ito's, told apart by colour-blind readers too; sizes are those of a journal's columns
(3.4 and 7 inches). Figures are drawn without pyplot, so nothing is shared between threads or kept open.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from raydistill.errors import DataError
from raydistill.evaluation.results import Results, Score
from raydistill.evaluation.statistics import Comparison
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment

ONE_COLUMN, TWO_COLUMNS = 3.4, 7.0
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D")
DASHES = ((0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
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


@matplotlib.rc_context(STYLE)
def session_dots(results: Results, path: Path) -> dict[str, Path]:
    """Decoding R² of each session by subject and method; baselines are lines at their mean over the subject.

    `path` is without extension, here and below; the files come back by kind (png, pdf, svg, csv).
    A dot is a session (mean over seeds), its bar the SD over seeds, the black bar the mean of several.
    """
    scores = [s for s in results.scores if np.isfinite(s.r2)]
    baselines = [s for s in results.baselines if np.isfinite(s.r2)]
    methods = list(dict.fromkeys(s.method for s in scores))
    lines = list(dict.fromkeys(s.method for s in baselines))
    subjects = sorted({s.subject for s in (*scores, *baselines)})

    step = len(methods) + 1  # columns from one subject to the next
    per_row = max(1, 30 // step)
    rows = [subjects[i : i + per_row] for i in range(0, len(subjects), per_row)] or [[]]
    columns = min(len(subjects), per_row) * step
    figure = Figure(figsize=(float(np.clip(0.24 * columns + 0.8, ONE_COLUMN, TWO_COLUMNS)), 0.6 + 1.9 * len(rows)))
    for ax, shown in zip(figure.subplots(len(rows), 1, sharey=True, squeeze=False)[:, 0], rows, strict=True):
        for g, subject in enumerate(shown):
            for m, method in enumerate(methods):
                _dots(ax, g * step + m, [s for s in scores if (s.method, s.subject) == (method, subject)], m)
            for b, baseline in enumerate(lines):
                r2 = [s.r2 for s in baselines if (s.method, s.subject) == (baseline, subject)]
                if r2:
                    span = [g * step - 0.5, g * step + len(methods) - 0.5]
                    ax.plot(span, [np.mean(r2)] * 2, color=GREY, linestyle=DASHES[b % 3], linewidth=1, zorder=1)
        ax.set_xticks([g * step + (len(methods) - 1) / 2 for g in range(len(shown))], shown)
        ax.set_xlim(-0.8, max(columns, 1) - 1.2)
        ax.tick_params(axis="x", length=0)
        ax.set_ylabel("decoding R²")
    ax.set_xlabel("subject")
    handles = [_marker(m, method) for m, method in enumerate(methods)]
    handles += [Line2D([], [], color=GREY, linestyle=DASHES[b % 3], label=name) for b, name in enumerate(lines)]
    width = figure.get_figwidth()
    figure.legend(handles=handles, loc="outside upper center", ncols=_legend_columns(handles, width))
    return save(
        figure,
        path,
        ("kind", "method", "subject", "session", "seed", "r2"),
        [
            (kind, s.method, s.subject, s.session, s.seed, s.r2)
            for kind, group in (("method", scores), ("baseline", baselines))
            for s in group
        ],
    )


def _dots(ax, x, scores: Sequence[Score], m):
    """One method's sessions of one subject, side by side around x in the order of their names."""
    by_session = defaultdict(list)
    for s in sorted(scores, key=lambda s: s.session):
        by_session[s.session].append(s.r2)
    if not by_session:
        return
    means = [np.mean(r2) for r2 in by_session.values()]
    spreads = [np.std(r2, ddof=1) if len(r2) > 1 else 0.0 for r2 in by_session.values()]
    offsets = np.linspace(-0.28, 0.28, len(means)) if len(means) > 1 else np.zeros(1)
    look = _look(m)
    ax.errorbar(x + offsets, means, spreads, fmt="none", ecolor=look["color"], elinewidth=0.7, alpha=0.7)
    ax.scatter(x + offsets, means, s=9, linewidths=0, alpha=0.85, **look)
    if len(means) > 1:
        ax.plot(
            [x - 0.38, x + 0.38], [np.mean(means)] * 2, color="black", linewidth=1.2, solid_capstyle="butt", zorder=4
        )


@matplotlib.rc_context(STYLE)
def paired_differences(results: Results, path: Path) -> dict[str, Path]:
    """For each comparison a line from the worse to the better method per session and seed, and the test beneath."""
    comparisons = [c for c in results.comparisons if c.pairs]
    n_columns = min(max(len(comparisons), 1), 4)
    n_rows = max(1, -(-len(comparisons) // n_columns))
    width = TWO_COLUMNS if n_columns > 2 else ONE_COLUMN
    figure = Figure(figsize=(width, 2.7 * n_rows))
    axes = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for ax in axes.flat[len(comparisons) :]:
        ax.set_axis_off()
    for ax, c in zip(axes.flat, comparisons, strict=False):
        _pair_lines(ax, c)
    for ax in axes[:, 0]:
        ax.set_ylabel("decoding R²")
    return save(
        figure,
        path,
        ("better", "worse", "session", "seed", "r2_better", "r2_worse", "difference"),
        [(c.better, c.worse, *pair, pair[2] - pair[3]) for c in comparisons for pair in c.pairs],
    )


def _pair_lines(ax, c: Comparison):
    for _, _, better, worse in c.pairs:
        color = COLORS[0] if better > worse else COLORS[1]
        ax.plot([0, 1], [worse, better], color=color, linewidth=0.6, alpha=0.55, marker="o", markersize=1.8)
    means = np.mean([p[2:] for p in c.pairs], axis=0)
    ax.plot([0, 1], means[::-1], color="black", linewidth=2, marker="o", markersize=4, zorder=5)
    ax.set_xticks([0, 1], [c.worse.replace(" ", "\n", 1), c.better.replace(" ", "\n", 1)])
    ax.set_xlim(-0.3, 1.3)
    interval = f"\n95% CI {c.ci_low:+.3f} to {c.ci_high:+.3f}" if np.isfinite(c.ci_low) else ""
    ax.set_xlabel(
        f"{c.mean_difference:+.3f} R²{interval}\n{c.wins} better (blue), {c.losses} worse (orange)\n"
        f"signed rank, n = {c.test.n}: p = {c.test.p:.2g}\nHolm: p = {c.p_holm:.2g}\n"
        f"{c.session_level.n} sessions: p = {c.session_level.p:.2g}",
        fontsize=6,
    )


@matplotlib.rc_context(STYLE)
def learning_curves(histories: Mapping[str, Sequence[Mapping]], path: Path) -> dict[str, Path]:
    """Training and validation loss by epoch, a panel for each name; the ring is the epoch that is kept.

    `histories` holds the lines of each job's history.jsonl: epoch, train_loss, valid_loss.
    """
    n_columns = min(max(len(histories), 1), 4)
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
        ax.set_title(name)
        ax.locator_params(axis="x", integer=True, nbins=5)
        if i + n_columns >= len(histories):
            ax.set_xlabel("epoch")
    for ax in axes[:, 0]:
        ax.set_ylabel("loss")
    handles = [
        Line2D([], [], color=GREY, linestyle=DASHES[0], label="training"),
        Line2D([], [], color=COLORS[0], label="validation"),
        Line2D([], [], color="black", marker="o", markersize=4, fillstyle="none", linestyle="", label="kept"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    return save(
        figure,
        path,
        ("name", "epoch", "train_loss", "valid_loss"),
        [(name, h["epoch"], h["train_loss"], h["valid_loss"]) for name, lines in histories.items() for h in lines],
    )


@matplotlib.rc_context(STYLE)
def session_picture(entry: Entry, segments: Sequence[Segment], path: Path, seconds: float = 15.0) -> dict[str, Path]:
    """A session at a glance: spikes, LFP and behavior of its first seconds; at the right, a summary of all segments.

    Segments stand in the order of their numbers, with a dotted line where one ends: time may be missing there.
    """
    segments = sorted(segments, key=lambda s: s.number)
    if not segments:
        raise DataError(f"session {entry.session} has no segment to draw; ingest it again")
    width = entry.bin_width_ms / 1000
    ends = np.cumsum([s.n_bins for s in segments])
    n_bins = min(ends[-1], max(2, round(seconds / width)))
    first = segments[: np.searchsorted(ends, n_bins) + 1]
    panels = [
        (name, draw)
        for name, draw in (("spikes", _spikes), ("lfp", _lfp), ("behavior", _behavior))
        if getattr(segments[0], name) is not None
    ]
    figure = Figure(figsize=(TWO_COLUMNS, 0.7 + 1.6 * len(panels)))
    axes = figure.subplots(len(panels), 2, squeeze=False, width_ratios=(5, 1))
    time = np.arange(n_bins) * width
    gaps = ends[: len(first) - 1]
    rows = []
    for (left, right), (name, draw) in zip(axes, panels, strict=True):
        opening = np.concatenate([getattr(s, name) for s in first])[:n_bins]
        rows += [(name, *row) for row in draw(left, right, entry, time, opening, gaps, segments)]
        for gap in gaps:
            left.axvline(gap * width, color=GREY, linewidth=0.5, linestyle=DASHES[1])
        left.set_xlim(0, n_bins * width)
        right.xaxis.set_major_locator(MaxNLocator(3))
    axes[-1, 0].set_xlabel(f"time (s), from {first[0].start_s:.1f} s of the recording; segments end at dotted lines")
    folds = ", ".join(f"{n} {fold}" for fold, n in entry.splits.items())
    figure.suptitle(
        f"{entry.session} (subject {entry.subject})\n{entry.n_units} units, {entry.n_channels} channels, "
        f"{entry.n_bins} bins of {entry.bin_width_ms:g} ms, {entry.n_segments} segments ({folds})",
        fontsize=7.5,
    )
    return save(figure, path, ("panel", "quantity", "column", "time_s", "value"), rows)


def _spikes(left, right, entry, time, counts, gaps, segments):
    """Counts (T, units) as an image, and the rate of every unit."""
    units = counts.shape[1]
    rate = sum(s.spikes.sum(axis=0, dtype=np.int64) for s in segments)
    rate = rate / sum(s.n_bins for s in segments) / (entry.bin_width_ms / 1000)
    top = max(1.0, np.percentile(counts[counts > 0], 95)) if counts.any() else 1.0
    extent = (0, time[-1] + time[1], 0, units)
    left.imshow(counts.T, aspect="auto", origin="lower", extent=extent, cmap="Greys", vmax=top, interpolation="none")
    left.set_ylabel("unit")
    left.set_title(f"spikes (black: {top:.0f} or more in a bin)", loc="left")
    right.barh(np.arange(units) + 0.5, rate, height=1.0, color=COLORS[0])
    right.set_ylim(0, units)
    right.set_title("rate (Hz)", loc="left")
    yield from (("count", u, time[t], counts[t, u]) for t, u in np.argwhere(counts))
    yield from (("rate_hz", u, "", value) for u, value in enumerate(rate))


def _lfp(left, right, entry, time, lfp, gaps, segments):
    """Up to eight channels of LFP (T, C) spread over the array, and the largest value of every channel."""
    channels = np.unique(np.linspace(0, lfp.shape[1] - 1, min(8, lfp.shape[1])).astype(int))
    apart = max(1e-6, 2 * np.percentile(np.abs(lfp[:, channels]), 99))
    peak = np.max([np.abs(s.lfp).max(axis=0) for s in segments], axis=0)
    for place, c in enumerate(channels):
        _line(left, time, lfp[:, c] + place * apart, gaps, color="black", linewidth=0.4)
    left.set_yticks(np.arange(len(channels)) * apart, channels)
    left.set_ylim(-apart, len(channels) * apart)
    left.set_ylabel("channel")
    left.set_title(f"LFP ({len(channels)} of {lfp.shape[1]} channels, lines {apart:.1f} SD apart)", loc="left")
    right.barh(np.arange(lfp.shape[1]) + 0.5, peak, height=1.0, color=COLORS[2])
    right.set_ylim(0, lfp.shape[1])
    right.set_title("peak |LFP| (SD)", loc="left")
    yield from (("lfp", c, t, value) for c in channels for t, value in zip(time, lfp[:, c], strict=True))
    yield from (("peak", c, "", value) for c, value in enumerate(peak))


def _behavior(left, right, entry, time, behavior, gaps, segments):
    """Behavior (T, K), and how its values are spread."""
    everything = np.concatenate([s.behavior for s in segments])
    kept = np.isfinite(everything).all(axis=1)
    for k, name in enumerate(entry.behavior):
        color = COLORS[k % len(COLORS)]
        _line(left, time, behavior[:, k], gaps, color=color, linewidth=0.9, label=name)
        if kept.any():
            right.hist(everything[kept, k], bins=30, orientation="horizontal", histtype="step", color=color)
    left.set_ylabel("SD")
    left.set_title(f"behavior (lost in {1 - kept.mean():.1%} of all bins)", loc="left")
    left.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderpad=0)
    right.set_ylim(left.get_ylim())
    right.set_title("bins", loc="left")
    yield from ((n, k, t, behavior[i, k]) for k, n in enumerate(entry.behavior) for i, t in enumerate(time))


def _line(ax, time, values, gaps, **style):
    """A line that is broken before each bin of `gaps`: time is missing there."""
    ax.plot(np.insert(time, gaps, np.nan), np.insert(values.astype(np.float64), gaps, np.nan), **style)


def _look(m):
    """Colour and marker of the m-th method: told apart without colour from the eighth on."""
    return {"color": COLORS[m % len(COLORS)], "marker": MARKERS[m // len(COLORS) % len(MARKERS)]}


def _marker(m, label):
    return Line2D([], [], linestyle="", markersize=3.5, label=label, **_look(m))


def _legend_columns(handles, width):
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
