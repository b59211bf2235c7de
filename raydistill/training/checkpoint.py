"""Checkpoints of a running job: written beside and renamed, so one that is there is whole.

    <job>/checkpoints/epoch-000012-step-00000/{model.safetensors, best.safetensors, optimizer.pt, progress.json}

Randomness needs no saving: every step of every worker draws from (seed, epoch, step, rank) alone.
"""

import contextlib
import json
import os
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from raydistill.config.engine import EngineConfig
from raydistill.errors import TrainingError, one_line
from raydistill.files import write_json

Weights = dict[str, torch.Tensor]


@dataclass
class Progress:
    """How far a training is: everything besides weights and moments that its next step depends on."""

    epoch: int = 0
    """Epochs finished."""
    step: int = 0
    """Steps finished of the epoch under way."""
    sums: dict[str, list[float]] = field(default_factory=dict)
    """Of those steps, over all workers: term -> [total, count]."""
    best_loss: float = float("inf")
    best_epoch: int = -1

    @property
    def epochs_since_best(self) -> int:
        return self.epoch - 1 - self.best_epoch

    def finish_epoch(self, valid_loss: float) -> bool:
        """Whether the epoch was the best so far."""
        better = valid_loss < self.best_loss
        if better:
            self.best_loss, self.best_epoch = valid_loss, self.epoch
        self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
        return better

    def summary(self) -> dict:
        """What a finished training says of itself."""
        return {"epoch": self.epoch, "best_epoch": self.best_epoch, "best_loss": self.best_loss}


class Saver:
    """Writes checkpoints in a thread of its own, one at a time; the training only waits for its state to be copied.

    Use as a context: leaving it waits for the last one to be whole.
    """

    def __init__(self, folder: Path, engine: EngineConfig, steps: int):
        self.folder, self.keep = folder, engine.checkpoint_keep
        self.steps = steps
        self.every = max(1, round(engine.checkpoint_every * steps))
        self._stalled_s = 0.0
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future | None = None

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, kind, *_) -> None:
        self._thread.shutdown()
        if kind is None:
            self._settle()

    def due(self, progress: Progress) -> bool:
        return (progress.epoch * self.steps + progress.step) % self.every == 0

    def save(self, progress: Progress, model: torch.nn.Module, best: Weights, optimizer) -> None:
        """Copy the state and write it while training goes on. Raises TrainingError where an earlier one failed."""
        started = time.perf_counter()
        self._settle()
        state = copied(optimizer.state_dict())
        said = asdict(progress)
        self._writing = self._thread.submit(
            _write, self.folder, self.keep, said, copied(model.state_dict()), best, state
        )
        self._stalled_s += time.perf_counter() - started

    def stalled(self) -> float:
        """Seconds that the training has waited for its checkpoints since this was last asked."""
        taken, self._stalled_s = self._stalled_s, 0.0
        return taken

    def _settle(self):
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.result()
        except (OSError, SafetensorError, RuntimeError) as err:
            newest = max((p.name for p in _checkpoints(self.folder)), default="none")
            raise TrainingError(
                f"cannot save a checkpoint in {self.folder} ({one_line(err)}); free space there or raise the limit, "
                f"then give the same command again; newest whole checkpoint: {newest}"
            ) from err


def copied(tree):
    """Tensors of a nested state in host memory, as they are now."""
    if isinstance(tree, torch.Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    return [copied(value) for value in tree] if isinstance(tree, list) else tree


def _write(folder: Path, keep: int, progress: dict, model: Weights, best: Weights, optimizer: dict) -> None:
    final = folder / f"epoch-{progress['epoch']:06d}-step-{progress['step']:06d}"
    beside = folder / f".{final.name}.{os.getpid()}.tmp"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        save_file(model, beside / "model.safetensors")
        save_file(best, beside / "best.safetensors")
        torch.save(optimizer, beside / "optimizer.pt")
        for path in beside.iterdir():
            _flush(path)
        write_json(beside / "progress.json", progress | {"best_loss": str(progress["best_loss"])})
        shutil.rmtree(final, ignore_errors=True)
        os.rename(beside, final)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    for old in _checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def _flush(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*"))


def resume(folder: Path, model: torch.nn.Module, optimizer) -> tuple[Progress, Weights] | None:
    """Load the newest readable checkpoint into model and optimizer; returns its progress and best weights.

    One that cannot be read is set aside under a name that says so, and the one before it is taken.
    """
    for path in reversed(_checkpoints(folder)):
        try:
            weights, best = load_file(path / "model.safetensors"), load_file(path / "best.safetensors")
            moments = torch.load(path / "optimizer.pt", weights_only=True, map_location="cpu")
            said = json.loads((path / "progress.json").read_text())
            progress = Progress(**(said | {"best_loss": float(said["best_loss"])}))
        except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, TypeError, KeyError):
            with contextlib.suppress(OSError):  # another worker may have set it aside already
                path.rename(path.with_name(f"corrupt-{path.name}"))
            continue
        model.load_state_dict(weights)
        optimizer.load_state_dict(moments)
        return progress, best
    return None
