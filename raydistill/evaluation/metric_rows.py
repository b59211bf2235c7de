"""Means of further metrics of each method, next to R²: a row per method, for each figure of a paper."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One method: means over its sessions, the seeds and draws of each averaged first."""

    method: str
    """Its name, after that of the figure of a paper whose sessions these are."""
    values: dict[str, float]
    """Metric -> its mean over the sessions that have it; NaN if none has."""
    n: int
    """Number of sessions."""


def metric_rows(
    results: Results, names: Sequence[str], metrics_of: Callable[[Score], Mapping[str, float | None] | None]
) -> list[MetricRow]:
    """A row for each figure and method, in the order of the scores.

    Args:
        names: the metrics of a row.
        metrics_of: the metrics of a score; None if it has no part in the table.
    """
    return [
        row for panel in results.figures for row in _of_figure(results.part(panel), panel.figure, names, metrics_of)
    ]


def _of_figure(part: Results, figure: str | None, names: Sequence[str], metrics_of) -> Iterator[MetricRow]:
    by_method: dict[str, dict[str, list[Mapping[str, float | None]]]] = defaultdict(lambda: defaultdict(list))
    for score in part.all_scores:
        metrics = metrics_of(score)
        if metrics is not None and np.isfinite(score.value):
            by_method[score.method][score.session].append(metrics)
    for method, of_session in by_method.items():
        values = {name: _mean(list(of_session.values()), name) for name in names}
        yield MetricRow(f"{figure}: {method}" if figure else method, values, len(of_session))


def _mean(sessions: Sequence[Sequence[Mapping[str, float | None]]], name: str) -> float:
    """Mean over the sessions that have the metric."""
    means = []
    for seeds in sessions:
        if values := [value for metrics in seeds if (value := metrics.get(name)) is not None]:
            means.append(np.mean(values))
    return float(np.mean(means)) if means else float("nan")
