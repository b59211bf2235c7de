"""Training on the workers of Ray Train: the only file that knows Ray Train.

Each worker reads its own part files through Ray Data; then the one loop of the project runs on every worker, with
its gradients averaged by DistributedDataParallel.
"""

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from raydistill.config.engine import EngineConfig
from raydistill.config.model import TrainingConfig
from raydistill.errors import RaydistillError, TrainingError
from raydistill.models.files import load_model, save_model
from raydistill.models.neural import ModelSpec, NeuralModel, inputs_of, transplant
from raydistill.objectives import Draw, Objective
from raydistill.store.batches import Reader, read_directly, read_through_ray
from raydistill.store.catalogue import Entry
from raydistill.store.feed import Feed
from raydistill.store.files import write_json
from raydistill.store.memory import Share, open_feed
from raydistill.store.store import Store
from raydistill.training.loop import Training, World, train
from raydistill.training.teacher import frozen

RAY_DATA_PAYS_FROM = 500_000_000
"""Bytes of a worker's share. Measured on two cores: Ray Data starts processes for 3 to 6 s before the first segment
comes; a worker reads this much in that time by itself."""
ERROR = "error.json"
"""In the job's folder: what a worker found that its user has to put right."""


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
    """Lost workers are replaced this often; training goes on from its newest checkpoint."""

    def share(self, rank: int = 0, workers: int = 1, teacher_width: int = 0) -> Share:
        """What a worker reads."""
        inputs = inputs_of(self.spec, list(self.entries))
        return Share(entries=self.entries, inputs=inputs, teacher_width=teacher_width, rank=rank, workers=workers)


def train_on_workers(training: DistributedTraining, watch: Callable[[], None] = lambda: None) -> dict:
    """Train to the end; model.safetensors and model.json of the best epoch lie in the folder afterwards.

    Args:
        watch: called a few times a second, to look at the folder's history.
    Returns:
        How far it came, and where its workers kept their segments.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    workers = _worker_count(training)
    ray_folder = training.folder.absolute() / "ray"
    shutil.rmtree(ray_folder, ignore_errors=True)  # Ray would take up an old run; our checkpoints are what counts
    (training.folder / ERROR).unlink(missing_ok=True)
    trainer = TorchTrainer(
        _work,
        train_loop_config={"training": training},
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=training.use_gpu,
            label_selector={"pool": "!sessions"},  # cluster.yaml keeps nodes for per-session jobs apart
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(ray_folder),
            failure_config=FailureConfig(max_failures=training.max_failures),
        ),
    )
    result = _in_a_thread(trainer.fit, watch).return_value
    shutil.rmtree(ray_folder, ignore_errors=True)
    if isinstance(result, RaydistillError):
        raise result
    return result


def _in_a_thread(function, watch):
    """Run `function` while the main thread waits, so that Ctrl-C is a KeyboardInterrupt here.

    In the main thread Ray Train would put a signal handler of its own in place, end the process without a word, and
    leave the handler behind.
    """
    outcome: dict[str, object] = {}

    def run():
        try:
            outcome["value"] = function()
        except BaseException as err:
            outcome["error"] = err

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(timeout=0.2)  # a join without end would keep the signal waiting
        watch()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


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


def _work(config: dict) -> dict | RaydistillError:
    """The loop of one worker; rank 0's outcome comes back.

    Ray Train starts workers anew for whatever is raised. An error of ours would only come again, so it is left in
    the job's folder, where all workers find it when they start anew, and is returned.
    """
    training: DistributedTraining = config["training"]
    told = training.folder / ERROR
    if told.exists():
        return TrainingError(json.loads(told.read_text())["error"])
    try:
        return _train_as_worker(training)
    except RaydistillError as err:
        write_json(told, {"error": str(err)})
        if isinstance(err, TrainingError) and err.everywhere:
            return err
        raise


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


def report_cost(folder: Path, reports: int = 10) -> float:
    """Seconds that a report to Ray Train would hold a worker, median; a training of ours makes none.

    Args:
        folder: for Ray Train's own files.
    """
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        _report,
        train_loop_config={"reports": reports},
        scaling_config=ScalingConfig(num_workers=1),
        run_config=RunConfig(name="reports", storage_path=str(folder.absolute())),
    )
    return _in_a_thread(trainer.fit, lambda: None).return_value


def _report(config: dict) -> float:
    from ray import train as ray_train

    times = []
    for number in range(config["reports"]):
        started = time.perf_counter()
        ray_train.report({"epoch": number})
        times.append(time.perf_counter() - started)
    return median(times)
