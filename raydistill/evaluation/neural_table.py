"""How well models of the signals themselves predict them: the names of these scores, and a table of their means."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from raydistill.evaluation.metric_rows import MetricRow, metric_rows
from raydistill.evaluation.results import Results

TASKS = {"one_step": "next bin", "co_smoothing": "held-out channels", "forward": "last 200 ms"}
"""Task in metrics.json -> what is predicted, in tables and in MLflow."""
METRICS = {"bits_per_spike": "bits per spike", "prediction_power": "prediction power", "lfp_r2": "R² of LFP"}
"""Score of a task in metrics.json -> its name in tables and in MLflow."""
COLUMNS = tuple(METRICS.values())
EXPLANATION = (
    "How well spikes and LFP of the scored segments are predicted, mean over sessions. Next bin: from earlier bins. "
    "Held-out channels: every fourth unit and channel, from the others (co-smoothing). Last 200 ms: from all bins "
    "before them (forward prediction). Bits per spike: log-likelihood above that of the mean count of each unit; "
    "prediction power: 2 AUC - 1. 0: no better than the mean, or than chance."
)


@dataclass(frozen=True, slots=True)
class NeuralRow:
    """One method and task: means over sessions, the seeds and draws of each averaged first."""

    method: str
    task: str
    """What is predicted, in words."""
    values: tuple[float, ...]
    """One for each of COLUMNS; NaN if no session has it."""


def neural_rows(results: Results) -> Iterator[NeuralRow]:
    """A row for each figure, method and task of which some session has a score."""
    for row in _means(results):
        for task in TASKS.values():
            values = tuple(row.values[_name(task, metric)] for metric in COLUMNS)
            if np.isfinite(values).any():
                yield NeuralRow(row.method, task, values)


def neural_means(results: Results) -> dict[str, dict[str, float]]:
    """Method, after the name of its figure if there is one -> name in tables -> mean over sessions."""
    return {row.method: row.values for row in _means(results)}


def _means(results: Results) -> list[MetricRow]:
    return metric_rows(results, NAMES, lambda score: with_titles(score.neural) or None)


def with_titles(neural: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The block `neural` of metrics.json under the names of tables, such as "last 200 ms: bits per spike"."""
    return {
        _name(title, METRICS[metric]): value
        for task, title in TASKS.items()
        for metric, value in neural.get(task, {}).items()
        if metric in METRICS
    }


def _name(task: str, metric: str) -> str:
    return f"{task}: {metric}"


NAMES = tuple(_name(task, metric) for task in TASKS.values() for metric in METRICS.values())
"""All names of `with_titles`, in the order of the table."""
