"""Pretrainings at the same time as other work: a lane is a thread, and its pretrainings take turns on its workers."""

import itertools
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

from raydistill.cluster.threads import in_a_thread
from raydistill.cluster.waiting import Wanted
from raydistill.mirrored import announced
from raydistill.sweep.planning.job import Job
from raydistill.sweep.running.execute import JobContext, run_pretrainings
from raydistill.training.distributed import need_of_worker

_numbers = itertools.count()


class Lane:
    """Pretrainings that have been started, one after another on the same workers.

    Args:
        jobs: at least one.
        workers: as many as it may use.
        tell: shows a line.
    """

    def __init__(self, jobs: Sequence[Job], workers: int, context: JobContext, tell: Callable[[str], None]):
        self.workers = workers
        self.left = list(jobs)
        """Those that have not ended; the first of them is running."""
        self.context, self.tell = context, tell
        self.need, self.fewest = need_of_worker(context.device == "cuda"), jobs[0].workers[0]
        self._outcomes: SimpleQueue[tuple[Job, dict | Exception]] = SimpleQueue()
        self._owners_before = {job.key: self._owner(job) for job in jobs}  # of a run that was killed
        self._trained_by: dict[str, dict] = {}
        self._look_at, self._every_s = time.monotonic(), 2.0 if context.runs.uri else 0.0
        self._count = len(jobs)
        self._group = f"pretraining{next(_numbers)}"  # two lanes may not share a folder of Ray Train
        self._thread = in_a_thread(self._run)

    def _run(self) -> None:
        for outcome in run_pretrainings(tuple(self.left), self.context, group=self._group):
            self._outcomes.put(outcome)

    @property
    def wanted(self) -> Wanted:
        """The places that its workers need together."""
        return Wanted(self.left[0].name if self.left else "", self.need, self.fewest if self.left else 0)

    def ended(self) -> Iterator[tuple[Job, dict | Exception]]:
        """The pretrainings that have ended since the last call, with their metrics or errors.

        Raises:
            BaseException: the error that ended the lane itself.
        """
        is_over = self._thread.done()  # before the look at the outcomes, so that none is missed
        while not self._outcomes.empty():
            job, outcome = self._outcomes.get()
            self.left.remove(job)
            yield job, outcome
        if is_over and (error := self._thread.exception()):
            raise error

    @property
    def is_over(self) -> bool:
        """Whether all of its pretrainings have ended, and its workers too."""
        return self._thread.done() and self._outcomes.empty()

    @property
    def has_started(self) -> bool:
        """Whether its workers have taken the places that they wait for."""
        return bool(self._trained_by) or self._thread.done() or len(self.left) < self._count

    def look(self) -> None:
        """See who trains, and tell if other processes have taken over, because Ray Train says nothing."""
        if not self.left or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self._every_s
        job = self.left[0]
        owner = self._owner(job)  # first this process, then the first worker
        here = (os.getpid(), socket.gethostname())
        if not owner or owner == self._owners_before[job.key] or (owner.get("pid"), owner.get("host")) == here:
            return
        if self._trained_by.get(job.key, owner) != owner:
            self.tell(f"again   {job.name:<32} its workers were started again, from the newest checkpoint")
        self._trained_by[job.key] = owner

    def _owner(self, job: Job) -> dict | None:
        return announced(self.context.runs.job_folder(job.key))
