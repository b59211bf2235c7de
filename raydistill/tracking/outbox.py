"""What is to be logged to MLflow, sent from a thread of its own, so that no job waits for MLflow.

Whatever happens to MLflow, the thread tries again: first soon, then every half minute. After an error it opens MLflow
anew and goes through everything again, because a database that was deleted, or a server that began anew, lacks also
what had been sent before. What MLflow has already is recognised and not sent twice.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from raydistill.tracking.job import JobToRead, TrackedJob
from raydistill.tracking.mirror import Ending, Mirror

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
"""Between two tries."""
_REPORT_S = 15.0
"""At the end, between two lines that say how much is left."""
_LAST_TRIES = 2
_TRIES = 3
"""After so many errors, a job is set aside until the end, so that it does not hold up the others."""
_REFUSALS = {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE", "NOT_IMPLEMENTED"}
"""Codes of MLflow for a request that it will never take."""


@dataclass(frozen=True)
class Message:
    """The state of a job; a later message about the same job replaces it."""

    job: TrackedJob | JobToRead
    status: str
    cause: str = ""


class Outbox:
    """Sends messages through a mirror, in a thread that ends with the process.

    Args:
        open_mirror: called in that thread, again after every error.
        on_failure: called in that thread with an error of MLflow if the next try fails, too; once.
        in_words: the text of an error.
    """

    def __init__(
        self,
        open_mirror: Callable[[], Mirror],
        on_failure: Callable[[str], None],
        in_words: Callable[[Exception], str],
    ):
        self._open, self._on_failure, self._in_words = open_mirror, on_failure, in_words
        self._mirror: Mirror | None = None
        self._changed = threading.Condition()
        # Everything below is shared by the threads, and used with `_changed` held.
        self._waiting: dict[str, Message] = {}
        self._sent: dict[str, Message] = {}
        self.refused: dict[str, tuple[Message, str]] = {}
        """Job -> why it cannot be read, or is not taken by MLflow; it is tried again at the end."""
        self._errors: Counter[str] = Counter()
        self._ending: Ending | None = None
        self._stopped = False
        self.run_id = ""
        """Id of the run of the sweep, once MLflow was opened."""
        self.cause = ""
        """Of the last failure, until something was sent."""
        self.has_failed = False
        """Whether `on_failure` was called."""
        self._failures = 0
        self._failures_of_ending = 0
        self._moved_at = time.monotonic()
        """When something was sent for the last time."""
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        """Send a message as soon as possible."""
        with self._changed:
            self._waiting[message.job.key] = message
            for other in (self._sent, self.refused, self._errors):
                other.pop(message.job.key, None)
            self._changed.notify_all()

    def end(self, ending: Ending, patience_s: float, report: Callable[[str], None]) -> bool:
        """Send the end of the sweep after all messages, and wait; returns whether MLflow has everything.

        Args:
            patience_s: the longest wait for an MLflow that does not answer; while it takes messages, there is no limit.
            report: called with the number of jobs that are left if the wait is long.
        """
        with self._changed:
            self._ending, self._failures, self._moved_at = ending, 0, time.monotonic()
            self._failures_of_ending = 0
            self._waiting |= {key: message for key, (message, _) in self.refused.items()}
            self.refused = {}
            self._changed.notify_all()
            due = time.monotonic() + _REPORT_S
            while self._ending is not None and self._failures < _LAST_TRIES:
                # After each error everything is sent again, and taken, but perhaps never the end.
                if self._failures_of_ending >= _LAST_TRIES or time.monotonic() - self._moved_at > patience_s:
                    break
                self._changed.wait(0.5)
                if time.monotonic() > due and self._waiting:
                    report(f"logging to MLflow: {len(self._waiting)} jobs left")
                    due = time.monotonic() + _REPORT_S
            has_everything = self._ending is None and not self._waiting and not self.refused
            self._stopped = True
            self._changed.notify_all()
        return has_everything

    def count(self) -> tuple[int, int]:
        """(jobs that MLflow lacks, all jobs)."""
        with self._changed:
            lacking = len(self._waiting) + len(self.refused)
            return lacking, lacking + len(self._sent)

    def _work(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._waiting or self._ending or not self.run_id)
                if self._stopped:
                    return
            try:
                if self._send_next():
                    pause = _FIRST_PAUSE_S
            except Exception as error:
                self._mirror = None
                self._fail(self._in_words(error))
                with self._changed:
                    self._changed.wait_for(lambda: self._stopped or self._is_last_try, timeout=pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    @property
    def _is_last_try(self) -> bool:
        return self._ending is not None and self._failures < _LAST_TRIES

    def _send_next(self) -> bool:
        """Open MLflow, or send the first message; returns whether something was sent."""
        if self._mirror is None or not self._mirror.is_current:
            self._open_mirror()
            return False
        with self._changed:
            message = next(iter(self._waiting.values()), None)
            ending = self._ending
        if message is not None:
            self._send(message, self._mirror)
        elif ending is not None:
            self._end(ending, self._mirror)
        with self._changed:
            if message is None:
                self._ending = None
            self.cause, self._failures, self._moved_at = "", 0, time.monotonic()
            self._changed.notify_all()
        return True

    def _end(self, ending: Ending, mirror: Mirror) -> None:
        try:
            mirror.end(ending)
        except Exception:
            with self._changed:
                self._failures_of_ending += 1
            raise

    def _open_mirror(self) -> None:
        with self._changed:
            self._waiting = self._sent | self._waiting
            self._sent = {}
        self._mirror = self._open()
        with self._changed:
            self.run_id, self._moved_at = self._mirror.run_id, time.monotonic()

    def _send(self, message: Message, mirror: Mirror) -> None:
        key = message.job.key
        try:
            job = message.job.read()
        except Exception as error:  # the job's folder is gone or damaged, which other parts report
            self._refuse(message, self._in_words(error))
            return
        try:
            if message.status == "RUNNING":
                mirror.jobs.running(job)
            else:
                mirror.jobs.ended(job, message.status, message.cause)
        except Exception as error:
            self._put_back_or_refuse(message, self._in_words(error))
            if not _is_of_the_job(error):
                raise
            mirror.jobs.forget_points(key)
            return
        with self._changed:
            if self._waiting.get(key) is message:
                self._sent[key] = self._waiting.pop(key)

    def _put_back_or_refuse(self, message: Message, cause: str) -> None:
        """Try a message again after the others, but not for ever."""
        key = message.job.key
        with self._changed:
            self._errors[key] += 1
            if self._ending is not None or self._errors[key] >= _TRIES:
                self._refuse(message, cause)
            elif self._waiting.get(key) is message:
                self._waiting[key] = self._waiting.pop(key)

    def _refuse(self, message: Message, cause: str) -> None:
        with self._changed:
            if self._waiting.get(message.job.key) is message:
                del self._waiting[message.job.key]
                self.refused[message.job.key] = (message, cause)

    def _fail(self, cause: str) -> None:
        with self._changed:
            again, self.cause = bool(self.cause), cause
            self._failures += 1
            first_notice = again and not self.has_failed
            self.has_failed |= first_notice
            self._changed.notify_all()
        if first_notice:
            with contextlib.suppress(Exception):  # the terminal may be gone
                self._on_failure(cause)


def _is_of_the_job(error: Exception) -> bool:
    """Whether an error comes from what is logged, so that another job may still be logged."""
    own = FileNotFoundError, LookupError, TypeError, AttributeError, ArithmeticError
    return isinstance(error, own) or getattr(error, "error_code", None) in _REFUSALS
