"""AdamW with schedules of learning rate and weight decay, one value per epoch (docs/methods.md, Training)."""

import math

import torch
from torch import nn

from raydistill.config.training import Recipe
from raydistill.models.parts import read_out_weights


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """The learning rate of an epoch: a linear rise over `warmup_epochs`, then a factor of `decay` per epoch, or half a
    cosine to `cosine_to` of the peak; with `cosine_epochs`, the product of the rise and of half a cosine."""
    if recipe.cosine_to is not None and recipe.cosine_epochs is not None:
        rise = min(1.0, epoch / recipe.warmup_epochs) if recipe.warmup_epochs else 1.0
        warmth = recipe.warmup_start + (1 - recipe.warmup_start) * rise
        return recipe.learning_rate * warmth * _half_cosine(recipe.cosine_to, epoch / recipe.cosine_epochs)
    if epoch < recipe.warmup_epochs:
        rise = (1 - recipe.warmup_start) * epoch / recipe.warmup_epochs
        return recipe.learning_rate * (recipe.warmup_start + rise)
    if recipe.cosine_to is None:
        return recipe.learning_rate * recipe.decay ** (epoch - recipe.warmup_epochs)
    done = (epoch - recipe.warmup_epochs) / max(recipe.epochs - recipe.warmup_epochs, 1)
    return recipe.learning_rate * _half_cosine(recipe.cosine_to, done)


def _half_cosine(end: float, done: float) -> float:
    """From 1 to `end`, where it stays: published code rises again."""
    return end + (1 - end) * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def weight_decay(recipe: Recipe, epoch: int) -> float:
    """The weight decay of an epoch: half a cosine from `weight_decay` to `weight_decay_end`."""
    done = min(1.0, epoch / recipe.weight_decay_epochs)
    start, end = recipe.weight_decay, recipe.weight_decay_end
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with two parameter groups: matrices have weight decay; norms, biases and embeddings have none, unless
    `weight_decay_of` is all. With `encoder_rate`, what reads behavior out has two groups of its own."""
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    decay_all = recipe.weight_decay_of == "all"
    decays = lambda p: decay_all or (p.ndim > 1 and id(p) not in embeddings)  # noqa: E731
    parameters = [p for p in model.parameters() if p.requires_grad]
    read_outs = set(map(id, read_out_weights(model)))
    parts = [(1.0, parameters)]
    if recipe.encoder_rate is not None:
        parts = [
            (recipe.encoder_rate, [p for p in parameters if id(p) not in read_outs]),
            (1.0, [p for p in parameters if id(p) in read_outs]),
        ]
    groups = [
        {"params": [p for p in part if decays(p) == has_decay], "decays": has_decay, "rate": rate, "weight_decay": 0.0}
        for rate, part in parts
        for has_decay in (True, False)
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)


def set_schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: int) -> float:
    """Set the values of the epoch in every parameter group; returns the learning rate."""
    rate = learning_rate(recipe, epoch)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate"]
        group["weight_decay"] = weight_decay(recipe, epoch) if group["decays"] else 0.0
    return rate
