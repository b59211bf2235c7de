"""Checkpoints of a running job: written beside and renamed, so one that is there is whole.

    <job>/checkpoints/epoch-000012/{model.safetensors, best.safetensors, optimizer.pt, progress.json}

Randomness needs no saving: every epoch draws from (seed, epoch) alone.
"""

import contextlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from raydistill.store.files import write_json

KEEP = 2


@dataclass
class Progress:
    """How far a training is: everything besides weights and moments that its next epoch depends on."""

    epoch: int = 0
    """Epochs finished."""
    best_loss: float = float("inf")
    best_epoch: int = -1

    @property
    def epochs_since_best(self) -> int:
        return self.epoch - 1 - self.best_epoch


def save(folder: Path, progress: Progress, model: torch.nn.Module, best: dict, optimizer) -> None:
    """Write a whole checkpoint and drop all but the newest `KEEP`."""
    final = folder / f"epoch-{progress.epoch:06d}"
    beside = folder / f".{final.name}.{os.getpid()}.tmp"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    save_file(model.state_dict(), beside / "model.safetensors")
    save_file(best, beside / "best.safetensors")
    torch.save(optimizer.state_dict(), beside / "optimizer.pt")
    write_json(beside / "progress.json", asdict(progress))
    shutil.rmtree(final, ignore_errors=True)
    os.rename(beside, final)
    for old in _checkpoints(folder)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("epoch-*"))


def resume(folder: Path, model: torch.nn.Module, optimizer) -> tuple[Progress, dict] | None:
    """Load the newest readable checkpoint into model and optimizer; returns its progress and best weights.

    One that cannot be read is set aside under a name that says so, and the one before it is taken.
    """
    for path in reversed(_checkpoints(folder)):
        try:
            weights, best = load_file(path / "model.safetensors"), load_file(path / "best.safetensors")
            moments = torch.load(path / "optimizer.pt", weights_only=True, map_location="cpu")
            progress = Progress(**json.loads((path / "progress.json").read_text()))
        except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, TypeError):
            with contextlib.suppress(OSError):  # another worker may have set it aside already
                path.rename(path.with_name(f"corrupt-{path.name}"))
            continue
        model.load_state_dict(weights)
        optimizer.load_state_dict(moments)
        return progress, best
    return None
