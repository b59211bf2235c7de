"""`bench checkpoint`: how long a checkpoint of the paper's model stops a training, and how long writing it takes.

The model has made one step, so its AdamW holds both moments of every weight. It is saved several times as the loop
saves it: the state is copied while the training waits; then a thread of the saver writes it, flushes it to disk and
renames it. A checkpoint is model, best model and moments: four times the weights.
"""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

from raydistill.bench import Report, versions
from raydistill.bench.machine import copy_gb_per_s
from raydistill.bench.model import masked_model
from raydistill.config.engine import EngineConfig
from raydistill.config.training import TrainingConfig
from raydistill.feed.feed import FeedBatch
from raydistill.feed.tokens import pack
from raydistill.models.crossmodal.config import PRESETS, CrossModalSettings
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.inputs import inputs_of
from raydistill.objectives import Draw, masked_autoencoding
from raydistill.store.session import Segment
from raydistill.training.checkpoint import Saver, TrainingState, copied
from raydistill.training.loop import Pass, prepare
from raydistill.training.optim import build_optimizer, set_schedule


def bench_checkpoint(
    *,
    config: CrossModalSettings = PRESETS["paper"],
    warmup: int = 1,
    repeats: int = 5,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Medians over the repeats, in a temporary folder, after a warm-up that is not counted.

    `stall_s`: how long `Saver.save` stops the loop when no earlier checkpoint is being written. `write_s`: from that
    call until the checkpoint is complete, including the removal of the third newest.
    """
    model, optimizer = _after_one_step(config)
    say("saving")
    with TemporaryDirectory(prefix="raydistill-bench-") as folder:
        times = [_save_s(Path(folder), epoch, model, optimizer) for epoch in range(warmup + repeats)][warmup:]
        newest = max(Path(folder).glob("epoch-*"))
        size = sum(path.stat().st_size for path in newest.iterdir())
    return Report(
        what="checkpoint",
        device="cpu",
        threads=torch.get_num_threads(),
        precision="fp32",
        figures={
            "stall_s": median(stall_s for stall_s, _ in times),
            "write_s": median(write_s for _, write_s in times),
            "size_mb": size / 1e6,
            "parameters": sum(p.numel() for p in model.parameters()),
            "copy_gb_per_s": copy_gb_per_s(),
        },
        versions=versions("torch", "safetensors"),
    )


def _after_one_step(config: CrossModalSettings) -> tuple[CrossModalModel, torch.optim.Optimizer]:
    """A model of spikes and its optimizer after one step on four segments of ten bins."""
    spec = masked_model(config, "spikes", {"s": 2})
    recipe, objective = TrainingConfig(precision="fp32"), masked_autoencoding(0.6)
    torch.manual_seed(0)
    model = CrossModalModel(spec).train()
    optimizer = build_optimizer(model, recipe)
    set_schedule(optimizer, recipe, 0)
    spikes = np.random.default_rng(0).poisson(0.2, (4, 10, 2 * config.spikes_patch)).astype(np.uint8)
    inputs = inputs_of(spec, [])
    tokens = pack(
        [inputs.tokenize(Segment("s", i, "train", 0.0, counts, None, None)) for i, counts in enumerate(spikes)]
    )
    draw = Draw(0, 0)
    (batch,) = prepare(objective, [FeedBatch(tokens=tokens)], draw, "cpu")
    Pass(model, objective)(batch.inputs, draw).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def _save_s(folder: Path, epoch: int, model: CrossModalModel, optimizer: torch.optim.Optimizer) -> tuple[float, float]:
    """Seconds that the loop was stopped, and seconds until the checkpoint was complete."""
    progress, best = TrainingState(epoch=epoch), copied(model.state_dict())
    with Saver(folder, EngineConfig(), steps=1) as saver:
        started = time.perf_counter()
        saver.save(progress, model, best, optimizer)
        stall_s = time.perf_counter() - started
    return stall_s, time.perf_counter() - started  # on exit the saver waits for its thread
