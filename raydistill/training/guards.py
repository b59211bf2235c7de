"""Errors of a training that ran out of memory."""

import contextlib

import torch

from raydistill.errors import TrainingError, one_line

_ON_HOST = "can't allocate memory"  # in the plain RuntimeError of torch's CPU allocator


@contextlib.contextmanager
def guarded(training):
    """Turn an error of too little memory into a TrainingError that names the setting to change."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as err:
        if type(err) is RuntimeError and _ON_HOST not in str(err):
            raise
        micro = training.engine.micro_batch or training.recipe.batch
        raise TrainingError(
            f"out of memory on {training.device} with {micro} segments per forward pass ({one_line(err)}); set "
            f"`engine: {{micro_batch: {max(1, micro // 2)}}}`, which changes losses only by rounding, "
            "or use a smaller model"
        ) from err
