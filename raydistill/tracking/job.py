"""The record of one job for MLflow, and the points of its curves."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from raydistill.tracking.naming import metric_name

if TYPE_CHECKING:
    from mlflow.entities import Metric


SCHEME = 5
"""Version of what is logged and how it is named. What another version has logged is left as it is and logged again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedJob:
    """The data of one job, or of a method of a sweep, that are logged to MLflow."""

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
    """The sha256 of a job's curves, final metrics, status and tags, and of the version of their names."""
    content = [SCHEME, [dict(line) for line in job.history], dict(job.metrics), status, dict(tags)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def points(job: TrackedJob, start_ms: int, curves: bool) -> "list[Metric]":
    """The final metrics at the last epoch, then one point per metric and epoch, all at the times of the history.

    MLflow's plots show the metric that a run was given first, so R² comes before the curves.

    Args:
        start_ms: time of the final metrics of a job without history.
        curves: whether to include the points of the history.
    """
    from mlflow.entities import Metric

    last = job.history[-1] if job.history else None
    epoch, at_ms = (int(last["epoch"]), milliseconds(last)) if last else (0, start_ms)
    found = [(metric_name(name), value, epoch, at_ms) for name, value in job.metrics.items()]
    for line in job.history if curves else ():
        values = {name: value for name, value in line.items() if name not in ("epoch", "time")}
        # JSON has null for a NaN.
        found += [
            (metric_name(name), math.nan if value is None else value, int(line["epoch"]), milliseconds(line))
            for name, value in values.items()
        ]
    by_point: dict[tuple[str, int], Metric] = {}
    for name, value, step, time_ms in sorted(found, key=lambda point: not point[0].startswith(("R2", "AUC"))):
        by_point.setdefault((name, step), Metric(name, value, time_ms, step))
    return list(by_point.values())


def milliseconds(line: Mapping[str, float]) -> int:
    """The time of a line of the history."""
    return round(line["time"] * 1000)
