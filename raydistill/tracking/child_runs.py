"""The runs of the jobs, or of the methods, of a sweep, below its own run: one each, however often it is logged."""

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raydistill.tracking.client import Connection
from raydistill.tracking.job import TrackedJob, milliseconds, outcome_digest, points

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

JOB = "raydistill.job"
"""Tag of the run of a job: the key of the job."""
METHOD = "raydistill.method"
"""Tag of the run of a method: its name. Such a run has the mean scores of the method, and is made when a sweep ends."""
OUTCOME = "raydistill.outcome"
"""Tag of a child run: sha256 of its curves, metrics and status."""
FIRST_RUN = "raydistill.first_run"
"""Tag of a child run whose job another sweep has already logged: the run that holds the curves."""
CAUSE = "raydistill.cause"
"""Tag of a child run that failed: the cause."""
# Tags that MLflow's own UI reads.
PARENT_RUN = "mlflow.parentRunId"
NOTE = "mlflow.note.content"

Points = dict[tuple[str, int], int]
"""(metric, step) -> time in milliseconds, of the points that a run has."""


@dataclass(slots=True)
class ChildRun:
    """What is known of the run of one job or method."""

    run_id: str
    status: str
    outcome: str
    start_ms: int
    artifact_uri: str
    has_curves: bool
    points: Points | None = None
    """None: the run is of an earlier driver, and was not asked yet."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags to set with the next request."""
    known_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags that MLflow has."""


class ChildRuns:
    """The child runs of one parent run. What it writes is complete or is completed the next time; nothing is doubled.

    Args:
        tag: JOB or METHOD, the tag with the key of each run.
        common: tags of every run.
    Raises:
        Exception: any error of MLflow; so does every method. Another object must then be made, which reads again what
            MLflow has.
    """

    def __init__(self, connection: Connection, parent: str, tag: str, common: Mapping[str, str]):
        self._connection, self._tag = connection, tag
        self._common = {**common, PARENT_RUN: parent}
        self._runs: dict[str, ChildRun] = {}
        self._first_runs: dict[tuple[str, str], str] | None = None
        """(job, outcome) -> the run with its curves, in any experiment; read when it is first needed."""
        of_parent = f"tags.`{PARENT_RUN}` = '{parent}' and tags.`{tag}` != ''"
        for run in connection.search([connection.experiment], of_parent):
            self._keep_one(run.data.tags[tag], _child_of(run))

    def running(self, job: TrackedJob) -> str:
        """Log the progress of a job that is running; returns the id of its run."""
        run = self._runs.get(job.key)
        if run and (run.status != "RUNNING" or self._is_of_other_attempt(run, job)):
            self._delete(run)
            run = None
        new = run is None
        run = run or self._create(job, {})
        if new:
            self._log_sessions(run, job)
        self._log(run, dataclasses.replace(job, metrics={}), with_params=new)
        return run.run_id

    def ended(self, job: TrackedJob, status: str, cause: str = "") -> str:
        """Log a job that is FINISHED, or FAILED with a cause; returns the id of its run."""
        cause = cause[:5000]  # MLflow allows 8000 characters in a tag
        tags = {CAUSE: cause, NOTE: cause} if cause else {}
        outcome = outcome_digest(job, status, tags)
        run = self._runs.get(job.key)
        if run and run.outcome == outcome and run.status == status:
            self._update_tags(run, job.tags)
            return run.run_id
        if run and (run.outcome not in ("", outcome) or self._is_of_other_attempt(run, job)):
            self._delete(run)
            run = None
        tags[OUTCOME] = outcome
        if run is None:
            run = self._create(job, tags | (self._link(job.key, outcome) if job.history else {}))
        else:
            run.tags = {**job.tags, **tags}
        self._log(run, job, with_params=True)
        self._log_sessions(run, job)
        self._connection.log_files(run.artifact_uri, job.artifacts)
        end_ms = milliseconds(job.history[-1]) if job.history else None
        self._connection.client.set_terminated(run.run_id, status, end_time=end_ms)
        run.status, run.outcome = status, outcome
        if self._first_runs is not None and run.has_curves:
            self._first_runs.setdefault((job.key, outcome), run.run_id)
        return run.run_id

    def delete_others(self, keys: Collection[str]) -> None:
        """Delete the runs with other keys."""
        for key in self._runs.keys() - set(keys):
            self._delete(self._runs.pop(key))

    def forget_points(self, key: str) -> None:
        """Ask MLflow which points the run of a job has before the next are logged: an error has left that open."""
        if run := self._runs.get(key):
            run.points = None

    def _create(self, job: TrackedJob, tags: Mapping[str, str]) -> ChildRun:
        start = milliseconds(job.history[0]) if job.history else None
        tags = {**job.tags, **tags, **self._common, self._tag: job.key}
        run = _child_of(self._connection.create_run(tags, job.name, start))
        run.points = {}
        self._runs[job.key] = run
        return run

    def _update_tags(self, run: ChildRun, tags: Mapping[str, str]) -> None:
        """A note on a job may be written after the job was logged."""
        if changed := {name: value for name, value in tags.items() if run.known_tags.get(name) != value}:
            self._connection.log(run.run_id, tags=changed)
            run.known_tags = {**run.known_tags, **changed}

    def _keep_one(self, key: str, run: ChildRun) -> None:
        """Of two runs of a job, keep one: a request that was given up was answered later nevertheless."""
        other = self._runs.get(key)
        if other is None:
            self._runs[key] = run
        elif run.status == "RUNNING":
            self._delete(run)
        else:
            self._delete(other)
            self._runs[key] = run

    def _delete(self, run: ChildRun) -> None:
        self._connection.client.delete_run(run.run_id)

    def _log(self, run: ChildRun, job: TrackedJob, with_params: bool) -> None:
        """Log the parameters, and the points that the run does not have yet."""
        logged = self._points(run)
        new = [p for p in points(job, run.start_ms, curves=run.has_curves) if (p.key, p.step) not in logged]
        self._connection.log(run.run_id, new, job.params if with_params else None, run.tags)
        run.tags = {}
        logged.update(_times(new))

    def _points(self, run: ChildRun) -> Points:
        if run.points is None:
            client = self._connection.client
            names = client.get_run(run.run_id).data.metrics
            run.points = _times([point for name in names for point in client.get_metric_history(run.run_id, name)])
        return run.points

    def _is_of_other_attempt(self, run: ChildRun, job: TrackedJob) -> bool:
        """Whether an epoch was logged with another time, because the job began again or repeated epochs."""
        if run.status != "RUNNING":
            return False
        logged = self._points(run)
        curves = points(dataclasses.replace(job, metrics={}), run.start_ms, curves=run.has_curves)
        return any(logged.get((p.key, p.step), p.timestamp) != p.timestamp for p in curves)

    def _link(self, key: str, outcome: str) -> dict[str, str]:
        """The tag that links to the run of another sweep that has already logged this job."""
        if self._first_runs is None:
            self._first_runs = {}
            with_curves = f"tags.`{OUTCOME}` != '' and attributes.status != 'RUNNING'"
            for run in self._connection.search(self._connection.own_experiments(), with_curves):
                if FIRST_RUN not in run.data.tags and self._tag in run.data.tags:
                    self._first_runs.setdefault((run.data.tags[self._tag], run.data.tags[OUTCOME]), run.info.run_id)
        first = self._first_runs.get((key, outcome))
        return {FIRST_RUN: first} if first else {}

    def _log_sessions(self, run: ChildRun, job: TrackedJob) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        role = [InputTag("mlflow.data.context", "training")]
        # MLflow keeps 36 characters of a digest.
        datasets = [
            Dataset(name, content[:36], "raydistill", json.dumps({"session": name}))
            for name, content in job.sessions.items()
        ]
        if datasets:
            self._connection.client.log_inputs(run.run_id, [DatasetInput(dataset, role) for dataset in datasets])


def _child_of(run: "Run") -> ChildRun:
    return ChildRun(
        run_id=run.info.run_id,
        status=run.info.status,
        outcome=run.data.tags.get(OUTCOME, ""),
        start_ms=run.info.start_time,
        artifact_uri=run.info.artifact_uri,
        has_curves=FIRST_RUN not in run.data.tags,
        known_tags=run.data.tags,
    )


def _times(logged: "list[Metric]") -> Points:
    return {(point.key, point.step): point.timestamp for point in logged}
