"""The order of the fan-out: which job may start, and what a failure stops. Knows nothing of Ray."""

from raydistill.sweep.job import Job


class Queue:
    """Jobs that wait for those they start from.

    A job is ready once everything it depends on is done; when a job fails, what depends on it fails with it and
    everything else goes on.
    """

    def __init__(self, jobs: list[Job], done: set[str]):
        self.waiting = {job.key: job for job in jobs}
        self.done = set(done)
        self.running: dict[str, Job] = {}
        self.failed: dict[str, str] = {}
        """Key -> cause."""

    def next(self) -> Job | None:
        """A job that can start now, in the order given; None while all wait for running ones."""
        for key, job in self.waiting.items():
            if self.done.issuperset(job.depends_on):
                self.running[key] = self.waiting.pop(key)
                return job
        return None

    @property
    def exhausted(self) -> bool:
        return not self.waiting and not self.running

    def succeed(self, key: str) -> Job:
        job = self.running.pop(key)
        self.done.add(key)
        return job

    def fail(self, key: str, cause: str) -> list[tuple[Job, str]]:
        """The failed job and all that can no longer run, each with its cause."""
        job = self.running.pop(key, None) or self.waiting.pop(key)
        self.failed[key] = cause
        stopped = [(job, cause)]
        for dependent in [j for j in self.waiting.values() if key in j.depends_on]:
            if dependent.key in self.waiting:  # it may have gone with an earlier one already
                stopped += self.fail(dependent.key, f"needs {job.name}, which failed")
        return stopped
