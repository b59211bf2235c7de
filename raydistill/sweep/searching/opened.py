"""A search file and the runs folder it is used with, for commands that only read: its trials and its result so far."""

import contextlib
import functools
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import optuna
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from raydistill.errors import DataError, RaydistillError, one_line
from raydistill.files import read_mapping
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.search import Search
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.searching.conclude import RESULTS
from raydistill.sweep.searching.outcome import outcome
from raydistill.sweep.searching.points import Points
from raydistill.sweep.searching.result import SearchResult
from raydistill.sweep.searching.searched import SearchedJob
from raydistill.sweep.searching.study import (
    CAUSE,
    DATABASE,
    IDENTITY,
    REASON,
    RUNGS,
    TAKEN_FROM,
    VALUES,
    complete,
    name_of_study,
)

KINDS: dict[str, type] = {
    **dict.fromkeys((IDENTITY, CAUSE, REASON, TAKEN_FROM), str),
    **dict.fromkeys((VALUES, RUNGS), dict),
    **dict.fromkeys(("epoch", "parameters"), int),
    "valid_r2": float,
}
"""Attribute of a trial -> its type."""


@dataclass(frozen=True)
class OpenSearch:
    """A search whose trials are read once. Nothing is written, so that the runs folder may be read-only."""

    search: Search
    runs: RunsFolder

    @property
    def folder(self) -> Path:
        """The folder of the search."""
        return self.runs.search_folder(self.search.name)

    @functools.cached_property
    def searched(self) -> SearchedJob:
        """The searched job on the sessions of its store."""
        return SearchedJob(self.search, OpenSweep(self.search.sweep, self.runs).entries)

    @functools.cached_property
    def points(self) -> Points:
        """The points of the search, over a copy of its study.

        Raises:
            DataError: the database of trials cannot be read.
            RaydistillError: the search as it is now has no trial.
        """
        study, others = _read_study(self.folder / DATABASE, name_of_study(self.searched))
        if study is None:
            studies = f"{others} stud{'y' if others == 1 else 'ies'}"
            changed = (
                f", and the trials of earlier versions of it ({studies}) are of another space, job or data"
                if others
                else ""
            )
            raise RaydistillError(f"{self.search.name} has no trial in {self.runs}{changed}; run `raydistill search`")
        return Points(study, self.searched, retries=False)

    @functools.cached_property
    def result(self) -> SearchResult:
        """The result so far.

        Raises:
            DataError: as `points`, or no trial ran to its last epoch.
        """
        return outcome(self.points, self._test_r2, self.folder / "best.yaml")

    @functools.cached_property
    def keys_done(self) -> list[str]:
        """Keys of the jobs of complete trials, as far as they are in the runs folder."""
        jobs = (job for t in complete(self.points.study) for job in self.searched.jobs(t.user_attrs[VALUES]))
        return [job.key for job in jobs if self.runs.is_done(job.key)]

    def _test_r2(self, jobs: list[Job], trial: FrozenTrial) -> float | None:
        """Mean R² on the test folds; of a pretraining, whose own metrics lack it, as the last run wrote it."""
        if jobs[0].is_pretraining:
            written = read_mapping(self.folder / RESULTS) or {}
            same = (
                kept["test_r2"]
                for name in ("best", "default")
                if isinstance(kept := written.get(name), dict)
                and kept.get("valid_r2") == trial.user_attrs["valid_r2"]
                and kept.get("values") == trial.user_attrs[VALUES]
                and isinstance(kept.get("test_r2"), float)
            )
            return next(same, None)
        if not all(self.runs.is_done(job.key) for job in jobs):
            return None
        scores = [self.runs.metrics(job.key).get("r2") for job in jobs]
        numbers = [score for score in scores if isinstance(score, float)]
        return mean(numbers) if len(numbers) == len(jobs) else None


def _check(trial: FrozenTrial) -> None:
    """Raise ValueError unless a trial, which somebody else may have written, has what the pages and tables read."""
    about = trial.user_attrs
    wrong = [name for name, kind in KINDS.items() if not isinstance(about.get(name, kind()), kind)]
    if not wrong and "valid_r2" in about:
        wrong = [name for name in (IDENTITY, VALUES, "epoch", "parameters") if name not in about]
    if not wrong and {CAUSE, REASON, IDENTITY} & about.keys():
        wrong = [name for name in (VALUES,) if name not in about]
    if wrong:
        raise ValueError(f"trial {trial.number} has no valid {wrong[0]!r}")


def _read_study(database: Path, name: str) -> tuple[optuna.Study | None, int]:
    """A copy in memory of the study of this name, None if there is none; and the number of all studies.

    The database is copied before Optuna, which writes into each database that it opens, sees it.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if not database.is_file():
        return None, 0
    try:
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch) / DATABASE
            source = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)
            with contextlib.closing(source), contextlib.closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            storage = optuna.storages.RDBStorage(f"sqlite:///{copy}")
            names = optuna.get_all_study_names(storage)
            if name not in names:
                return None, len(names)
            memory = optuna.storages.InMemoryStorage()
            optuna.copy_study(from_study_name=name, from_storage=storage, to_storage=memory)
            storage.engine.dispose()
            study = optuna.load_study(study_name=name, storage=memory)
            for trial in study.get_trials(deepcopy=False):
                _check(trial)
            return study, len(names)
    except (OptunaError, SQLAlchemyError, sqlite3.Error, ValueError, KeyError) as err:
        raise DataError(
            f"{database}: cannot be read as a database of trials ({one_line(err)}); move it away and run the search "
            "again, which finds the trainings that are done"
        ) from None
