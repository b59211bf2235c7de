"""A picture of one stored session."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from raydistill.errors import DataError
from raydistill.evaluation.figures.style import COLORS, DASHES, GREY, TWO_COLUMNS, save, styled
from raydistill.store.catalogue import Entry
from raydistill.store.channels import array_names
from raydistill.store.session import Segment


@styled
def session_picture(entry: Entry, segments: Sequence[Segment], path: Path, seconds: float = 15.0) -> dict[str, Path]:
    """Spikes, LFP and behavior in the first seconds of a session; on the right, a summary of all segments.

    Segments are in the order of their numbers. A dotted line marks the end of each, where time may be missing.

    Args:
        path: without extension.
        seconds: duration drawn.
    Raises:
        DataError: there are no segments.
    """
    segments = sorted(segments, key=lambda s: s.number)
    if not segments:
        raise DataError(f"session {entry.session} has no segments to draw; ingest it again")
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
    axes[-1, 0].set_xlabel(f"time of the stored bins (s), from {first[0].start_s:.1f} s; segments end at dotted lines")
    folds = ", ".join(f"{n} {fold}" for fold, n in entry.splits.items())
    places = array_names(entry.unit_channels, entry.lfp_channels) or entry.region
    subject = f"subject {entry.subject}; {places}" if places else f"subject {entry.subject}"
    figure.suptitle(
        f"{entry.session} ({subject})\n{entry.n_units} units, {entry.n_channels} channels, "
        f"{entry.n_bins} bins of {entry.bin_width_ms:g} ms, {entry.n_segments} segments ({folds})",
        fontsize=7.5,
    )
    return save(figure, path, ("panel", "quantity", "column", "time_s", "value"), rows)


def _spikes(left, right, entry, time, counts, gaps, segments):
    """Counts (T, units) as an image, and the rate of each unit in Hz."""
    units = counts.shape[1]
    rate = sum(s.spikes.sum(axis=0, dtype=np.int64) for s in segments)
    rate = rate / sum(s.n_bins for s in segments) / (entry.bin_width_ms / 1000)
    top = max(1.0, np.percentile(counts[counts > 0], 95)) if counts.any() else 1.0
    extent = (0, time[-1] + time[1], 0, units)
    left.imshow(counts.T, aspect="auto", origin="lower", extent=extent, cmap="Greys", vmax=top, interpolation="none")
    left.set_ylabel("unit")
    left.set_title(f"spikes (black: {top:.0f} or more per bin)", loc="left")
    right.barh(np.arange(units) + 0.5, rate, height=1.0, color=COLORS[0])
    right.set_ylim(0, units)
    right.set_title("rate (Hz)", loc="left")
    yield from (("count", u, time[t], counts[t, u]) for t, u in np.argwhere(counts))
    yield from (("rate_hz", u, "", value) for u, value in enumerate(rate))


def _lfp(left, right, entry, time, lfp, gaps, segments):
    """Up to eight channels of LFP (T, C), evenly spaced by number, and the largest absolute value of each channel."""
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
    """Behavior (T, K), and a histogram of its values in all segments."""
    everything = np.concatenate([s.behavior for s in segments])
    finite = np.isfinite(everything).all(axis=1)
    for k, name in enumerate(entry.behavior):
        color = COLORS[k % len(COLORS)]
        _line(left, time, behavior[:, k], gaps, color=color, linewidth=0.9, label=name)
        if finite.any():
            right.hist(everything[finite, k], bins=30, orientation="horizontal", histtype="step", color=color)
    left.set_ylabel("SD")
    left.set_title(f"behavior (lost in {1 - finite.mean():.1%} of all bins)", loc="left")
    left.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderpad=0)
    right.set_ylim(left.get_ylim())
    right.set_title("bins", loc="left")
    yield from ((n, k, t, behavior[i, k]) for k, n in enumerate(entry.behavior) for i, t in enumerate(time))


def _line(ax, time, values, gaps, **style):
    """A line that is interrupted before each bin of `gaps`, where time is missing."""
    ax.plot(np.insert(time, gaps, np.nan), np.insert(values.astype(np.float64), gaps, np.nan), **style)
