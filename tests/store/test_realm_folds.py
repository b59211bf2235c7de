"""The folds of REALM's second version, against values that its published code gives."""

import hashlib

import numpy as np
import pytest
import torch

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import ConfigError, DataError
from raydistill.store.realm_folds import fold_sizes, permuted
from raydistill.store.session import Session
from raydistill.store.splits import cut, draw_folds, without_outliers

RNG = np.random.default_rng(0)


def segments(name, config, behavior):
    """Segments of a session in bins of 0.5 s, by fold, as their numbers in time order without outliers."""
    columns = {"behavior": behavior, "behavior_names": ("velocity_x", "velocity_y"), "behavior_units": ("", "")}
    spikes = np.ones((len(behavior), 1))
    made = Session.from_arrays(name, subject="a", bin_width_ms=500.0, spikes=spikes, **columns)
    cuts = cut(without_outliers(draw_folds(made, config), behavior, config), made, config)
    return {fold: [i for i, c in enumerate(cuts) if c.split == fold] for fold in ("train", "valid", "test")}


@pytest.mark.parametrize("name", ["MonkeyI_20160915_01", "indy_20160915_01", "MonkeyI_20160915_01~2"])
def test_permutation_has_the_published_values_under_every_name_of_the_recording(name):
    order = permuted(75, name, 42).tolist()
    assert order[:6] == [61, 15, 54, 29, 4, 8]
    assert order[54:60] == [51, 2, 67, 57, 25, 22]
    assert order[60:65] == [1, 41, 23, 56, 32]


@pytest.mark.parametrize("n", [1, 2, 7, 482])
def test_permutation_is_that_of_torch(n):
    seed = 123 + int(hashlib.md5(b"own").hexdigest(), 16) % 2**31
    assert permuted(n, "own", 123).tolist() == torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()


def test_folds_of_segments_are_the_published_ones():
    config = IngestConfig(protocol="realm", bin_width_ms=500.0, splits=Splits(parent_s=5))
    folds = segments("MonkeyI_20160915_01", config, RNG.normal(size=(757, 2)))
    assert {fold: len(numbers) for fold, numbers in folds.items()} == {"train": 54, "valid": 6, "test": 15}
    assert folds["valid"] == [2, 22, 25, 51, 57, 67] and {61, 15, 54, 29, 4, 8} <= {*folds["train"]}
    assert {1, 41, 23, 56, 32} <= {*folds["test"]}


def test_folds_of_pairs_without_outliers_are_the_published_ones():
    velocity = RNG.normal(size=(59 * 20, 2))
    for restless in (0, 7, 20, 58):
        velocity[20 * restless : 20 * restless + 20] *= 9
    config = IngestConfig(protocol="realm", bin_width_ms=500.0, splits=Splits(outliers="drop"))
    folds = segments("MonkeyC_e4_1", config, velocity)  # 110 segments are left
    assert folds["valid"] == sorted([20, 21, 32, 33, 76, 77, 80, 81, 46, 47])
    assert {24, 25, 44, 45, 4, 5} <= {*folds["train"]} and sum(map(len, folds.values())) == 110


def test_fold_sizes_are_rounded_as_published():
    assert [fold_sizes(n) for n in (75, 55, 482, 103)] == [(6, 15), (5, 11), (38, 97), (8, 21)]


def test_session_without_room_for_three_folds_is_refused():
    config = IngestConfig(protocol="realm", bin_width_ms=500.0, splits=Splits(parent_s=5))
    with pytest.raises(DataError, match="2 5-s parents are too few for train, valid and test"):
        segments("s", config, RNG.normal(size=(25, 2)))


@pytest.mark.parametrize(("key", "value"), [("valid", 0.08), ("test", 0.2), ("order", "chronological")])
def test_values_that_the_published_folds_would_ignore_are_refused(key, value):
    with pytest.raises(ConfigError, match=f"`splits.{key}: {value}`; leave it out"):
        IngestConfig(protocol="realm", splits=Splits(**{key: value}))
