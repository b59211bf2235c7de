"""Where runs are logged: at MLFLOW_TRACKING_URI if it is set, otherwise in the runs folder."""

import logging
import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from raydistill.errors import ConfigError, one_line, without_password

OWN_DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
VARIABLE = "MLFLOW_TRACKING_URI"
_SERVERS = ("http://", "https://", "databricks")
_DATABASES = ("sqlite:///", "postgresql", "mysql", "mssql")
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "DATABRICKS_TOKEN")
_PATIENCE = {
    # A request that was repeated by MLflow itself could create a run twice; the outbox repeats it after a look.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def choose(uri: str) -> None:
    """Let this command log to another address, as if it were that of the environment.

    Raises:
        ConfigError: it is not the address of a tracking server or database.
    """
    if not uri.startswith((*_SERVERS, *_DATABASES)):
        raise ConfigError(
            f"--to {shown(uri)}: not an address of MLflow; give that of a server, such as http://127.0.0.1:5000, or of "
            "a database, such as sqlite:////absolute/path/mlflow.db"
        )
    os.environ[VARIABLE] = uri


def location(runs: Path) -> tuple[str, str | None]:
    """(tracking address, URI of the artifacts); the second is None if the tracking server chooses it."""
    uri = os.environ.get(VARIABLE) or f"sqlite:///{runs.resolve() / OWN_DATABASE}"
    return uri, None if uri.startswith(_SERVERS) else (runs.resolve() / ARTIFACTS).as_uri()


def place(runs: Path) -> str:
    """The tracking address without secrets, and for the database of a runs folder the same wherever the folder is."""
    uri, _ = location(runs)
    return OWN_DATABASE if database_file(uri) == runs.resolve() / OWN_DATABASE else shown(uri)


def database_file(uri: str) -> Path | None:
    """The absolute path of the SQLite file of a tracking address; None for any other address."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]).absolute()


def shown(uri: str) -> str:
    """A tracking address for people: without user, password and query, all of which may be secret."""
    return without_password(uri).partition("?")[0]


def cause_of(error: Exception, uri: str) -> str:
    """The first line of an error of MLflow, without any secret of the tracking address."""
    text = without_password(one_line(error))
    parts = urlsplit(uri)
    options = [value for name, value in parse_qsl(parts.query) if re.search("pass|token|secret|key", name.lower())]
    secrets = [parts.password or "", parts.query, *options, *(os.environ.get(name, "") for name in _SECRETS)]
    for secret in sorted({s for part in secrets if part for s in (part, unquote(part))}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text if len(text) <= 300 else f"{text[:300]}..."


def quiet_mlflow() -> None:
    """Import MLflow without telemetry, output and long waits. Call it before any other import of MLflow."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # Stdout is for results, which may be JSON.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient  # noqa: F401  (the import sets the levels of its loggers)

    # MLflow logs a traceback, which may have the address, for every error that it raises as well, and alembic logs
    # every migration of a new database.
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
