"""`bench workers`: the same pretraining on one and on two workers of Ray Train, with one thread per worker.

Masked autoencoding of the small preset on sessions of spikes of equal size, in fp32 and with the preset's global batch,
run by the function that runs every pretraining. Both trainings save a checkpoint every epoch.

A training reports an epoch by writing a line into the job's folder, which the driver reads: `report_s`. For comparison,
a separate run measures how long a report through Ray Train would hold a worker: `ray_report_s`.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from raydistill.bench import Report, versions
from raydistill.bench.corpus import corpus
from raydistill.bench.model import masked_model
from raydistill.cluster import connected
from raydistill.config.engine import EngineConfig
from raydistill.config.objectives import MaskedAutoencoding
from raydistill.config.training import RECIPES, TrainingConfig
from raydistill.models.crossmodal.config import PRESETS, CrossModalSettings
from raydistill.store.store import Store
from raydistill.training.assemble import TrainingTask
from raydistill.training.distributed import DistributedTraining, train_on_workers
from raydistill.training.history import append_history, read_history

_UNITS = 128  # two patches of 64
_MICRO_BATCH = 8  # equal for one and two workers, because the size of a forward pass decides how well caches work


def bench_workers(
    *,
    sessions: int = 16,
    seconds: float = 60.0,
    epochs: int = 4,
    batch: int = RECIPES["small"].pretraining.batch,
    config: CrossModalSettings = PRESETS["small"],
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Medians over the epochs after the first.

    `*_tokens_per_s` is the number of tokens of all workers per second of the steps alone; `scaling` is the ratio of
    two workers to one. `data_wait`: fraction of that time that rank 0 of two workers waited for data.
    `checkpoint_stall_s`: how long an epoch's checkpoint stops the two workers. `start_s`: from the call until the
    first epoch of the two workers begins, with Ray running and after one earlier training.
    """
    recipe = TrainingConfig(epochs=epochs, batch=batch, patience=epochs, warmup_epochs=1, precision="fp32")
    say(f"writing {sessions} sessions of {seconds:g} s")
    with corpus(sessions=sessions, seconds=seconds, units=_UNITS) as (folder, store), connected():
        figures = {}
        for workers in (1, 2):
            say(f"training on {workers} worker{'s' * (workers > 1)}")
            training = _training(store, folder / str(workers), recipe, config, workers)
            called = time.time()
            for _, outcome in train_on_workers([training], folder / "ray"):
                if isinstance(outcome, Exception):
                    raise outcome
            figures[workers] = _epoch_figures(training.task.folder, called)
        say("reporting")
        report_s, ray_report_s = _report_s(folder), _ray_report_s(folder / "reports")
    one, two = figures[1], figures[2]
    return Report(
        what="workers",
        device="cpu",
        threads=1,
        precision="fp32",
        figures={
            "start_s": two["start_s"],
            "one_tokens_per_s": one["tokens_per_s"],
            "two_tokens_per_s": two["tokens_per_s"],
            "scaling": two["tokens_per_s"] / one["tokens_per_s"],
            "data_wait": two["data_wait"],
            "checkpoint_stall_s": two["checkpoint_stall_s"],
            "report_s": report_s,
            "ray_report_s": ray_report_s,
        },
        versions=versions("ray", "torch", "pyarrow", "numpy"),
    )


def _training(
    store: Store, folder: Path, recipe: TrainingConfig, config: CrossModalSettings, workers: int
) -> DistributedTraining:
    entries = store.entries()
    sessions = {e.session: -(-e.n_units // config.spikes_patch) for e in entries}
    folder.mkdir()
    task = TrainingTask(
        spec=masked_model(config, "spikes", sessions),
        objective=MaskedAutoencoding(mask_ratio=recipe.mask_ratio),
        recipe=recipe.recipe,
        engine=EngineConfig(micro_batch=_MICRO_BATCH, checkpoint_every=1),
        seed=0,
        store=store.uri,
        entries=tuple(entries),
        folder=folder,
    )
    return DistributedTraining(task=task, workers=(workers, workers), use_gpu=False, max_failures=0)


def _epoch_figures(folder: Path, called: float) -> dict[str, float]:
    """Medians over the epochs after the first; `start_s` counts from `called` (time.time()) to the first epoch."""
    first_line, *lines = read_history(folder)
    return {
        "start_s": first_line["time"] - first_line["epoch_s"] - called,
        "tokens_per_s": median(line["tokens_per_s"] for line in lines),
        "data_wait": sum(line["data_wait_s"] for line in lines) / sum(line["steps_s"] for line in lines),
        "checkpoint_stall_s": median(line["checkpoint_stall_s"] for line in lines),
    }


def _report_s(folder: Path, reports: int = 100) -> float:
    """Median seconds to write the line of an epoch."""
    times = []
    for epoch in range(reports):
        started = time.perf_counter()
        append_history(folder, {"epoch": epoch, "train_loss": 0.0}, {"epoch": epoch, "epoch_s": 0.0})
        times.append(time.perf_counter() - started)
    return median(times)


def _ray_report_s(folder: Path, reports: int = 10) -> float:
    """Median seconds that a report to Ray Train holds a worker.

    Args:
        folder: for Ray Train's own files.
    """
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    trainer = TorchTrainer(
        _report_to_ray,  # type: ignore[arg-type]  # annotations of Ray Train v1; v2 returns the value of rank 0
        train_loop_config={"reports": reports},
        scaling_config=ScalingConfig(num_workers=1),
        run_config=RunConfig(name="reports", storage_path=str(folder.absolute())),
    )
    # In the main thread Ray Train would install its own signal handler and leave it there.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(trainer.fit).result().return_value  # type: ignore[attr-defined]


def _report_to_ray(config: dict) -> float:
    from ray import train as ray_train

    times = []
    for number in range(config["reports"]):
        started = time.perf_counter()
        ray_train.report({"epoch": number})
        times.append(time.perf_counter() - started)
    return median(times)
