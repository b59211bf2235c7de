"""A connection to MLflow: the experiment of a sweep, its runs, and requests of the sizes that MLflow allows."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from raydistill.tracking.database import identity, prepare
from raydistill.tracking.location import database_file, location, quiet_mlflow
from raydistill.tracking.naming import allowed_name
from raydistill.tracking.views import View, tag_of

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

EXPERIMENT = {
    "raydistill": "sweep",
    "mlflow.experimentKind": "custom_model_development",
}
"""Tags of an experiment: it belongs to raydistill, and MLflow shows it as an experiment of trainings."""
PRIMARY = "mlflow.experiment.primaryMetric.name"
"""Tag of the metric that MLflow shows first."""
_ENTITIES, _PARAMS = 1000, 100
"""Of one request, MLflow takes at most so many metrics, parameters and tags together, and so many parameters."""


class Connection:
    """MLflow's client, with the experiment that has the name of a sweep.

    Args:
        score: the metric that MLflow shows first.
    Raises:
        Exception: any error of MLflow, of its database or of its server; so does every method.
    """

    def __init__(self, runs: Path, experiment: str, score: str = "R2"):
        self.uri, artifacts = location(runs)
        self._file = database_file(self.uri)
        quiet_mlflow()
        if self._file is not None and artifacts is not None:
            prepare(self._file, artifacts)
        self._identity = self._file and identity(self._file)
        from mlflow import MlflowClient

        if self._file is not None:
            _sync_less_often(self._file)
        address = _of_this_file(self.uri, self._identity) if self._identity else self.uri
        self.client = MlflowClient(address, address)
        self.experiment = self._find_or_create_experiment(experiment, artifacts, EXPERIMENT | {PRIMARY: score})

    @property
    def is_current(self) -> bool:
        """False if the database was deleted or replaced; what is written then, is written into the deleted file."""
        return self._file is None or identity(self._file) == self._identity

    def own_experiments(self) -> list[str]:
        """The ids of all experiments of raydistill."""
        found, token = [], None
        while token != "":
            page = self.client.search_experiments(filter_string="tags.raydistill = 'sweep'", page_token=token)
            found += [experiment.experiment_id for experiment in page]
            token = page.token or ""
        return found

    def search(self, experiments: Sequence[str], query: str) -> "Iterator[Run]":
        """The runs that match a query, oldest first."""
        token = None
        while token != "":
            page = self.client.search_runs(
                list(experiments), query, order_by=["attributes.start_time ASC"], max_results=500, page_token=token
            )
            yield from page
            token = page.token or ""

    def create_run(self, tags: Mapping[str, str], name: str | None = None, start_ms: int | None = None) -> "Run":
        """A new run of the experiment."""
        return self.client.create_run(self.experiment, start_time=start_ms, tags=dict(tags), run_name=name)

    def log(
        self,
        run_id: str,
        metrics: "Sequence[Metric]" = (),
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log points, parameters and tags in as few requests as MLflow allows."""
        from mlflow.entities import Param, RunTag

        left_params = [Param(allowed_name(key), str(value)) for key, value in (params or {}).items()]
        left_tags = [RunTag(key, value) for key, value in (tags or {}).items()]
        left_metrics = list(metrics)
        while left_params or left_tags or left_metrics:
            some_params, left_params = left_params[:_PARAMS], left_params[_PARAMS:]
            room = _ENTITIES - len(some_params) - len(left_tags)
            some_metrics, left_metrics = left_metrics[:room], left_metrics[room:]
            self.client.log_batch(run_id, metrics=some_metrics, params=some_params, tags=left_tags)
            left_tags = []

    def log_files(self, artifact_uri: str, files: Sequence[Path]) -> None:
        """Log files as artifacts of a run."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        # MlflowClient.log_artifact would ask for the run first.
        repository = get_artifact_repository(artifact_uri, self.uri)
        for file in files:
            repository.log_artifact(str(file))

    def save_view(self, view: View) -> None:
        """Let MLflow's UI offer a table of runs."""
        self.client.set_experiment_tag(self.experiment, *view.to_tag())

    def delete_view(self, key: str) -> None:
        """Take back a table of runs, if there is one."""
        if tag_of(key) in self.client.get_experiment(self.experiment).tags:
            self.client.delete_experiment_tag(self.experiment, tag_of(key))

    def _find_or_create_experiment(self, name: str, artifacts: str | None, tags: dict[str, str]) -> str:
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            return self.client.create_experiment(name, artifact_location=artifacts, tags=tags)
        if experiment.lifecycle_stage == "deleted":
            self.client.restore_experiment(experiment.experiment_id)
        missing = {tag: value for tag, value in tags.items() if experiment.tags.get(tag) != value}
        for tag, value in missing.items():
            self.client.set_experiment_tag(experiment.experiment_id, tag, value)
        if missing and self._file is not None and artifacts is not None:
            prepare(self._file, artifacts)  # somebody else made the experiment, with another place for artifacts
        return experiment.experiment_id


def _of_this_file(uri: str, identity_: tuple[int, int]) -> str:
    """An address that is used for no other file: MLflow keeps the connections to an address, also to a deleted file.

    The number behind the point changes nothing; the wait for a lock is that of MLflow.
    """
    return f"{uri}{'&' if '?' in uri else '?'}timeout=20.{identity_[1]}"


_files_synced_less: set[Path] = set()


def _sync_less_often(file: Path) -> None:
    """Write a database without waiting for the disk after every change, which takes most of the time of a job.

    With a write-ahead log, a loss of power can then cost the last changes, but never the database.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not _files_synced_less:
        event.listen(Engine, "connect", _set_sync)
    _files_synced_less.add(file.resolve())


def _set_sync(connection: object, _: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    with contextlib.closing(connection.execute("PRAGMA database_list")) as rows:
        file = Path(next(iter(rows))[2])
    if file in _files_synced_less:
        connection.execute("PRAGMA synchronous=NORMAL").close()
