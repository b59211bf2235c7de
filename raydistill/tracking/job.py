"""The record of one job for MLflow, and the points of its curves."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Metric


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedJob:
    """The data of one job that are logged to MLflow."""

    key: str
    name: str
    params: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    """The lines of history.jsonl: `epoch`, `time` (unix seconds) and the metrics of that epoch."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The final metrics, shown at the last epoch."""
    sessions: Mapping[str, str] = field(default_factory=dict)
    """Session -> sha256 of its stored values: the data sets of the run."""
    artifacts: Sequence[Path] = ()
    """Small files to log as artifacts."""

    def read(self) -> "TrackedJob":
        """The record itself, as of a job that is read later."""
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class JobToRead:
    """A job whose record is read when it is sent. Until then, which may be long, it takes little memory."""

    key: str
    read: Callable[[], TrackedJob]


def outcome_digest(job: TrackedJob, status: str, tags: Mapping[str, str]) -> str:
    """The sha256 of a job's curves, final metrics, status and tags."""
    content = [[dict(line) for line in job.history], dict(job.metrics), status, dict(tags)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def points(job: TrackedJob, start_ms: int, curves: bool) -> "list[Metric]":
    """One point per metric and epoch, then the final metrics at the last epoch, all at the times of the history.

    Args:
        start_ms: time of the final metrics of a job without history.
        curves: whether to include the points of the history.
    """
    from mlflow.entities import Metric

    by_metric: dict[tuple[str, int], Metric] = {}
    epoch, at_ms = 0, start_ms
    for line in job.history:
        epoch, at_ms = int(line["epoch"]), milliseconds(line)
        if curves:
            for key in line.keys() - {"epoch", "time"}:
                value = math.nan if line[key] is None else line[key]  # JSON has null for a NaN
                by_metric[allowed_name(key), epoch] = Metric(allowed_name(key), value, at_ms, epoch)
    for key, value in job.metrics.items():
        by_metric[allowed_name(key), epoch] = Metric(allowed_name(key), value, at_ms, epoch)
    return list(by_metric.values())


def milliseconds(line: Mapping[str, float]) -> int:
    """The time of a line of the history."""
    return round(line["time"] * 1000)


def allowed_name(key: str) -> str:
    """`key` with every character replaced that MLflow refuses in a name; names of behavior columns may have any."""
    return re.sub(r"[^\w.:/ -]", "_", key)
