"""The SQLite file of a tracking address, before MLflow opens it."""

import contextlib
import os
import sqlite3
from pathlib import Path

from raydistill.errors import DataError

_OWN = "experiment_id IN (SELECT experiment_id FROM experiment_tags WHERE key = 'raydistill')"
"""SQL: the experiments that raydistill made."""
_BUSY_S = 5.0


def prepare(file: Path, artifacts: str) -> None:
    """Create or open the file, see that it can be written, and let its artifacts lie where the runs folder is now.

    MLflow would retry a locked or unusable file for two minutes.

    Args:
        artifacts: URI of the folder of the artifacts.
    Raises:
        DataError: the file is not a database.
        sqlite3.Error, OSError: it is locked, cannot be written, or the disk is full.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        _make(file)
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None)) as database:
            # With a write-ahead log, the UI can read while a sweep writes.
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("BEGIN IMMEDIATE")
            if _tables(database) and file.parent.as_uri() == artifacts.rpartition("/")[0]:
                mend_locations(database, artifacts)
            database.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        raise DataError(
            f"cannot open {file}: {error}; move the file aside and run again, which rebuilds it from the job folders"
        ) from error


def _make(file: Path) -> None:
    """Make the file with MLflow's tables, whole or not at all.

    MLflow needs seconds for it and many steps, and after half of them, when the disk is full or the process was killed,
    refuses the file for ever.
    """
    from mlflow.store.db.utils import _initialize_tables
    from sqlalchemy import create_engine

    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    engine = create_engine(f"sqlite:///{temporary}")
    try:
        _initialize_tables(engine)
        engine.dispose()
        if not file.exists():  # another process may have been faster
            os.replace(temporary, file)
    finally:
        engine.dispose()
        for left in file.parent.glob(f"{temporary.name}*"):
            left.unlink(missing_ok=True)


def mend_locations(database: sqlite3.Connection, artifacts: str) -> None:
    """Let the artifacts of raydistill's experiments, and of MLflow's empty first one, lie in the folder `artifacts`.

    MLflow writes the absolute path of that folder into every experiment and run, so it is wrong after the runs folder
    was moved or copied.
    """
    database.execute(
        f"UPDATE experiments SET artifact_location = ? WHERE artifact_location <> ? AND ({_OWN} OR experiment_id = 0 "
        "AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.experiment_id = 0))",
        (artifacts, artifacts),
    )
    moved = "? || '/' || run_uuid || '/artifacts'"
    database.execute(
        f"UPDATE runs SET artifact_uri = {moved} WHERE {_OWN} AND artifact_uri <> {moved}", (artifacts, artifacts)
    )


def identity(file: Path) -> tuple[int, int] | None:
    """What distinguishes the file from another one that has taken its place; None if there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def has_run(file: Path, run_id: str) -> bool:
    """Whether the database has a run that is not deleted."""
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=1.0)) as database:
            query = "SELECT 1 FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'"
            return database.execute(query, (run_id,)).fetchone() is not None
    except sqlite3.Error:
        return False


def sync(file: Path) -> None:
    """Write the log of changes into the file and wait for the disk."""
    with contextlib.closing(sqlite3.connect(file, timeout=_BUSY_S)) as database:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)")


def _tables(database: sqlite3.Connection) -> bool:
    """Whether MLflow has made its tables."""
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('experiments', 'experiment_tags', 'runs')"
    return database.execute(query).fetchone()[0] == 3
