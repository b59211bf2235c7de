"""The order of a sweep's jobs: which jobs may start, and which jobs a failure stops. It does not depend on Ray."""

import heapq
import threading
from collections.abc import Mapping, Sequence

from raydistill.sweep.planning.job import Job


class Queue:
    """Jobs that wait for the jobs on which they depend.

    A job is ready when every job that it depends on is done. If a job fails, the jobs that depend on it fail too, and
    all others continue. Of the jobs that are ready, the one with the longest path after it comes first, because the
    sweep cannot end before that path does. A queue may be used from several threads.

    Args:
        jobs: to run, each after the jobs that it depends on.
        done: keys of the jobs that are done already.
        fail_fast: whether the first failure closes the queue.
        seconds: key -> expected run time of the job; jobs keep the order given if there are none.
    """

    def __init__(
        self, jobs: Sequence[Job], done: set[str], fail_fast: bool = False, seconds: Mapping[str, float] | None = None
    ):
        self.fail_fast = fail_fast
        self._lock = threading.RLock()
        self.path_s: dict[str, float] = longest_paths(jobs, seconds or {})
        """Key -> seconds from the start of the job to the end of the longest chain of jobs that begins with it."""
        self.waiting = {job.key: job for job in jobs}
        self.done = set(done)
        self.running: dict[str, Job] = {}
        self.failed: dict[str, str] = {}
        """Key -> cause."""
        self.closed = False
        self._rank = {job.key: rank for rank, job in enumerate(sorted(jobs, key=lambda job: -self.path_s[job.key]))}
        self._unmet = {job.key: set(job.depends_on) - self.done for job in jobs}
        self._dependents: dict[str, list[str]] = {}
        # Whether pretrainings -> those that are ready, and perhaps some that have failed since.
        self._ready: dict[bool, list[tuple[int, str]]] = {True: [], False: []}
        for job in jobs:
            for source in self._unmet[job.key]:
                self._dependents.setdefault(source, []).append(job.key)
            self._note_if_ready(job.key)

    def next(self, pretraining: bool = False) -> Job | None:
        """The next job that is ready, that with the longest path first; None if there is none.

        Args:
            pretraining: whether to take a pretraining or a job on one session.
        """
        with self._lock:
            job = self.peek(pretraining)
            if job:
                heapq.heappop(self._ready[pretraining])
                self.running[job.key] = self.waiting.pop(job.key)
            return job

    def peek(self, pretraining: bool) -> Job | None:
        """The job that `next` would return; it keeps waiting."""
        with self._lock:
            ready = self._ready[pretraining]
            while ready and ready[0][1] not in self.waiting:
                heapq.heappop(ready)
            return self.waiting[ready[0][1]] if ready and not self.closed else None

    def close(self) -> None:
        """Let no more jobs start; those that are running may end."""
        self.closed = True

    @property
    def exhausted(self) -> bool:
        """Whether no job on one session is running or can start before another pretraining is done."""
        with self._lock:
            return not self.session_jobs_running and self.peek(pretraining=False) is None

    @property
    def session_jobs(self) -> list[Job]:
        """The jobs on one session that wait or run."""
        with self._lock:
            return [job for job in (*self.waiting.values(), *self.running.values()) if not job.is_pretraining]

    @property
    def session_jobs_running(self) -> int:
        """Number of jobs on one session that are running."""
        with self._lock:
            return sum(not job.is_pretraining for job in self.running.values())

    def succeed(self, key: str) -> Job:
        """Mark a running job as done, and return it."""
        with self._lock:
            job = self.running.pop(key)
            self.done.add(key)
            for dependent in self._dependents.get(key, ()):
                self._unmet[dependent].discard(key)
                self._note_if_ready(dependent)
            return job

    def put_back(self, key: str) -> None:
        """Let a running job wait again, because the time limit stopped it; then no other job may start either."""
        with self._lock:
            self.closed = True
            self.waiting[key] = self.running.pop(key)
            self._note_if_ready(key)

    def fail(self, key: str, cause: str) -> list[tuple[Job, str]]:
        """Mark a job as failed; returns it and all jobs that can no longer run, each with its cause."""
        with self._lock:
            job = self.running.pop(key, None) or self.waiting.pop(key)
            self.failed[key] = cause
            self.closed |= self.fail_fast
            stopped = [(job, cause)]
            for dependent in self._dependents.get(key, ()):
                if dependent in self.waiting:  # it may have been stopped already, as a dependent of another job
                    stopped += self.fail(dependent, f"needs {job.name}, which failed")
            return stopped

    def _note_if_ready(self, key: str) -> None:
        if key in self.waiting and not self._unmet[key]:
            heapq.heappush(self._ready[self.waiting[key].is_pretraining], (self._rank[key], key))


def longest_paths(jobs: Sequence[Job], seconds: Mapping[str, float]) -> dict[str, float]:
    """Key -> seconds of the longest chain of jobs that begins with this job, each of them after the one before.

    Args:
        jobs: each after the jobs that it depends on.
        seconds: key -> run time; 0 for a job that is not in it.
    """
    after: dict[str, float] = {}
    paths: dict[str, float] = {}
    for job in reversed(jobs):
        paths[job.key] = seconds.get(job.key, 0.0) + after.get(job.key, 0.0)
        for source in job.depends_on:
            after[source] = max(after.get(source, 0.0), paths[job.key])
    return paths
