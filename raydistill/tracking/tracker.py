"""A sweep in MLflow: one experiment per sweep, one parent run per fingerprint, one child run per job.

MLflow is a copy of what the runs folder holds, so it may be deleted and rebuilt at any time. Only the driver writes
to it. Logging a job twice, or again after a kill, adds nothing: a child run is found by its job's key, and each point
of a curve has the epoch and the time at which training wrote it, which MLflow stores once. A child run that has ended
is complete and is not touched; if its job was rerun with another outcome, the child run is replaced.

Everything goes to `MLFLOW_TRACKING_URI` if it is set, otherwise to `mlflow.db` and `artifacts/` in the runs folder.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from raydistill.errors import RaydistillError, one_line, without_password
from raydistill.tracking.job import TrackedJob, allowed_name, milliseconds, outcome_digest, points
from raydistill.tracking.location import location, open_database, quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = {"raydistill": "sweep", "mlflow.experimentKind": "custom_model_development"}
"""Tags of an experiment: it belongs to raydistill, and MLflow shows it as an experiment of trainings."""
SWEEP = "raydistill.sweep"
"""Tag of a parent run: the fingerprint of the sweep."""
JOB = "raydistill.job"
"""Tag of a child run: the key of the job."""
OUTCOME = "raydistill.outcome"
"""Tag of a child run: sha256 of its curves, metrics and status."""
FIRST_RUN = "raydistill.first_run"
"""Tag of a child run whose job another sweep has already logged: the run that holds the curves."""
CAUSE = "raydistill.cause"
"""Tag of a child run that failed: the cause."""

# Tags that MLflow's own UI reads.
PARENT_RUN = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"


class Tracker:
    """Writes a sweep's runs to MLflow.

    Raises:
        RaydistillError: the tracking database or server cannot be used.
    """

    def __init__(self, runs: Path, sweep: str):
        self._sweep = sweep
        uri, artifacts = location(runs)
        open_database(uri)
        quiet_mlflow()
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._client = MlflowClient(uri, uri)
            self._experiment = _find_or_create_experiment(self._client, sweep, artifacts)
        except (MlflowException, SQLAlchemyError, ImportError) as error:
            raise RaydistillError(
                f"cannot track in {without_password(uri)}: {without_password(one_line(error))}; "
                "correct MLFLOW_TRACKING_URI, or unset it to track in the runs folder"
            ) from error
        own_experiments = self._client.search_experiments(filter_string="tags.raydistill = 'sweep'")
        self._all_experiments = [e.experiment_id for e in own_experiments]
        self._parent = ""
        self._children: dict[str, Run] = {}
        self._logged: dict[str, set[tuple[str, int]]] = {}
        """Run -> (metric, step) of the points that it has."""

    def parent(self, fingerprint: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """Open the run of this sweep, or reopen it when the sweep is resumed; returns its id."""
        client = self._client
        runs = client.search_runs([self._experiment], f"tags.`{SWEEP}` = '{fingerprint}'", max_results=1)
        run = runs[0] if runs else client.create_run(self._experiment, tags={SWEEP: fingerprint})
        self._parent = run.info.run_id
        client.update_run(self._parent, status="RUNNING", name=self._sweep)
        # MLflow refuses to change a param, and settings that are not part of the fingerprint may change.
        self._log_params({k: v for k, v in params.items() if allowed_name(k) not in run.data.params}, self._parent)
        for key, value in tags.items():
            client.set_tag(self._parent, key, value)
        children = self._search([self._experiment], f"tags.`{PARENT_RUN}` = '{self._parent}'")
        self._children = {child.data.tags[JOB]: child for child in children if JOB in child.data.tags}
        return self._parent

    def running(self, job: TrackedJob) -> str:
        """Log the progress of a job that is running, as often as there is any; returns the id of its child run."""
        run = self._children.get(job.key)
        if run and run.info.status != "RUNNING":  # the job failed before and is tried again
            self._client.delete_run(run.info.run_id)
            run = None
        run_id = (run or self._create_child(job, {})).info.run_id
        if not run:
            self._log_params(job.params, run_id)
            self._log_sessions(job.sessions, run_id)
            self._children[job.key] = self._client.get_run(run_id)
        self._log_points(job, self._children[job.key], final=False)
        return run_id

    def job(self, job: TrackedJob) -> str:
        """Log a finished job; returns the id of its child run."""
        return self._log_job(job, "FINISHED", {})

    def failed(self, job: TrackedJob, cause: str) -> str:
        """Log a failed job with the curves that it has; returns the id of its child run."""
        cause = cause[:5000]  # MLflow allows 8000 characters in a tag
        return self._log_job(job, "FAILED", {CAUSE: cause, NOTE: cause})

    def interrupted(self) -> None:
        """Mark the sweep's run as stopped before its end."""
        self._client.set_terminated(self._parent, "KILLED")

    def finish(
        self,
        *,
        table: Mapping[str, Sequence],
        documents: Mapping[str, dict],
        figures: Sequence[Path],
        metrics: Mapping[str, float],
        status: Literal["FINISHED", "FAILED", "KILLED"],
    ) -> None:
        """Log the results of the sweep and close its run. Files of an earlier finish are overwritten.

        Args:
            table: columns of results.json, which MLflow shows as a table.
            documents: file name -> content, logged as JSON.
        """
        import pandas as pd

        client, run_id = self._client, self._parent
        # MlflowClient.log_table would append to an earlier table; this writes the same file and tag.
        client.log_text(run_id, pd.DataFrame(table).to_json(orient="split", index=False), "results.json")
        client.set_tag(run_id, LOGGED_ARTIFACTS, json.dumps([{"path": "results.json", "type": "table"}]))
        for file_name, document in documents.items():
            client.log_dict(run_id, document, file_name)
        for figure in figures:
            client.log_artifact(run_id, str(figure), "figures")
        logged = client.get_run(run_id).data.metrics
        for key, value in metrics.items():
            if str(logged.get(allowed_name(key))) != str(float(value)):  # as text, where NaN equals NaN
                client.log_metric(run_id, allowed_name(key), value)
        client.set_terminated(run_id, status)

    def _log_job(self, job: TrackedJob, status: str, tags: dict[str, str]) -> str:
        outcome = outcome_digest(job, status, tags)
        run = self._children.get(job.key)
        if run and run.data.tags.get(OUTCOME, outcome) != outcome:
            self._client.delete_run(run.info.run_id)
            run = None
        if run and run.info.status == status:
            return run.info.run_id
        tags = {**tags, OUTCOME: outcome}
        if run and OUTCOME not in run.data.tags:  # the job was logged while it ran
            for key, value in tags.items():
                self._client.set_tag(run.info.run_id, key, value)
        run = run or self._create_child(job, self._first_run(job, outcome) | tags)
        run_id = run.info.run_id
        self._log_params(job.params, run_id)
        self._log_sessions(job.sessions, run_id)
        self._log_points(job, run, final=True)
        for file in job.artifacts:
            self._client.log_artifact(run_id, str(file))
        self._client.set_terminated(run_id, status, end_time=milliseconds(job.history[-1]) if job.history else None)
        self._children[job.key] = self._client.get_run(run_id)
        return run_id

    def _create_child(self, job: TrackedJob, tags: dict[str, str]) -> "Run":
        tags = {**job.tags, **tags, JOB: job.key, PARENT_RUN: self._parent}
        start = milliseconds(job.history[0]) if job.history else None
        run = self._client.create_run(self._experiment, start_time=start, tags=tags, run_name=job.name)
        self._logged[run.info.run_id] = set()
        return run

    def _first_run(self, job: TrackedJob, outcome: str) -> dict[str, str]:
        """The tag that links to the run of another sweep that has already logged this job."""
        runs = self._search(self._all_experiments, f"tags.`{JOB}` = '{job.key}' and tags.`{OUTCOME}` = '{outcome}'")
        original = next((r for r in runs if FIRST_RUN not in r.data.tags and r.info.status != "RUNNING"), None)
        return {FIRST_RUN: original.info.run_id} if original else {}

    def _log_points(self, job: TrackedJob, run: "Run", final: bool) -> None:
        """Log the points that the run does not have yet: of the curves, and at the end of the final metrics."""
        run_id = run.info.run_id
        job = job if final else dataclasses.replace(job, metrics={})
        all_points = points(job, run.info.start_time, curves=FIRST_RUN not in run.data.tags)
        if run_id not in self._logged:  # an earlier driver created the run
            names = self._client.get_run(run_id).data.metrics
            history = (m for name in names for m in self._client.get_metric_history(run_id, name))
            self._logged[run_id] = {(m.key, m.step) for m in history}
        new = [point for point in all_points if (point.key, point.step) not in self._logged[run_id]]
        for chunk in _chunks(new, 1000):
            self._client.log_batch(run_id, metrics=chunk)
        self._logged[run_id] |= {(point.key, point.step) for point in new}

    def _search(self, experiments: list[str], query: str) -> "Iterator[Run]":
        token = None
        while token != "":
            page = self._client.search_runs(
                experiments, query, order_by=["attributes.start_time ASC"], max_results=1000, page_token=token
            )
            yield from page
            token = page.token or ""

    def _log_params(self, params: Mapping[str, object], run_id: str) -> None:
        from mlflow.entities import Param

        for chunk in _chunks([Param(allowed_name(k), str(v)) for k, v in params.items()], 100):
            self._client.log_batch(run_id, params=chunk)

    def _log_sessions(self, sessions: Mapping[str, str], run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        role = [InputTag("mlflow.data.context", "training")]
        # MLflow keeps 36 characters of a digest.
        datasets = [
            Dataset(name, content[:36], "raydistill", json.dumps({"session": name}))
            for name, content in sessions.items()
        ]
        if datasets:
            self._client.log_inputs(run_id, [DatasetInput(dataset, role) for dataset in datasets])


def _find_or_create_experiment(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return client.create_experiment(name, artifact_location=artifacts, tags=EXPERIMENT)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    for tag, value in EXPERIMENT.items():
        client.set_experiment_tag(experiment.experiment_id, tag, value)
    return experiment.experiment_id


def _chunks(items: list, size: int) -> Iterator[list]:
    return (items[i : i + size] for i in range(0, len(items), size))
