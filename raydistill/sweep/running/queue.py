"""The order of a sweep's jobs: which may start, and what a failure stops. Knows nothing of Ray."""

from raydistill.sweep.planning.job import Job


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
        self.closed = False

    def next(self, pretraining: bool = False) -> Job | None:
        """A job on one session that can start now, or a pretraining, in the order given; None where none is ready."""
        job = self._ready(pretraining)
        if job:
            self.running[job.key] = self.waiting.pop(job.key)
        return job

    def close(self) -> None:
        """Give out no more jobs; those that run may end."""
        self.closed = True

    @property
    def exhausted(self) -> bool:
        """No job on one session runs, nor will any before a pretraining is done."""
        return not self.running and self._ready(pretraining=False) is None

    def _ready(self, pretraining):
        if self.closed:
            return None
        ready = (j for j in self.waiting.values() if self.done.issuperset(j.depends_on))
        return next((j for j in ready if j.is_pretraining == pretraining), None)

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
