"""The places of artifacts that a database of MLflow names."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

_COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "source",
    "model_versions ": "storage_location",
    "trace_tags": "CASE WHEN key = 'mlflow.artifactLocation' THEN value END",
    "workspaces": "default_artifact_root",
}
"""Table -> the expression that is an address of artifacts."""
_RELATIVE = {"mlflow-artifacts", "runs", "models"}


def locations_outside(database: Path, root: Path) -> list[str]:
    """The addresses in a database that lead out of a folder; the server does not serve them.

    Raises:
        sqlite3.Error: the file is not a database or cannot be read.
    """
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return sorted({uri for uri in _locations(connection) if not _is_inside(uri, root.resolve())})


def _locations(connection: sqlite3.Connection) -> Iterator[str]:
    for table, expression in _COLUMNS.items():
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table.strip(),)).fetchone():
            query = f"SELECT DISTINCT {expression} FROM {table} WHERE {expression} <> ''"
            yield from (str(uri) for (uri,) in connection.execute(query))


def _is_inside(uri: str, root: Path) -> bool:
    parts = urlsplit(uri)
    if parts.scheme in _RELATIVE:
        return not parts.netloc and ".." not in unquote(unquote(parts.path)).split("/")
    if parts.scheme not in ("", "file") or parts.netloc:
        return False
    path = Path(unquote(parts.path)) if parts.scheme else Path(uri)
    return path.is_absolute() and path.resolve().is_relative_to(root)
