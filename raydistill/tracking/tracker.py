"""A sweep's place in MLflow, for those who run it: what they report is sent later, and never fails.

MLflow is a copy of what the runs folder holds, so it may be deleted and rebuilt at any time, and nothing waits for it.
Only the driver writes to it. Everything goes to `MLFLOW_TRACKING_URI` if it is set, otherwise to `mlflow.db` and
`artifacts/` in the runs folder.
"""

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from raydistill.errors import RaydistillError
from raydistill.tracking.database import has_run
from raydistill.tracking.job import SCHEME, JobToRead, TrackedJob
from raydistill.tracking.location import cause_of, database_file, location, place, quiet_mlflow, shown
from raydistill.tracking.mirror import Ending, Mirror, SweepRecord
from raydistill.tracking.outbox import Message, Outbox

_PATIENCE_S = 60.0
_PATIENCE_AFTER_INTERRUPT_S = 5.0


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Receipt:
    """Where MLflow has everything of a sweep."""

    place: str
    """The tracking address, without secrets."""
    run: str
    """The id of the sweep's run."""
    scheme: int = SCHEME
    """Version of what was logged."""

    @classmethod
    def from_json(cls, content: object) -> "Receipt | None":
        """The receipt in a file, or None if the file has none."""
        match content:
            case {"place": str(place_), "run": str(run), "scheme": int(scheme)}:
                return cls(place_, run, scheme)
        return None

    def is_valid(self, runs: Path) -> bool:
        """Whether runs are still logged so and at that place, and its database, if it is a file, still has the run."""
        file = database_file(location(runs)[0])
        return self.scheme == SCHEME and self.place == place(runs) and (file is None or has_run(file, self.run))


class Tracker:
    """Logs a sweep's runs to MLflow. No method raises an error because of MLflow, or waits for it before the end.

    Args:
        sweep: its name, which becomes the name of the experiment.
        say: prints a line; called once if MLflow cannot be used, and at the end if it lacks something.
    """

    def __init__(self, runs: Path, sweep: str, say: Callable[[str], None] = _to_stderr):
        self._runs, self._sweep, self._say = runs, sweep, say
        self._outbox: Outbox | None = None
        self._uri, _ = location(runs)
        self._only_sender = _only_sender(runs, f"{sweep} {place(runs)}")

    def parent(
        self,
        fingerprint: str,
        params: Mapping[str, object],
        tags: Mapping[str, str],
        columns: Sequence[tuple[str, str]],
    ) -> None:
        """Open the run of this sweep, or reopen it when the sweep is resumed. Call it before the other methods.

        Args:
            columns: (metrics, params or tags; name) of the table of jobs, which is sorted by the first metric.
        """
        record = SweepRecord(self._sweep, fingerprint, params, tags, columns)
        with contextlib.suppress(Exception):  # the outbox meets the same error and reports it
            quiet_mlflow()  # here, because a process that is started while a thread imports could wait for ever
        self._outbox = Outbox(
            lambda: self._open_mirror(record),
            lambda cause: self._say(f"MLflow at {self._address} cannot be used: {cause}; trying again"),
            lambda error: cause_of(error, self._uri),
        )

    def running(self, job: TrackedJob | JobToRead) -> None:
        """Log the progress of a job that is running, as often as there is any."""
        self._put(Message(job, "RUNNING"))

    def job(self, job: TrackedJob | JobToRead) -> None:
        """Log a finished job."""
        self._put(Message(job, "FINISHED"))

    def failed(self, job: TrackedJob | JobToRead, cause: str) -> None:
        """Log a failed job with the curves that it has."""
        self._put(Message(job, "FAILED", cause or "unknown"))

    def interrupted(self) -> None:
        """Mark the sweep's run as stopped before its end. What MLflow lacks then, the next run of the sweep sends."""
        if self._outbox:
            self._outbox.end(Ending(status="KILLED"), _PATIENCE_AFTER_INTERRUPT_S, lambda _: None)
            self._only_sender.release()

    @contextlib.contextmanager
    def interrupted_by_errors(self) -> Iterator["Tracker"]:
        """Mark the sweep's run as stopped if an exception or an interrupt ends the block."""
        try:
            yield self
        except BaseException:
            self.interrupted()
            raise

    def finish(
        self,
        *,
        table: Mapping[str, Sequence],
        documents: Mapping[str, dict],
        figures: Sequence[Path],
        metrics: Mapping[str, float],
        status: Literal["FINISHED", "FAILED", "KILLED", "RUNNING"],
        methods: Sequence[TrackedJob] = (),
        note: str = "",
    ) -> Receipt | None:
        """Log the results of the sweep, close its run and wait until MLflow has everything, but not for long.

        Args:
            table: columns of results.json, which MLflow shows as a table.
            documents: file name -> content, logged as JSON.
            methods: one record per method, with its mean scores.
            note: text in Markdown about the sweep; `{run}` in it becomes the id of the sweep's run.
        Returns:
            None if MLflow lacks something, which was reported.
        """
        outbox = self._outbox
        assert outbox is not None, "parent() is called first"
        ending = Ending(
            status=status,
            table=table,
            documents=documents,
            figures=figures,
            metrics=metrics,
            methods=methods,
            note=note,
        )
        has_everything = outbox.end(ending, _PATIENCE_S, self._say)
        self._only_sender.release()
        if has_everything:
            if outbox.has_failed:
                self._say(f"MLflow at {self._address} answers again and has everything now")
            return Receipt(place(self._runs), outbox.run_id)
        lacking, jobs = outbox.count()
        refused = next((cause for _, cause in outbox.refused.values()), "it does not answer")
        cause = outbox.cause or refused
        lacks = f"{lacking} of {jobs} jobs" if lacking else "the results of the sweep"
        self._say(f"MLflow at {self._address} lacks {lacks} ({cause}); run the same command again to log them")
        return None

    def _put(self, message: Message) -> None:
        assert self._outbox is not None, "parent() is called first"
        self._outbox.put(message)

    def _open_mirror(self, record: SweepRecord) -> Mirror:
        """The mirror, unless another process sends this sweep to this place: both would create the same runs."""
        if not self._only_sender.is_locked:
            try:
                self._only_sender.acquire(timeout=0)
            except Timeout:
                raise RaydistillError("another command is logging this sweep there") from None
            except OSError:  # a folder that cannot be written has no driver
                pass
        return Mirror(self._runs, record)

    @property
    def _address(self) -> str:
        return str(database_file(self._uri) or shown(self._uri))


def _only_sender(runs: Path, what: str) -> FileLock:
    """The lock of the process that logs a sweep to a place."""
    name = f".logging-{hashlib.sha256(what.encode()).hexdigest()[:16]}.lock"
    return FileLock(runs.absolute() / name, thread_local=False, is_singleton=True)


class LoggedLater(Tracker):
    """Logs nothing. For jobs that are logged at the end, when it is known to what they belong."""

    def _put(self, message: Message) -> None:
        pass
