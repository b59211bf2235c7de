"""Decoding R² against how late a decoder answers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raydistill.evaluation.delay import Delay
from raydistill.evaluation.figures.style import DASHES, GREY, ONE_COLUMN, legend_columns, look, save, styled
from raydistill.evaluation.results import Results, method_table

WHOLE_SEGMENT = "whole\nsegment"


@styled
def latency(results: Results, delays: Mapping[str, Delay], path: Path, narrow: bool = False) -> dict[str, Path]:
    """Mean R² of each method over sessions against its delay, and that of the baselines that read the past alone.

    Args:
        delays: method or baseline -> its delay; others are left out.
        path: without extension.
        narrow: as wide as a phone, which this figure always is.
    """
    rows = [row for row in method_table(results) if row.method in delays]
    longest = max((d.ms for d in delays.values() if d.ms is not None), default=0.0)
    end = 1.3 * longest if longest else 1.0  # where models of whole segments are drawn
    place = lambda ms: end if ms is None else ms  # noqa: E731
    figure = Figure(figsize=(ONE_COLUMN, 2.6))
    ax, handles = figure.subplots(), list[Line2D]()
    networks = list(dict.fromkeys(delays[row.method].network for row in rows if delays[row.method].network))
    for m, network in enumerate(networks):
        mark = look(m)
        points = sorted((place(delays[r.method].ms), r.mean) for r in rows if delays[r.method].network == network)
        x, y = zip(*points, strict=True)
        mark["linestyle"] = "-" if len({*x}) == len(x) else ""  # a line would join methods that differ in more
        ax.plot(x, y, linewidth=0.9, markersize=3.5, **mark)
        handles.append(Line2D([], [], linewidth=0.9, markersize=3.5, label=network, **mark))
    baselines = [row for row in rows if not delays[row.method].network and delays[row.method].ms == 0]
    for b, row in enumerate(baselines):
        style: dict[str, Any] = {"color": GREY, "linestyle": DASHES[b % len(DASHES)], "linewidth": 0.9}
        ax.axhline(row.mean, **style)
        handles.append(Line2D([], [], label=row.method, **style))
    ticks = sorted({d.ms for d in delays.values() if d.ms is not None})
    has_whole = any(delays[row.method].ms is None for row in rows)
    labels = [f"{ms:g}" for ms in ticks] + [WHOLE_SEGMENT] * has_whole
    ax.set_xticks(ticks + [end] * has_whole, labels)
    ax.set_xlabel("latency (ms)")
    ax.set_ylabel(f"decoding {results.measure.symbol}")
    figure.legend(handles=handles, loc="outside upper center", ncols=legend_columns(handles, ONE_COLUMN))
    table = [(row.method, *_in_table(delays[row.method]), row.mean, row.sd, row.n) for row in rows]
    return save(
        figure,
        path,
        ("method", "network", "latency_ms", f"mean_{results.measure.key}", "sd_over_sessions", "n"),
        table,
        narrow,
    )


def _in_table(delay: Delay) -> tuple[str, str]:
    """Network and latency; the latter is empty for a decoder of whole segments."""
    return delay.network, "" if delay.ms is None else f"{delay.ms:g}"
