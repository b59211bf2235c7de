"""Training on the workers of Ray Train: the only file that knows Ray Train.

Each worker reads its own part files through Ray Data; then the one loop of the project runs on every worker, with
its gradients averaged by DistributedDataParallel.
"""

import contextlib
import itertools
import json
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from pathlib import Path

from raydistill.config.engine import EngineConfig
from raydistill.config.training import TrainingConfig
from raydistill.errors import RaydistillError, TrainingError
from raydistill.feed.feed import Feed
from raydistill.feed.placement import Share, open_feed
from raydistill.feed.reading import Reader, read_directly, read_through_ray
from raydistill.files import write_json
from raydistill.models.crossmodal.model import ModelSpec, NeuralModel, inputs_of, transplant
from raydistill.models.files import load_model, save_model
from raydistill.models.latents import frozen
from raydistill.objectives import Draw, Objective
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store
from raydistill.training.loop import Training, World, train

RAY_DATA_PAYS_FROM = 500_000_000
"""Bytes of a worker's share. Measured on two cores: Ray Data starts processes for 3 to 6 s before the first segment
comes; a worker reads this much in that time by itself."""
LOOK_S = 0.2
"""Seconds between looks at what the workers have written."""


@dataclass(frozen=True, kw_only=True)
class DistributedTraining:
    """A training on several sessions and workers."""

    spec: ModelSpec
    objective: Objective
    store: str
    entries: tuple[Entry, ...]
    recipe: TrainingConfig
    engine: EngineConfig = field(default_factory=EngineConfig)
    seed: int
    folder: Path
    """The job's folder, on a disk that all workers share."""
    workers: tuple[int, int]
    """Fewest and most: as many as there is room for when they start."""
    use_gpu: bool
    weights: Path | None = None
    """Folder of the model that this one starts from."""
    teachers: dict[str, Path] = field(default_factory=dict)
    """Of a distillation: session -> folder of its teacher."""
    max_failures: int = 3
    """Lost workers are replaced this often; training goes on from its newest checkpoint. Trainings that share their
    workers share this too."""

    def share(self, rank: int = 0, workers: int = 1, teacher_width: int = 0) -> Share:
        """What a worker reads."""
        inputs = inputs_of(self.spec, list(self.entries))
        return Share(entries=self.entries, inputs=inputs, teacher_width=teacher_width, rank=rank, workers=workers)


def train_on_workers(
    trainings: Sequence[DistributedTraining], scratch: Path, watch: Callable[[], None] = lambda: None
) -> Iterator[tuple[DistributedTraining, dict | Exception]]:
    """Train one after another; model.safetensors and model.json of the best epoch lie in each folder afterwards.

    Trainings on as many workers share one set of them: Ray Train takes longer to start than a small training takes.

    Args:
        scratch: a folder that nothing else is in, on a disk that all workers share.
        watch: called a few times a second, to look at the history in a folder.
    Yields:
        Each training when it ends, with how far it came and where its workers kept their segments, or with the error
        that ended it; the others go on.
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
            yield from _train_together(together, workers, scratch, watch)
    shutil.rmtree(scratch, ignore_errors=True)


def _train_together(together: deque[DistributedTraining], workers, scratch: Path, watch):
    """Train on one set of workers, until all have ended or Ray Train has; each goes from the left when it ends."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    shutil.rmtree(scratch, ignore_errors=True)  # Ray would take up an old run; our checkpoints are what counts
    trainings = [(training, scratch.absolute() / f"{training.folder.name}.json") for training in together]
    trainer = TorchTrainer(
        _work,
        train_loop_config={"trainings": trainings},
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=together[0].use_gpu,
            label_selector={"pool": "!sessions"},  # cluster.yaml keeps nodes for per-session jobs apart
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(scratch.absolute()),
            failure_config=FailureConfig(max_failures=sum(training.max_failures for training in together)),
        ),
    )
    fit, outcomes = _in_a_thread(trainer.fit), deque(outcome for _, outcome in trainings)
    all_of_them, running = len(together), True
    while running:
        running = bool(wait([fit], timeout=LOOK_S).not_done)
        watch()
        while outcomes and outcomes[0].exists():
            yield together.popleft(), _read_outcome(outcomes.popleft())
    if len(together) == all_of_them:  # else what ended Ray Train may be told already
        yield together.popleft(), fit.exception() or RuntimeError("its workers ended without a word")


def _read_outcome(file: Path) -> dict | TrainingError:
    told = json.loads(file.read_text())
    return TrainingError(told["error"]) if "error" in told else told["reached"]


def _in_a_thread(function: Callable[[], object]) -> Future:
    """Run `function` beside the main thread, so that Ctrl-C is a KeyboardInterrupt there.

    In the main thread Ray Train would put a signal handler of its own in place, end the process without a word, and
    leave the handler behind.
    """
    future: Future = Future()

    def run():
        try:
            future.set_result(function())
        except BaseException as err:
            future.set_exception(err)

    threading.Thread(target=run, daemon=True).start()  # an executor's thread would hold up the end of the process
    return future


def _worker_count(training: DistributedTraining) -> int | tuple[int, int]:
    """As many workers as one machine has room for, or the range in which a cluster may grow and shrink.

    Raises:
        TrainingError: fewer than the fewest; Ray Train would wait for ever for workers that cannot be had.
    """
    import ray

    fewest, most = training.workers
    shards = len(training.share().shards()["train"].shards)
    if shards < fewest:
        raise TrainingError(
            f"{fewest} workers share {shards} part files or groups of them, and each needs one; "
            "lower `workers` of the pretraining"
        )
    most = min(most, shards)
    if len(ray.nodes()) > 1:
        return most if fewest == most else (fewest, most)
    cpus = int(ray.cluster_resources().get("CPU", 0))
    if cpus <= fewest:
        raise TrainingError(
            f"{fewest} workers and the reading beside them need {fewest + 1} CPUs, "
            f"and this Ray has {cpus}; lower `workers` of the pretraining"
        )
    room = int(ray.cluster_resources().get("GPU", 0)) if training.use_gpu else cpus - 1
    return max(fewest, min(most, room))


def _work(config: dict) -> None:
    """The loop of one worker: every training that has no outcome yet, one after another.

    Ray Train starts workers anew for whatever is raised. An error of ours would only come again, so it is kept as the
    outcome of its training, which the workers pass over when they start anew.
    """
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    trainings = config["trainings"]
    # One of them looks for all: on a shared disk of other machines, they need not see a new file at the same time.
    open_ones = [number for number, (_, outcome) in enumerate(trainings) if not outcome.exists()]
    for training, outcome in (trainings[number] for number in broadcast_from_rank_zero(open_ones)):
        try:
            reached = _train_as_worker(training)
        except RaydistillError as err:
            write_json(outcome, {"error": str(err)})
            if not (isinstance(err, TrainingError) and err.everywhere):
                raise  # the other workers wait for this one
        else:
            if get_context().get_world_rank() == 0:
                write_json(outcome, {"reached": reached})


def _train_as_worker(training: DistributedTraining) -> dict:
    import torch
    from ray import train as ray_train
    from ray.train.torch import get_device

    world = World(ray_train.get_context().get_world_rank(), ray_train.get_context().get_world_size())
    spec, device, entries = training.spec, str(get_device()), list(training.entries)
    folders = {folder: load_model(folder) for folder in set(training.teachers.values())}
    teachers = {session: folders[folder] for session, folder in training.teachers.items()}
    width = next(iter(teachers.values())).spec.config.width if teachers else 0
    share = training.share(world.rank, world.size, width)
    feed, holding = open_feed(
        share,
        _reader(training, share),
        batch=training.recipe.batch,
        seed=training.seed,
        engine=training.engine,
        device=device,
        teacher=frozen(teachers, entries, device) if teachers else None,
    )
    torch.manual_seed(training.seed)  # all workers start from the same weights
    model = transplant(load_model(training.weights), spec) if training.weights else NeuralModel(spec)
    progress = train(
        Training(
            model=model,
            objective=training.objective,
            feed=feed,
            recipe=training.recipe,
            engine=training.engine,
            seed=training.seed,
            folder=training.folder,
            world=world,
            wrap=lambda module: _averaging(module, training, feed, world, device),
            device=device,
        )
    )
    if world.rank == 0:
        save_model(model, training.folder)
    return progress.summary() | {"workers": world.size, "segments": holding.to_json()}


def _reader(training: DistributedTraining, share: Share) -> Reader:
    reading = training.engine.reading
    if reading == "auto":
        reading = "ray_data" if share.bytes() > RAY_DATA_PAYS_FROM else "worker"
    read = read_through_ray if reading == "ray_data" else read_directly
    return read(Store(training.store), list(training.entries))


def _averaging(module, training: DistributedTraining, feed: Feed, world: World, device: str):
    """The forward pass in DistributedDataParallel, after one pass that counts for nothing.

    DDP groups gradients anew after its first backward pass, and with three workers or more another grouping sums in
    another order: without that pass, a training that goes on from a checkpoint would differ in its last bits.
    """
    from ray.train.torch import prepare_model

    if world.size == 1:
        return module
    options = {"broadcast_buffers": False, "gradient_as_bucket_view": True}
    wrapped = prepare_model(module, move_to_device=False, parallel_strategy_kwargs=options)
    with contextlib.closing(feed.train(0)) as shares:
        batch = training.objective.prepare(next(shares)[0], Draw(training.seed, 0)).to(device)
    (wrapped(batch, Draw(training.seed, 0)) * 0).sum().backward()
    module.zero_grad()
    return wrapped
