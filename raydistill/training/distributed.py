"""Training on the workers of Ray Train, which only this file uses.

Each worker reads its own part files, through Ray Data if they are large; then the same loop as in one process runs on
every worker, with gradients averaged by DistributedDataParallel.
"""

import itertools
import json
import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path

from raydistill.cluster import is_local
from raydistill.cluster.room import Need, Room, room
from raydistill.cluster.threads import in_a_thread
from raydistill.errors import RaydistillError, TimeLimitReached, TrainingError
from raydistill.feed.feed import Feed
from raydistill.feed.masking import Draw
from raydistill.feed.placement import Share
from raydistill.feed.reading import Reader, read_directly, read_through_ray
from raydistill.files import LATE_S, write_json
from raydistill.object_store import PATIENCE_S, StorageError, StoredFolder
from raydistill.objective import Objective
from raydistill.objectives import StudentAndTeacher
from raydistill.ownership import LostFolderError
from raydistill.store.store import Store
from raydistill.training.assemble import TrainingTask, assemble
from raydistill.training.hardware import hardware
from raydistill.training.loop import World, prepare

RAY_DATA_PAYS_FROM = 500_000_000
"""Bytes of a worker's share. Measured on two cores: Ray Data starts processes for 3 to 6 s before the first segment
comes; a worker reads this much in that time by itself."""
CHECK_S = 0.2
"""Seconds between checks of what the workers have written."""


@dataclass(frozen=True, kw_only=True)
class DistributedTraining:
    """A training on several workers."""

    task: TrainingTask
    """Its folder is on a disk that all workers share, or in an object store."""
    workers: tuple[int, int]
    """Fewest and most: as many as there is room for when they start."""
    use_gpu: bool
    max_failures: int = 3
    """Lost workers are replaced this often; training continues from its newest checkpoint. Trainings that share their
    workers share this number too."""


class Outcome:
    """How a training ended, as rank 0 tells the driver: a file in `scratch`, or in the object store of the runs."""

    def __init__(self, scratch: Path, task: TrainingTask):
        self.file, self.runs = scratch / f"{task.folder.name}.json", task.runs
        self._looked_at = -math.inf

    @property
    def _name(self) -> str:
        return f"ray/outcomes/{self.file.name}"

    def delete(self) -> None:
        """Delete that of an earlier run."""
        self.file.unlink(missing_ok=True)
        if self.runs:
            StoredFolder(self.runs).delete(self._name)

    def exists(self) -> bool:
        """Whether the training has ended."""
        return self._content() is not None

    def write(self, outcome: dict) -> None:
        """Tell how the training ended."""
        if self.runs:
            StoredFolder(self.runs).write(self._name, json.dumps(outcome).encode())
        else:
            write_json(self.file, outcome)

    def read(self, seldom: bool) -> dict | Exception | None:
        """The outcome; None if there is none.

        Args:
            seldom: ask an object store once per second only; if it does not answer, the next time.
        """
        if self.runs and seldom and time.monotonic() < self._looked_at + 1:
            return None
        self._looked_at = time.monotonic()
        try:
            content = self._content(patience_s=0 if seldom else PATIENCE_S)
        except StorageError:
            if not seldom:
                raise
            return None
        if content is None:
            return None
        outcome = json.loads(content)
        if "stopped" in outcome:
            return TimeLimitReached(outcome["stopped"])
        return TrainingError(outcome["error"]) if "error" in outcome else outcome["reached"]

    def late(self) -> dict | Exception:
        """The outcome of a training whose workers have ended: a network disk may show it some time later."""
        end = time.monotonic() + LATE_S
        while not (ended := self.read(seldom=False)):
            if time.monotonic() > end:
                return TrainingError(
                    f"the workers have ended, but this machine does not see {self.file}, which they wrote; check that "
                    "all machines share this folder, or keep the runs in an object store (--runs s3://BUCKET/FOLDER)"
                )
            time.sleep(1.0)
        return ended

    def _content(self, patience_s: float = PATIENCE_S) -> bytes | None:
        if self.runs:
            return StoredFolder(self.runs).read(self._name, patience_s)
        return self.file.read_bytes() if self.file.exists() else None


def train_on_workers(
    trainings: Sequence[DistributedTraining], scratch: Path, watch: Callable[[], None] = lambda: None
) -> Iterator[tuple[DistributedTraining, dict | Exception]]:
    """Train one after another; each folder then holds model.safetensors and model.json of the best epoch.

    Trainings with the same number of workers share them: Ray Train takes longer to start than a small training takes.

    Args:
        scratch: an empty folder; on a disk that all workers share, unless the runs are in an object store.
        watch: called a few times per second, for example to read the history in a folder.
    Yields:
        Each training when it ends, with its outcome (see `AssembledTraining.run`, with the number of `workers` and
        the `hardware` of the first) or with the error that ended it; the
        others continue. After the time limit of the trainings, TimeLimitReached for each that is not finished.
    """
    counted = []
    for training in trainings:
        try:
            counted.append((_worker_count(training), training))
        except TrainingError as err:
            yield training, err
    for workers, group in itertools.groupby(counted, key=lambda pair: pair[0]):
        together = deque(training for _, training in group)
        while together:  # an error that ends Ray Train ends one training of them at most
            if _time_is_over(together[0]):
                yield together.popleft(), TimeLimitReached("not started")
                continue
            yield from _train_together(together, workers, scratch, watch)
    shutil.rmtree(scratch, ignore_errors=True)


def _train_together(together: deque[DistributedTraining], workers, scratch: Path, watch):
    """Train on one set of workers, until all have ended or Ray Train has; each goes from the left when it ends."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    shutil.rmtree(
        scratch, ignore_errors=True
    )  # Ray would continue an old run; our checkpoints decide where a training continues
    trainings = [(training, Outcome(scratch.absolute(), training.task)) for training in together]
    for _, outcome in trainings:
        outcome.delete()
    trainer = TorchTrainer(
        _work,
        train_loop_config={"trainings": trainings},
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=together[0].use_gpu,
            # cluster.yaml keeps nodes for per-session jobs apart.
            label_selector={"pool": "!sessions"},  # type: ignore[call-arg]  # mypy reads the types of Ray Train v1
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(scratch.absolute()),
            failure_config=FailureConfig(max_failures=sum(training.max_failures for training in together)),
        ),
    )
    fit, outcomes = in_a_thread(trainer.fit), deque(outcome for _, outcome in trainings)
    all_of_them, running = len(together), True
    while running:
        running = bool(wait([fit], timeout=CHECK_S).not_done)
        watch()
        while outcomes and (ended := outcomes[0].read(running)):
            outcomes.popleft()
            yield together.popleft(), ended
    if len(together) == all_of_them:  # otherwise the error that ended Ray Train may have been yielded already
        yield together.popleft(), fit.exception() or outcomes[0].late()


def _time_is_over(training: DistributedTraining) -> bool:
    return training.task.stop_at is not None and time.time() >= training.task.stop_at


def need_of_worker(use_gpu: bool) -> Need:
    """What one worker occupies. cluster.yaml keeps the nodes of the pool `sessions` for jobs on one session."""
    return Need(1, 1 if use_gpu else 0, not_in="sessions")


def most_workers(there_is: Room, use_gpu: bool) -> int:
    """As many workers as there can ever be; the tasks that read for them need a CPU too."""
    return min(there_is.grown(need_of_worker(use_gpu)), there_is.grown(Need(1)) - 1)


def _worker_count(training: DistributedTraining) -> int | tuple[int, int]:
    """As many workers as one machine has room for, or the range in which a cluster may grow and shrink.

    Raises:
        TrainingError: there is room for fewer than the fewest; Ray Train would wait forever for the others.
    """
    fewest, most = training.workers
    shards = len(training.task.share().shards()["train"].shards)
    if shards < fewest:
        raise TrainingError(
            f"the training data has only {shards} shards, too few for {fewest} workers; "
            f"set `workers: {shards}` or fewer"
        )
    there_is = room()
    possible = most_workers(there_is, training.use_gpu)
    if possible < fewest:
        raise TrainingError(
            f"{fewest} workers and their reading tasks need {fewest} x {need_of_worker(training.use_gpu)} and one CPU "
            f"more, but Ray has {there_is}; lower `workers` of the pretraining"
        )
    most = min(most, shards, possible)
    return most if fewest == most or is_local() else (fewest, most)


def _work(config: dict) -> None:
    """The loop of one worker: every training that has no outcome yet, one after another.

    Ray Train restarts workers after any exception. A RaydistillError would only be raised again, so it is stored as
    the outcome of its training, which restarted workers skip.
    """
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    trainings = config["trainings"]
    # Rank 0 decides for all: on a shared disk, machines need not see a new file at the same time.
    unfinished = [number for number, (_, outcome) in enumerate(trainings) if not outcome.exists()]
    for training, outcome in (trainings[number] for number in broadcast_from_rank_zero(unfinished)):
        try:
            reached = _train_as_worker(training.task)
        except LostFolderError:
            raise  # the workers that took over give the outcome
        except TimeLimitReached as stopped:  # on all workers at the same step
            if get_context().get_world_rank() == 0:
                outcome.write({"stopped": str(stopped)})
            return
        except RaydistillError as err:
            outcome.write({"error": str(err)})
            if not (isinstance(err, TrainingError) and err.everywhere):
                raise  # the other workers wait for this one
        else:
            if get_context().get_world_rank() == 0:
                outcome.write({"reached": reached})


def _train_as_worker(task: TrainingTask) -> dict:
    from ray import train as ray_train
    from ray.train.torch import get_device

    task, context = task.fetched(), ray_train.get_context()
    world, device = World(context.get_world_rank(), context.get_world_size()), str(get_device())
    wrap = lambda module, objective, feed: _averaging(module, objective, feed, task.seed, world, device)  # noqa: E731
    outcome = assemble(task, _reader, world=world, device=device, wrap=wrap).run()
    return outcome | {"workers": world.size, "hardware": hardware()}


def _reader(task: TrainingTask, share: Share) -> Reader:
    reading = task.engine.reading
    if reading == "auto":
        reading = "ray_data" if share.bytes() > RAY_DATA_PAYS_FROM else "worker"
    read = read_through_ray if reading == "ray_data" else read_directly
    return read(Store(task.store), list(task.entries), share.signals)


def _averaging(module, objective: Objective, feed: Feed, seed: int, world: World, device: str):
    """The forward pass in DistributedDataParallel, after one pass whose gradients are discarded.

    DDP groups gradients again after its first backward pass, and with three workers or more another grouping sums in
    another order: without that pass, a training that continues from a checkpoint would differ in its last bits.
    """
    from ray.train.torch import prepare_model

    if world.size == 1:
        return module
    options = {
        "broadcast_buffers": False,
        "gradient_as_bucket_view": True,
        # The weights of a teacher that is still frozen get no gradient.
        "find_unused_parameters": isinstance(module.model, StudentAndTeacher),
    }
    wrapped = prepare_model(module, move_to_device=False, parallel_strategy_kwargs=options)
    (batch,) = prepare(objective, next(feed.train(0))[:1], Draw(seed, 0), device)
    (wrapped(batch.inputs, Draw(seed, 0)) * 0).sum().backward()
    module.zero_grad()
    return wrapped
