"""A sweep in MLflow: one experiment per sweep, one parent run per fingerprint, one child run per job and per method.

Logging a job twice, or again after a kill, adds nothing: a child run is found by its job's key, and each point of a
curve has the epoch and the time at which training wrote it, which MLflow stores once. A child run that has ended is
complete and is not touched; if its job was rerun with another outcome, the child run is replaced.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from raydistill.tracking.child_runs import JOB, METHOD, NOTE, PARENT_RUN, ChildRuns
from raydistill.tracking.client import Connection
from raydistill.tracking.database import sync
from raydistill.tracking.job import SCHEME, TrackedJob
from raydistill.tracking.location import database_file
from raydistill.tracking.naming import allowed_name, metric_name
from raydistill.tracking.views import JOBS, METHODS, View, metrics_of

SWEEP = "raydistill.sweep"
"""Tag of a parent run: SCHEME and the fingerprint of the sweep."""
JOBS_OF, METHODS_OF = "jobs_of", "methods_of"
"""Tags by which the views list the runs of jobs, and those of methods, of one parent run."""
LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"
"""Tag of a run that MLflow's own UI reads."""


@dataclass(frozen=True)
class SweepRecord:
    """What is logged of a sweep when it begins."""

    name: str
    fingerprint: str
    params: Mapping[str, object]
    tags: Mapping[str, str]
    columns: Sequence[tuple[str, str]] = (("metrics", "R2"),)
    """Columns of the table of jobs, as in View."""

    @property
    def run_name(self) -> str:
        """The name of the sweep's own run, which says in a table of methods what else there is."""
        return f"{self.name}: answer and figures"

    @property
    def identity(self) -> str:
        """What the runs of this sweep have in common, and those of no other sweep or version."""
        return f"{SCHEME}-{self.fingerprint}"

    @property
    def short_identity(self) -> str:
        """The beginning of the identity, which people can read in the search of MLflow."""
        return self.identity[:12]


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What is logged of a sweep when it ends; files of an earlier end are overwritten."""

    status: Literal["FINISHED", "FAILED", "KILLED", "RUNNING"]
    """RUNNING: the sweep goes on, and another command logs its end."""
    table: Mapping[str, Sequence] | None = None
    """Columns of results.json, which MLflow shows as a table."""
    documents: Mapping[str, dict] | None = None
    """File name -> content, logged as JSON."""
    figures: Sequence[Path] = ()
    metrics: Mapping[str, float] | None = None
    methods: Sequence[TrackedJob] | None = None
    """Each method with its mean scores; the metrics of all of them, in their order, are the columns of their table."""
    note: str = ""
    """Text in Markdown, which MLflow shows with the run of the sweep; it may contain `{run}`, the id of that run."""


class Mirror:
    """The run of a sweep with the runs of its jobs, opened or reopened.

    Raises:
        Exception: any error of MLflow; so does every method. Another mirror must then be opened.
    """

    def __init__(self, runs: Path, sweep: SweepRecord):
        self._connection, self.sweep = Connection(runs, sweep.name, sweep.columns[0][1]), sweep
        self.run_id, known = self._find_or_create(sweep)
        self._connection.client.update_run(self.run_id, status="RUNNING", name=sweep.run_name)
        # MLflow refuses to change a param, and settings that are not part of the fingerprint may change.
        params = {name: value for name, value in sweep.params.items() if allowed_name(name) not in known}
        self._connection.log(self.run_id, params=params, tags=sweep.tags)
        self.jobs = ChildRuns(self._connection, self.run_id, JOB, {JOBS_OF: sweep.short_identity})
        self._connection.delete_view(METHODS)  # until the sweep ends, its methods are not known
        query = f"tags.{JOBS_OF} = '{sweep.short_identity}'"
        self._connection.save_view(View(JOBS, "Jobs", query, sweep.columns))

    @property
    def is_current(self) -> bool:
        """False if the database was deleted or replaced since the mirror was opened."""
        return self._connection.is_current

    def end(self, ending: Ending) -> None:
        """Log the results of the sweep and close its run."""
        client = self._connection.client
        if ending.table is not None:
            import pandas as pd

            # MlflowClient.log_table would append to an earlier table; this writes the same file and tag.
            table = pd.DataFrame(ending.table).to_json(orient="split", index=False)
            client.log_text(self.run_id, table, "results.json")
            client.set_tag(self.run_id, LOGGED_ARTIFACTS, json.dumps([{"path": "results.json", "type": "table"}]))
        for file_name, document in (ending.documents or {}).items():
            client.log_dict(self.run_id, document, file_name)
        for figure in ending.figures:
            client.log_artifact(self.run_id, str(figure), "figures")
        self._log_metrics(ending.metrics or {})
        if ending.note:
            client.set_tag(self.run_id, NOTE, ending.note.replace("{run}", self.run_id))
        if ending.methods:
            self._log_methods(ending.methods)
        if ending.status != "RUNNING":
            client.set_terminated(self.run_id, ending.status)
        if file := database_file(self._connection.uri):
            sync(file)

    def _log_methods(self, methods: Sequence[TrackedJob]) -> None:
        """One run per method, and the view that lists them with the run of the sweep."""
        common = {METHODS_OF: self.sweep.short_identity}
        runs = ChildRuns(self._connection, self.run_id, METHOD, common)
        for method in methods:
            runs.ended(method, "FINISHED")
        runs.delete_others([method.key for method in methods])
        self._connection.log(self.run_id, tags=common)
        columns = metrics_of(metric_name(name) for method in methods for name in method.metrics)
        query = f"tags.{METHODS_OF} = '{self.sweep.short_identity}'"
        self._connection.save_view(View(METHODS, "Methods by session", query, columns))

    def _log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Log the values that have changed, each at the step after its last, so that no step has two values."""
        client = self._connection.client
        logged = client.get_run(self.run_id).data.metrics
        for name, value in ((metric_name(name), value) for name, value in metrics.items()):
            if str(logged.get(name)) != str(float(value)):  # as text, where NaN equals NaN
                step = max((p.step for p in client.get_metric_history(self.run_id, name)), default=-1) + 1
                client.log_metric(self.run_id, name, value, step=step)

    def _find_or_create(self, sweep: SweepRecord) -> tuple[str, Mapping[str, str]]:
        """(run id, known params) of the sweep's run. Of several, which a request that was given up can leave, one."""
        connection = self._connection
        runs = list(connection.search([connection.experiment], f"tags.`{SWEEP}` = '{sweep.identity}'"))
        if not runs:
            return connection.create_run({SWEEP: sweep.identity}, sweep.run_name).info.run_id, {}
        kept = runs[0]
        if len(runs) > 1:
            used = [run for run in runs if self._has_children(run.info.run_id)]
            kept = (used or runs)[0]
            for run in runs:
                if run not in used and run is not kept:
                    connection.client.delete_run(run.info.run_id)
        return kept.info.run_id, kept.data.params

    def _has_children(self, run_id: str) -> bool:
        query = f"tags.`{PARENT_RUN}` = '{run_id}'"
        return bool(self._connection.client.search_runs([self._connection.experiment], query, max_results=1))
