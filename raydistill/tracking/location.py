"""Where runs are logged: at MLFLOW_TRACKING_URI if it is set, otherwise in the runs folder."""

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from raydistill.errors import RaydistillError


def location(runs: Path) -> tuple[str, str | None]:
    """(tracking address, URI of the artifacts); the second is None if the tracking server chooses it."""
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{runs.resolve() / 'mlflow.db'}"
    is_server = uri.startswith(("http://", "https://", "databricks"))
    return uri, None if is_server else (runs.resolve() / "artifacts").as_uri()


def is_tracked(runs: Path) -> bool:
    """Whether the runs folder has a tracking database, or another place is used."""
    uri, _ = location(runs)
    file = database_file(uri)
    return file is None or file.exists()


def database_file(uri: str) -> Path | None:
    """The SQLite file of a tracking address; None for any other address."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def open_database(uri: str) -> None:
    """Let the UI read an SQLite file while a sweep writes to it, by a write-ahead log.

    This also detects at once a file that is not a database, which MLflow would retry for two minutes.

    Raises:
        RaydistillError: the file is not a database, or cannot be opened.
    """
    file = database_file(uri)
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA journal_mode=WAL")
    except (OSError, sqlite3.Error) as error:
        raise RaydistillError(
            f"cannot open {file}: {error}; move the file aside and run again, which rebuilds it from the job folders"
        ) from error


def quiet_mlflow() -> None:
    """Import MLflow without telemetry and with little output. Call it before any other import of MLflow."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Stdout is for results, which may be JSON.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow  # noqa: F401  (the import sets the levels of its loggers)

    # Otherwise the creation of a database logs every migration.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
