"""The published schedules, value by value."""

import dataclasses

import pytest
import torch

from raydistill.config.training import TrainingConfig
from raydistill.errors import ConfigError
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.ndt2.config import RECIPES as NDT2_RECIPES
from raydistill.training.optim import build_optimizer, learning_rate, set_schedule, weight_decay
from tests.small import make_spec

PAPER = TrainingConfig()


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 1.875e-4), (30, 6.25e-4), (100, 4.40e-4), (400, 9.8e-5), (550, 4.6e-5)]
)
def test_learning_rate_has_the_published_values(epoch, rate):
    assert learning_rate(PAPER, epoch) == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize(("epoch", "share"), [(0, 0.3), (15, 0.65), (30, 1.0), (165, 0.505), (299, 0.01)])
def test_learning_rate_falls_along_a_cosine_to_the_end_of_the_recipe(epoch, share):
    recipe = TrainingConfig(epochs=300, learning_rate=5e-4, cosine_to=0.01)
    assert learning_rate(recipe, epoch) == pytest.approx(5e-4 * share, rel=0.01)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 5e-5), (50, 2.7473e-4), (100, 4.9803e-4), (1250, 2.505e-4), (2500, 1e-6), (4000, 1e-6)]
)
def test_learning_rate_of_ndt2_is_a_rise_times_half_a_cosine(epoch, rate):
    assert learning_rate(NDT2_RECIPES["paper"].pretraining, epoch) == pytest.approx(rate, rel=1e-3)


def test_length_of_a_cosine_without_one_is_refused():
    with pytest.raises(ConfigError, match="`cosine_epochs` has an effect only with `cosine_to`"):
        TrainingConfig(cosine_epochs=100)


@pytest.mark.parametrize(("epoch", "decay"), [(0, 0.1), (30, 0.1007), (100, 0.1073), (400, 0.2036), (1000, 0.4)])
def test_weight_decay_has_the_published_values(epoch, decay):
    assert weight_decay(PAPER, epoch) == pytest.approx(decay, abs=1e-4)


def test_optimizer_decays_matrices_alone():
    model = CrossModalModel(make_spec("spikes", "count"))
    optimizer = build_optimizer(model, PAPER)
    set_schedule(optimizer, PAPER, 400)
    decays = {id(p): g["weight_decay"] for g in optimizer.param_groups for p in g["params"]}
    assert len(decays) == len(list(model.parameters()))
    for name, p in model.named_parameters():
        is_matrix = p.ndim > 1 and "table" not in name
        assert (decays[id(p)] > 0) == is_matrix, name
    assert isinstance(optimizer, torch.optim.AdamW)


def test_optimizer_decays_all_weights_of_ndt2():
    recipe, model = NDT2_RECIPES["paper"].pretraining, CrossModalModel(make_spec("spikes", "count"))
    optimizer = build_optimizer(model, recipe)
    set_schedule(optimizer, recipe, 400)
    decays = [group["weight_decay"] for group in optimizer.param_groups if group["params"]]
    assert decays == [0.01] and len(optimizer.param_groups[0]["params"]) == len(list(model.parameters()))


def test_rate_of_the_encoder_is_a_share_of_that_of_what_reads_behavior_out():
    recipe = dataclasses.replace(PAPER, encoder_rate=0.01)
    model = CrossModalModel(make_spec(outputs=(), behavior=("vx", "vy")))
    optimizer = build_optimizer(model, recipe)
    rate = set_schedule(optimizer, recipe, 30)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    for name, p in model.named_parameters():
        assert rates[id(p)] == (rate if name.startswith("behavior.") else 0.01 * rate), name
