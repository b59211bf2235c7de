"""`bench workers`: the same pretraining on one worker of Ray Train and on two, at one thread each.

Masked autoencoding of the small preset on equal sessions of spikes, in fp32 and with the preset's global batch,
through the one function that every pretraining goes through. Both trainings save a checkpoint every epoch.

A training reports an epoch by a line in the job's folder, which the driver reads beside it: `report_s`. What a report
through Ray Train would cost a worker is measured in a run of its own: `ray_report_s`.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from raydistill.bench import Report, versions
from raydistill.bench.corpus import corpus
from raydistill.cluster import connected
from raydistill.config.engine import EngineConfig
from raydistill.config.training import RECIPES, TrainingConfig
from raydistill.models.crossmodal.config import PRESETS, ModelConfig
from raydistill.models.crossmodal.model import ModelSpec
from raydistill.objectives import masked_autoencoding
from raydistill.store.store import Store
from raydistill.training.distributed import DistributedTraining, report_cost, train_on_workers
from raydistill.training.history import append_history, read_history

_UNITS = 128  # two patches of 64
_MICRO_BATCH = 8  # what a worker computes at once is the same for one and two: it decides how well caches serve


def bench_workers(
    *,
    sessions: int = 16,
    seconds: float = 60.0,
    epochs: int = 4,
    batch: int = RECIPES["small"].pretraining.batch,
    config: ModelConfig = PRESETS["small"],
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Medians over the epochs after the first.

    `*_tokens_per_s` counts all tokens of all workers over the time of the steps alone, `scaling` is their ratio.
    `data_wait`: the fraction of that time that rank 0 of two waited for data. `checkpoint_stall_s`: for how long an
    epoch's checkpoint held the two workers. `start_s`: from the call until the first epoch of the two workers begins,
    with Ray running and one training behind it.
    """
    recipe = TrainingConfig(epochs=epochs, batch=batch, patience=epochs, warmup_epochs=1, precision="fp32")
    say(f"writing {sessions} sessions of {seconds:g} s")
    with corpus(sessions=sessions, seconds=seconds, units=_UNITS) as (folder, store), connected():
        taken = {}
        for workers in (1, 2):
            say(f"training on {workers} worker{'s' * (workers > 1)}")
            training = _training(store, folder / str(workers), recipe, config, workers)
            called = time.time()
            for _, outcome in train_on_workers([training], folder / "ray"):
                if isinstance(outcome, Exception):
                    raise outcome
            taken[workers] = _taken(training.folder, called)
        say("reporting")
        report_s, ray_report_s = _report_s(folder), report_cost(folder / "reports")
    one, two = taken[1], taken[2]
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
    store: Store, folder: Path, recipe: TrainingConfig, config: ModelConfig, workers: int
) -> DistributedTraining:
    entries = store.entries()
    sessions = {e.session: -(-e.n_units // config.spikes_patch) for e in entries}
    folder.mkdir()
    return DistributedTraining(
        spec=ModelSpec(config=config, modality="spikes", value="count", heads=("predictor",), sessions=sessions),
        objective=masked_autoencoding(recipe.mask_ratio),
        store=store.uri,
        entries=tuple(entries),
        recipe=recipe,
        engine=EngineConfig(micro_batch=_MICRO_BATCH, checkpoint_every=1),
        seed=0,
        folder=folder,
        workers=(workers, workers),
        use_gpu=False,
        max_failures=0,
    )


def _taken(folder: Path, called: float) -> dict[str, float]:
    """What the epochs after the first took; `start_s` counts from the time of the call to the first of all."""
    first, *lines = read_history(folder)
    return {
        "start_s": first["time"] - first["epoch_s"] - called,
        "tokens_per_s": median(line["tokens_per_s"] for line in lines),
        "data_wait": sum(line["data_wait_s"] for line in lines) / sum(line["steps_s"] for line in lines),
        "checkpoint_stall_s": median(line["checkpoint_stall_s"] for line in lines),
    }


def _report_s(folder: Path, reports: int = 100) -> float:
    """Seconds that an epoch's line takes, median."""
    times = []
    for epoch in range(reports):
        started = time.perf_counter()
        append_history(folder, {"epoch": epoch, "train_loss": 0.0}, {"epoch": epoch, "epoch_s": 0.0})
        times.append(time.perf_counter() - started)
    return median(times)
