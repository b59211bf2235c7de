"""Checkpoints of a running job: each is written under a temporary name and then renamed, so it is always complete.

    <job>/checkpoints/epoch-000012-step-00000/{model.safetensors, best.safetensors, optimizer.pt, progress.json}

Each has a marker with the digests of its files, because a flipped bit would train on to other results.

No state of a random generator is saved, because order, masks and dropout are functions of (seed, epoch, segment).
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

from raydistill import mirrored
from raydistill.config.engine import EngineConfig
from raydistill.errors import TrainingError, one_line
from raydistill.files import write_json
from raydistill.marker import damage, write_marker
from raydistill.ownership import check_owner

Weights = dict[str, torch.Tensor]


@dataclass
class TrainingState:
    """The progress of a training: with weights and moments, all that its next step depends on."""

    epoch: int = 0
    """Number of finished epochs."""
    step: int = 0
    """Number of finished steps of the current epoch."""
    sums: dict[str, list[float]] = field(default_factory=dict)
    """Sums over these steps and all workers: term -> [total, count]."""
    best_loss: float = float("inf")
    best_epoch: int = -1

    @property
    def epochs_since_best(self) -> int:
        """Number of epochs since the validation loss was last better than before."""
        return self.epoch - 1 - self.best_epoch

    def finish_epoch(self, valid_loss: float, keep: bool = False) -> bool:
        """Count the epoch as finished; returns whether its weights are kept: by default if its validation loss is the
        best so far."""
        better = keep or valid_loss < self.best_loss
        if better:
            self.best_loss, self.best_epoch = valid_loss, self.epoch
        self.epoch, self.step, self.sums = self.epoch + 1, 0, {}
        return better

    def summary(self) -> dict:
        """The state of a finished training as it is stored in metrics.json."""
        return {"epoch": self.epoch, "best_epoch": self.best_epoch, "best_loss": self.best_loss}


class Saver:
    """Writes checkpoints in a thread, one at a time; the training only waits while its state is copied.

    Use it as a context manager, which at its end waits until the last checkpoint is complete.

    Args:
        folder: of the checkpoints.
        engine: how often checkpoints are saved, and how many are kept.
        steps: number of steps per epoch.
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

    def due(self, state: TrainingState) -> bool:
        """Whether a checkpoint is to be saved at this step."""
        return (state.epoch * self.steps + state.step) % self.every == 0

    def save(self, state: TrainingState, model: torch.nn.Module, best: Weights, optimizer) -> None:
        """Copy the state, and write it while the training continues.

        Raises:
            TrainingError: the previous checkpoint could not be written.
        """
        started = time.perf_counter()
        self._settle()
        weights, moments = copied(model.state_dict()), copied(optimizer.state_dict())
        self._writing = self._thread.submit(_write, self.folder, self.keep, asdict(state), weights, best, moments)
        self._stalled_s += time.perf_counter() - started

    def stalled(self) -> float:
        """Seconds that the training has waited for checkpoints since the last call."""
        stalled_s, self._stalled_s = self._stalled_s, 0.0
        return stalled_s

    def _settle(self):
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.result()
        except (OSError, SafetensorError, RuntimeError) as err:
            newest = max((p.name for p in _checkpoints(self.folder)), default="none")
            raise TrainingError(
                f"cannot save a checkpoint in {self.folder} ({one_line(err)}); free disk space there or raise the "
                f"quota, then run the same command again; newest complete checkpoint: {newest}"
            ) from err


def copied(tree):
    """A copy of a nested state, with its tensors in host memory."""
    if isinstance(tree, torch.Tensor):
        return tree.detach().to("cpu", copy=True)
    if isinstance(tree, dict):
        return {key: copied(value) for key, value in tree.items()}
    return [copied(value) for value in tree] if isinstance(tree, list) else tree


def _write(folder: Path, keep: int, progress: dict, model: Weights, best: Weights, optimizer: dict) -> None:
    final = folder / f"epoch-{progress['epoch']:06d}-step-{progress['step']:06d}"
    temporary = folder / f".{final.name}.{os.getpid()}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        save_file(model, temporary / "model.safetensors")
        save_file(best, temporary / "best.safetensors")
        torch.save(optimizer, temporary / "optimizer.pt")
        for path in temporary.iterdir():
            _flush(path)
        write_json(temporary / "progress.json", progress | {"best_loss": str(progress["best_loss"])})
        write_marker(temporary)
        check_owner(folder.parent)
        shutil.rmtree(final, ignore_errors=True)
        os.rename(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in _checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    mirrored.publish_checkpoint(final)


def _flush(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*"))


def resume(folder: Path, model: torch.nn.Module, optimizer) -> tuple[TrainingState, Weights] | None:
    """Load the newest readable checkpoint into model and optimizer.

    A checkpoint that cannot be read is renamed to corrupt-..., and the previous one is loaded.

    Returns:
        The state, and the weights of the best epoch so far; None if there is no readable checkpoint.
    Raises:
        TrainingError: another version wrote the checkpoint, with other weights or other settings of the optimizer.
    """
    for path in reversed(_checkpoints(folder)):
        try:
            if problem := damage(path, everything=True):
                raise ValueError(problem)
            weights, best = load_file(path / "model.safetensors"), load_file(path / "best.safetensors")
            moments = torch.load(path / "optimizer.pt", weights_only=True, map_location="cpu")
            fields = json.loads((path / "progress.json").read_text())
            state = TrainingState(**(fields | {"best_loss": float(fields["best_loss"])}))
        except Exception:  # damage, or a pickle that asks for code, which raises errors of many kinds
            with contextlib.suppress(OSError):  # another worker may have renamed it already
                path.rename(path.with_name(f"corrupt-{path.name}"))
            continue
        _load(path, model, optimizer, weights, moments)
        return state, best
    return None


def _load(path: Path, model: torch.nn.Module, optimizer, weights: Weights, moments: dict) -> None:
    """Take the weights and moments of a checkpoint. Raises TrainingError if those of this version have other names."""
    names = set().union(*optimizer.param_groups) if optimizer.param_groups else set()
    try:
        model.load_state_dict(weights)
        optimizer.load_state_dict(moments)
        missing = sorted(names - set.intersection(*map(set, optimizer.param_groups)))
        problem = f"its optimizer has no {', '.join(f'`{name}`' for name in missing)}" if missing else ""
    except (RuntimeError, ValueError, KeyError, TypeError) as err:
        problem = " ".join(str(err).split())  # torch writes one line per weight
    if problem:
        raise TrainingError(
            f"{path}: another version of raydistill wrote this checkpoint ({problem[:200]}); continue with "
            f"that version, or delete {path.parent}, and the same command trains the job from its start",
            everywhere=True,
        )
