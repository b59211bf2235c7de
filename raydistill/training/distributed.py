"""Training on the workers of Ray Train: the only file that knows Ray Train.

The store is read once through Ray Data, each worker its own part files; then the one loop of the project runs on
every worker, with its gradients averaged by DistributedDataParallel.
"""

import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from raydistill.config.model import TrainingConfig
from raydistill.errors import RaydistillError, TrainingError
from raydistill.models.files import load_model, save_model
from raydistill.models.neural import ModelSpec, NeuralModel, inputs_of, transplant
from raydistill.objectives import Objective
from raydistill.store.batches import load_feed, part_dataset, read_through_ray
from raydistill.store.catalogue import Entry, Part
from raydistill.store.order import deal
from raydistill.store.store import Store
from raydistill.training import checkpoint
from raydistill.training.loop import Training, World, train
from raydistill.training.teacher import keep_latents

SPLITS = ("train", "valid")


@dataclass(frozen=True, kw_only=True)
class DistributedTraining:
    """A training on several sessions and workers."""

    spec: ModelSpec
    objective: Objective
    store: str
    entries: tuple[Entry, ...]
    recipe: TrainingConfig
    seed: int
    folder: Path
    """The job's folder, on a disk that all workers share."""
    workers: int
    use_gpu: bool
    weights: Path | None = None
    """Folder of the model that this one starts from."""
    teachers: dict[str, Path] = field(default_factory=dict)
    """Of a distillation: session -> folder of its teacher."""
    max_failures: int = 3
    """Lost workers are replaced this often; training goes on from its newest checkpoint."""

    @property
    def parts(self) -> dict:
        """split -> part files of all sessions, in an order that all workers share."""
        return {split: [p for e in self.entries for p in e.parts if p.split == split] for split in SPLITS}

    def held(self, rank: int, workers: int) -> dict[str, list[int]]:
        """split -> indices of the parts that a worker holds."""
        return {split: deal([sum(p.n_bins) for p in parts], workers)[rank] for split, parts in self.parts.items()}

    def dealt(self, rank: int, workers: int) -> list[Part]:
        """The parts that a worker holds."""
        return [self.parts[split][i] for split, indices in self.held(rank, workers).items() for i in indices]


def train_on_workers(training: DistributedTraining) -> checkpoint.Progress:
    """Train to the end; model.safetensors and model.json of the best epoch lie in the folder afterwards."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    _check_workers(training)
    ray_folder = training.folder.absolute() / "ray"
    shutil.rmtree(ray_folder, ignore_errors=True)  # Ray would take up an old run; our checkpoints are what counts
    trainer = TorchTrainer(
        _work,
        train_loop_config={"training": training},
        # Ray Train asks for a dataset to split; what each worker streams is decided in `_dealt_parts`.
        datasets={"segments": part_dataset(Store(training.store), training.dealt(0, 1))},
        dataset_config=_dealt_parts(training),
        scaling_config=ScalingConfig(
            num_workers=training.workers,
            use_gpu=training.use_gpu,
            label_selector={"pool": "!sessions"},  # cluster.yaml keeps nodes for per-session jobs apart
        ),
        run_config=RunConfig(
            name="train",
            storage_path=str(ray_folder),
            failure_config=FailureConfig(max_failures=training.max_failures),
        ),
    )
    result = _in_a_thread(trainer.fit).return_value
    shutil.rmtree(ray_folder, ignore_errors=True)
    if isinstance(result, RaydistillError):
        raise result
    return result


def _in_a_thread(function):
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
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def _check_workers(training: DistributedTraining) -> None:
    """Ray Train would wait for ever for workers that cannot be had."""
    import ray

    parts = len(training.parts["train"])
    if parts < training.workers:
        raise TrainingError(
            f"{training.workers} workers share {parts} part files, and each needs one; "
            "lower `workers` of the pretraining"
        )
    cpus = int(ray.cluster_resources().get("CPU", 0))
    if cpus <= training.workers and len(ray.nodes()) == 1:
        raise TrainingError(
            f"{training.workers} workers and the reading beside them need {training.workers + 1} CPUs, "
            f"and this Ray has {cpus}; lower `workers` of the pretraining"
        )


def _dealt_parts(training: DistributedTraining):
    """Gives each worker a stream of its own part files; which ones follows from the catalogue alone."""
    from ray.train import DataConfig

    class DealtParts(DataConfig):
        def configure(self, datasets, world_size, worker_handles=None, worker_node_ids=None, **_):
            store = Store(training.store)
            shards = [part_dataset(store, training.dealt(rank, world_size)) for rank in range(world_size)]
            return [{"segments": shard.iterator()} for shard in shards]

    return DealtParts()


def _work(config: dict) -> checkpoint.Progress | RaydistillError:
    """The loop of one worker; rank 0's progress comes back.

    An error of ours is returned, not raised: it would come again, and Ray Train starts workers anew for what is
    raised.
    """
    try:
        return _train_as_worker(config["training"])
    except RaydistillError as err:
        return err


def _train_as_worker(training: DistributedTraining) -> checkpoint.Progress:
    import torch
    from ray import train as ray_train
    from ray.train.torch import get_device, prepare_model

    world = World(ray_train.get_context().get_world_rank(), ray_train.get_context().get_world_size())
    spec, device = training.spec, get_device()

    read = read_through_ray(ray_train.get_dataset_shard("segments"), list(training.entries))
    held, batch = training.held(world.rank, world.size), training.recipe.batch
    entries = list(training.entries)
    folders = {folder: load_model(folder) for folder in set(training.teachers.values())}
    teachers = {session: folders[folder] for session, folder in training.teachers.items()}
    heard = inputs_of(next(iter(teachers.values())).spec, entries) if teachers else None  # one job made them all
    feed = load_feed(training.parts, held, read, inputs_of(spec, entries), batch, training.seed, teacher=heard)
    keep_latents(feed, teachers, str(device))

    torch.manual_seed(training.seed)  # all workers start from the same weights
    model = transplant(load_model(training.weights), spec) if training.weights else NeuralModel(spec)
    progress = train(
        Training(
            model=model,
            objective=training.objective,
            feed=feed,
            recipe=training.recipe,
            seed=training.seed,
            folder=training.folder,
            world=world,
            wrap=lambda module: prepare_model(module, move_to_device=False),
            device=str(device),
        )
    )
    if world.rank == 0:
        save_model(model, training.folder)
    return progress
