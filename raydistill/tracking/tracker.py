"""A sweep in MLflow: one experiment a sweep, one parent run a fingerprint, one child run a job.

MLflow mirrors what the runs folder already holds, so it may be lost, or written again, at any time.
Only the driver writes. Telling it the same twice, or again after a kill in the middle, adds nothing:
a child is found by its job's key, and each point of a curve carries the epoch and the time at which
training wrote it, which MLflow stores once. A child that has ended says what it should and is left
alone; one of a job that was made again, with another outcome, is replaced.

Everything goes to `MLFLOW_TRACKING_URI` if it is set, else to `mlflow.db` and `artifacts/` in the runs folder.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import math
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from raydistill.errors import RaydistillError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

EXPERIMENT = {"raydistill": "sweep", "mlflow.experimentKind": "custom_model_development"}
"""Tags of an experiment: it is ours, and of MLflow's two kinds of pages its runs want those for training."""
SWEEP = "raydistill.sweep"
"""Tag of a parent: the fingerprint of the sweep."""
JOB = "raydistill.job"
"""Tag of a child: the key of the job."""
OUTCOME = "raydistill.outcome"
"""Tag of a child: sha256 of its curves, metrics and status."""
FIRST_RUN = "raydistill.first_run"
"""Tag of a child whose job another sweep has tracked before: the run that has the curves."""
CAUSE = "raydistill.cause"
"""Tag of a child that failed: why."""

# Tags that MLflow's own UI reads.
PARENT_RUN = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
LOGGED_ARTIFACTS = "mlflow.loggedArtifacts"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedJob:
    """What is shown of one job."""

    key: str
    name: str
    params: Mapping[str, object] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    """The lines of history.jsonl: `epoch`, `time` (unix seconds) and the metrics of that epoch."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The final figures, shown at the last epoch."""
    sessions: Mapping[str, str] = field(default_factory=dict)
    """Session -> sha256 of its stored values: the data sets of the run."""
    artifacts: Sequence[Path] = ()
    """Small files."""


class Tracker:
    """The only writer of a sweep's runs; RaydistillError where the tracking database or server cannot be used."""

    def __init__(self, runs: Path, sweep: str):
        self._sweep = sweep
        uri, artifacts = _location(Path(runs))
        _open_database(uri)
        _quiet_mlflow()
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._client = MlflowClient(uri, uri)
            self._experiment = _find_or_create_experiment(self._client, sweep, artifacts)
        except (MlflowException, SQLAlchemyError, ImportError) as error:
            raise RaydistillError(
                f"cannot track in {_without_password(uri)}: {_without_password(_first_line(error))}; "
                "put that right, or unset MLFLOW_TRACKING_URI to track in the runs folder"
            ) from error
        ours = self._client.search_experiments(filter_string="tags.raydistill = 'sweep'")
        self._all_experiments = [e.experiment_id for e in ours]
        self._parent = ""
        self._children: dict[str, Run] = {}
        self._told: dict[str, set[tuple[str, int]]] = {}
        """Run -> (metric, step) of the points that it has."""

    def parent(self, fingerprint: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """Open the run of this sweep, the same one again when it is resumed; its id."""
        client = self._client
        found = client.search_runs([self._experiment], f"tags.`{SWEEP}` = '{fingerprint}'", max_results=1)
        run = found[0] if found else client.create_run(self._experiment, tags={SWEEP: fingerprint})
        self._parent = run.info.run_id
        client.update_run(self._parent, status="RUNNING", name=self._sweep)
        # What is there stays: MLflow refuses a changed param, and settings outside the fingerprint may change.
        self._log_params({k: v for k, v in params.items() if _allowed(k) not in run.data.params}, self._parent)
        for key, value in tags.items():
            client.set_tag(self._parent, key, value)
        children = self._search([self._experiment], f"tags.`{PARENT_RUN}` = '{self._parent}'")
        self._children = {child.data.tags.get(JOB): child for child in children}
        return self._parent

    def running(self, job: TrackedJob) -> str:
        """Show how far a job is, as a child run that goes on; its id. Called again and again while it runs."""
        run = self._children.get(job.key)
        if run and run.info.status != "RUNNING":  # it failed before, and is tried again
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
        """Show a finished job as a child run; its id."""
        return self._show(job, "FINISHED", {})

    def failed(self, job: TrackedJob, cause: str) -> str:
        """Show a failed job, with what it had reached, as a child run; its id."""
        cause = cause[:5000]  # a tag takes 8000
        return self._show(job, "FAILED", {CAUSE: cause, NOTE: cause})

    def interrupted(self) -> None:
        """Mark the sweep's run as stopped before its end."""
        self._client.set_terminated(self._parent, "KILLED")

    def finish(
        self,
        *,
        table: Mapping[str, Sequence],
        documents: Mapping[str, object],
        figures: Sequence[Path],
        metrics: Mapping[str, float],
        status: Literal["FINISHED", "FAILED", "KILLED"],
    ) -> None:
        """Close the sweep's run: results.json from the columns of `table`, documents (file name -> JSON), figures.

        Files of an earlier finish are overwritten.
        """
        import pandas as pd

        client, run_id = self._client, self._parent
        # MlflowClient.log_table would append to the table of the last finish; this is the file and tag it makes.
        client.log_text(run_id, pd.DataFrame(table).to_json(orient="split", index=False), "results.json")
        client.set_tag(run_id, LOGGED_ARTIFACTS, json.dumps([{"path": "results.json", "type": "table"}]))
        for file_name, document in documents.items():
            client.log_dict(run_id, document, file_name)
        for figure in figures:
            client.log_artifact(run_id, figure, "figures")
        known = client.get_run(run_id).data.metrics
        for key, value in metrics.items():
            if str(known.get(_allowed(key))) != str(float(value)):  # as text, where NaN equals NaN
                client.log_metric(run_id, _allowed(key), value)
        client.set_terminated(run_id, status)

    def _show(self, job: TrackedJob, status: str, tags: dict[str, str]) -> str:
        outcome = _outcome(job, status, tags)
        run = self._children.get(job.key)
        if run and run.data.tags.get(OUTCOME, outcome) != outcome:
            self._client.delete_run(run.info.run_id)
            run = None
        if run and run.info.status == status:
            return run.info.run_id
        tags = {**tags, OUTCOME: outcome}
        if run and OUTCOME not in run.data.tags:  # it was shown while it ran
            for key, value in tags.items():
                self._client.set_tag(run.info.run_id, key, value)
        run = run or self._create_child(job, self._first_run(job, outcome) | tags)
        run_id = run.info.run_id
        self._log_params(job.params, run_id)
        self._log_sessions(job.sessions, run_id)
        self._log_points(job, run, final=True)
        for file in job.artifacts:
            self._client.log_artifact(run_id, file)
        self._client.set_terminated(run_id, status, end_time=_milliseconds(job.history[-1]) if job.history else None)
        self._children[job.key] = self._client.get_run(run_id)
        return run_id

    def _create_child(self, job: TrackedJob, tags: dict[str, str]) -> "Run":
        tags = {**job.tags, **tags, JOB: job.key, PARENT_RUN: self._parent}
        start = _milliseconds(job.history[0]) if job.history else None
        run = self._client.create_run(self._experiment, start_time=start, tags=tags, run_name=job.name)
        self._told[run.info.run_id] = set()
        return run

    def _first_run(self, job: TrackedJob, outcome: str) -> dict[str, str]:
        """The tag that links to the run of another sweep that has told of this job already."""
        told = self._search(self._all_experiments, f"tags.`{JOB}` = '{job.key}' and tags.`{OUTCOME}` = '{outcome}'")
        first = next((r for r in told if FIRST_RUN not in r.data.tags and r.info.status != "RUNNING"), None)
        return {FIRST_RUN: first.info.run_id} if first else {}

    def _log_points(self, job: TrackedJob, run: "Run", final: bool) -> None:
        """What the run does not say yet: the curves, and in the end the final figures."""
        run_id = run.info.run_id
        shown = job if final else dataclasses.replace(job, metrics={})
        points = _points(shown, run.info.start_time, FIRST_RUN not in run.data.tags)
        if run_id not in self._told:  # a driver that is gone has begun it
            names = self._client.get_run(run_id).data.metrics
            history = (m for name in names for m in self._client.get_metric_history(run_id, name))
            self._told[run_id] = {(m.key, m.step) for m in history}
        new = [point for point in points if (point.key, point.step) not in self._told[run_id]]
        for chunk in _chunks(new, 1000):
            self._client.log_batch(run_id, metrics=chunk)
        self._told[run_id] |= {(point.key, point.step) for point in new}

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

        for chunk in _chunks([Param(_allowed(k), str(v)) for k, v in params.items()], 100):
            self._client.log_batch(run_id, params=chunk)

    def _log_sessions(self, sessions: Mapping[str, str], run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        role = [InputTag("mlflow.data.context", "training")]
        # 36 characters are all that MLflow keeps of a digest.
        data = [
            Dataset(name, content[:36], "raydistill", json.dumps({"session": name}))
            for name, content in sessions.items()
        ]
        if data:
            self._client.log_inputs(run_id, [DatasetInput(each, role) for each in data])


def is_tracked(runs: Path) -> bool:
    """Whether there is a database in the runs folder, or a server that keeps it elsewhere."""
    uri, _ = _location(Path(runs))
    return not (file := _database(uri)) or file.exists()


def serve(runs: Path, port: int = 5000) -> None:
    """The MLflow UI of this runs folder on the loopback interface, until Ctrl-C or SIGTERM.

    Raises RaydistillError where there is nothing to show or the port is taken.
    """
    uri, artifacts = _location(Path(runs))
    if artifacts is None:
        print(f"MLFLOW_TRACKING_URI is a server already: open {_without_password(uri)}", file=sys.stderr)
        return
    if (file := _database(uri)) and not file.exists():
        raise RaydistillError(
            f"{file} is not there: run `raydistill sweep` first, or name its folder with `--runs`, or its server "
            "with MLFLOW_TRACKING_URI"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise RaydistillError(f"port {port} cannot be used: {error}; choose another with `--port`") from error
    # Through the environment, where a password in the address does not show in the list of processes.
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--uvicorn-opts", "--log-level warning"]
    print(f"MLflow at http://127.0.0.1:{port} in a few seconds (Ctrl-C ends it)", file=sys.stderr, flush=True)
    # Either ends it, also where a shell started it in the background and so had it ignore Ctrl-C.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    # In a session of its own the server hears of Ctrl-C from us alone, once.
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        if code := server.wait():
            raise RaydistillError(f"the MLflow server ended with code {code}; its own message is above")
    except KeyboardInterrupt:
        pass
    finally:
        _end(server)


def _end(server: subprocess.Popen, patience_s: float = 5.0) -> None:
    """Ask the server to end; one that waits for a browser to close its connection is ended with its workers."""
    server.terminate()
    try:
        server.wait(patience_s)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)  # it leads a group of its own
        server.wait()


def _location(runs: Path) -> tuple[str, str | None]:
    """Tracking address, and where artifacts go; None leaves that to the server."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{runs.resolve() / 'mlflow.db'}"
    is_server = uri.startswith(("http://", "https://", "databricks"))
    return uri, None if is_server else (runs.resolve() / "artifacts").as_uri()


def _quiet_mlflow() -> None:
    """To be called before MLflow is imported, when it reads its environment."""
    # No telemetry, and no addresses of runs on stdout, which belongs to `--json`.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow  # noqa: F401  (it sets the levels of its loggers as it is imported)

    # A new database would narrate its making.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _database(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _open_database(uri: str) -> None:
    """Let the UI read an SQLite file while a sweep writes it, by a write-ahead log.

    This also finds a file that is no database at once; MLflow would try it for two minutes.
    """
    if not (file := _database(uri)):
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA journal_mode=WAL")
    except (OSError, sqlite3.Error) as error:
        raise RaydistillError(
            f"cannot open {file}: {error}; move it aside and run again: it is written anew from the job folders"
        ) from error


def _find_or_create_experiment(client: "MlflowClient", name: str, artifacts: str | None) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return client.create_experiment(name, artifact_location=artifacts, tags=EXPERIMENT)
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    for tag, value in EXPERIMENT.items():
        client.set_experiment_tag(experiment.experiment_id, tag, value)
    return experiment.experiment_id


def _outcome(job: TrackedJob, status: str, tags: dict[str, str]) -> str:
    said = [[dict(line) for line in job.history], dict(job.metrics), status, tags]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _points(job: TrackedJob, start: int, curves: bool) -> "list[Metric]":
    """One point a metric and epoch, then the final metrics at the last epoch, all at the times of the history."""
    from mlflow.entities import Metric

    points = {}
    epoch, at = 0, start
    for line in job.history:
        epoch, at = line["epoch"], _milliseconds(line)
        if curves:
            for key in line.keys() - {"epoch", "time"}:
                value = math.nan if line[key] is None else line[key]  # null is how JSON writes a NaN
                points[key, epoch] = Metric(_allowed(key), value, at, epoch)
    for key, value in job.metrics.items():
        points[key, epoch] = Metric(_allowed(key), value, at, epoch)
    return list(points.values())


def _milliseconds(line: Mapping[str, float]) -> int:
    return round(line["time"] * 1000)


def _allowed(key: str) -> str:
    """`key` with every character that MLflow refuses in a name replaced; behavior names may have any."""
    return re.sub(r"[^\w.:/ -]", "_", key)


def _chunks(items: list, size: int) -> Iterator[list]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)
