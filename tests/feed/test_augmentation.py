"""Augmented LFP: channels, gains and noise of the sizes that were asked for, a function of the segment alone."""

import dataclasses

import pytest
import torch

from raydistill.config.objectives import Augmentation
from raydistill.feed.augmentation import augmented
from raydistill.feed.masking import Draw
from tests.small import make_batch

DRAW = Draw(seed=0, epoch=1)


def changed(sessions, lengths, draw=DRAW, **how):
    how = {"channel_dropout": 0.0, "gain_jitter": 0.0, "noise": 0.0} | how
    batch = make_batch(sessions, lengths)
    ones = dataclasses.replace(batch, values=torch.ones_like(batch.values) * batch.valid)
    return augmented(ones, Augmentation(**how), draw), ones


def test_channels_are_dropped_over_the_whole_segment_with_the_given_probability():
    values, _ = changed(["a"] * 400, [5] * 400, channel_dropout=0.15)
    by_segment = values.view(400, 5, 8)
    assert torch.equal(by_segment, by_segment[:, :1].expand_as(by_segment))
    assert set(values.unique().tolist()) == {0.0, 1.0}
    assert 1 - values.mean().item() == pytest.approx(0.15, abs=0.02)


def test_gains_are_even_between_the_limits_and_noise_has_the_given_deviation():
    gains, _ = changed(["a"] * 400, [2] * 400, gain_jitter=0.15)
    assert gains.min() >= 0.85 and gains.max() <= 1.15
    assert gains.std().item() == pytest.approx(0.3 / 12**0.5, rel=0.05)
    noisy, _ = changed(["a"] * 100, [20] * 100, noise=0.05)
    assert (noisy - 1).std().item() == pytest.approx(0.05, rel=0.03)


def test_change_of_a_segment_is_the_same_in_any_batch_and_another_in_each_epoch():
    how = {"channel_dropout": 0.3, "gain_jitter": 0.2, "noise": 0.1}
    both, _ = changed(["a", "b"], [6, 4], **how)
    alone, _ = changed(["a"], [6], **how)
    later, _ = changed(["a"], [6], draw=Draw(0, 2), **how)
    assert torch.equal(both[:6], alone) and not torch.equal(later, alone)


def test_padded_slots_stay_zero():
    values, batch = changed(["b"], [6], noise=1.0)
    assert (values[~batch.valid] == 0).all() and (values[batch.valid] != 0).all()
