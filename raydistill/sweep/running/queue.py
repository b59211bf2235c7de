"""The order of a sweep's jobs: which jobs may start, and which jobs a failure stops. It does not depend on Ray."""

from raydistill.sweep.planning.job import Job


class Queue:
    """Jobs that wait for the jobs on which they depend.

    A job is ready when every job that it depends on is done. If a job fails, the jobs that depend on it fail too, and
    all others continue.

    Args:
        jobs: to run, each after the jobs that it depends on.
        done: keys of the jobs that are done already.
        fail_fast: whether the first failure closes the queue.
    """

    def __init__(self, jobs: list[Job], done: set[str], fail_fast: bool = False):
        self.fail_fast = fail_fast
        self.waiting = {job.key: job for job in jobs}
        self.done = set(done)
        self.running: dict[str, Job] = {}
        self.failed: dict[str, str] = {}
        """Key -> cause."""
        self.closed = False

    def next(self, pretraining: bool = False) -> Job | None:
        """The next job that is ready, in the order given; None if there is none.

        Args:
            pretraining: whether to take a pretraining or a job on one session.
        """
        job = self._ready(pretraining)
        if job:
            self.running[job.key] = self.waiting.pop(job.key)
        return job

    def close(self) -> None:
        """Let no more jobs start; those that are running may end."""
        self.closed = True

    @property
    def exhausted(self) -> bool:
        """Whether no job on one session is running or can start before another pretraining is done."""
        return not self.running and self._ready(pretraining=False) is None

    def _ready(self, pretraining: bool) -> Job | None:
        if self.closed:
            return None
        ready = (j for j in self.waiting.values() if self.done.issuperset(j.depends_on))
        return next((j for j in ready if j.is_pretraining == pretraining), None)

    def succeed(self, key: str) -> Job:
        """Mark a running job as done, and return it."""
        job = self.running.pop(key)
        self.done.add(key)
        return job

    def put_back(self, key: str) -> None:
        """Let a running job wait again, because the time limit stopped it; then no other job may start either."""
        self.closed = True
        self.waiting[key] = self.running.pop(key)

    def fail(self, key: str, cause: str) -> list[tuple[Job, str]]:
        """Mark a job as failed; returns it and all jobs that can no longer run, each with its cause."""
        job = self.running.pop(key, None) or self.waiting.pop(key)
        self.failed[key] = cause
        self.closed |= self.fail_fast
        stopped = [(job, cause)]
        for dependent in [j for j in self.waiting.values() if key in j.depends_on]:
            if dependent.key in self.waiting:  # it may have been stopped already, as a dependent of another job
                stopped += self.fail(dependent.key, f"needs {job.name}, which failed")
        return stopped
