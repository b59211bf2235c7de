"""Scores of one stored session: compared with the clock where trials are aligned, and the same where they are not."""

import dataclasses

import numpy as np
import pytest
import torch

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.decoders.past_latents import decode_from_past, with_past
from raydistill.evaluation.decoders.scoring import decode
from raydistill.evaluation.report import PROTOCOLS
from raydistill.evaluation.session_scores import score_baseline, score_model, scored_folds
from raydistill.models.crossmodal.config import PRESETS, configure
from raydistill.models.families import build_model
from raydistill.models.inputs import inputs_of
from raydistill.models.latents import encode
from raydistill.models.spec import ModelSpec
from raydistill.store.session import Session
from raydistill.store.store import Store

BINS, TRIALS = 20, 60
CLOCK = {"clock_r2", "skill_over_clock", "r2_other_trials"}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """(store, entry) of a session of aligned trials, whose behavior x is half of time and half of the LFP."""
    return store_trials(tmp_path_factory.mktemp("store"))


def store_trials(folder, test=0.1):
    """(store, entry) of the session, of whose trials this share is in the test fold."""
    chance, store = np.random.default_rng(0), Store(str(folder))
    lfp = chance.normal(size=(BINS * TRIALS, 6))
    course = np.tile(np.sin(np.arange(BINS)), TRIALS)
    behavior = np.stack([course + lfp[:, 0] * 0.7, chance.normal(size=BINS * TRIALS)], axis=1)
    session = Session.from_arrays(
        "a_1", subject="a", bin_width_ms=50.0, lfp=lfp, behavior=behavior, behavior_names=("x", "y"),
        behavior_units=("", ""), trial=np.repeat(np.arange(TRIALS), BINS).astype(np.int32),
    )  # fmt: skip
    return store, store.write(session, IngestConfig(splits=Splits(by="trials", segment_s=1, test=test)), "f" * 64)


def model_of(behavior=()):
    torch.manual_seed(0)
    config = configure(dataclasses.replace(PRESETS["tiny"], width=16, heads=2), "lfp", "linear")
    return build_model(
        ModelSpec(family="crossmodal", config=config, sessions={"a_1": 1}, bands=1, behavior=behavior, provenance={})
    )


def test_latents_on_aligned_trials_are_scored_with_and_without_the_clock(stored):
    store, entry = stored
    assert entry.aligned
    score = score_model(model_of(), store, entry, ("x",))
    metrics = score.metrics()
    assert set(metrics) >= CLOCK | {"r2_with_clock", "n_test_segments", "test_s"}
    assert (metrics["n_test_segments"], metrics["test_s"]) == (6, 6 * BINS * 0.05)
    assert metrics["clock_r2"] == pytest.approx(score_baseline(BASELINES["clock"], store, entry, ("x",))[0]["r2"])
    assert metrics["skill_over_clock"] == pytest.approx(1 - (1 - metrics["r2"]) / (1 - metrics["clock_r2"]))
    assert metrics["r2_with_clock"] > max(metrics["clock_r2"], metrics["r2"]) - 0.05


def test_score_of_latents_is_that_of_trials_that_are_not_aligned(stored):
    store, entry = stored
    aligned, alone = (
        score_model(model_of(), store, e, ("x",)) for e in (entry, dataclasses.replace(entry, aligned=False))
    )
    assert aligned.decoding.r2 == pytest.approx(alone.decoding.r2, abs=1e-9)
    assert aligned.decoding.valid_r2 == pytest.approx(alone.decoding.valid_r2, abs=1e-9)
    np.testing.assert_allclose(aligned.segments.decoded, alone.segments.decoded, atol=1e-5)
    assert alone.clock is None and not CLOCK & set(alone.metrics())


def test_own_head_is_scored_with_and_without_the_clock_and_its_latents_with_it(stored):
    store, entry = stored
    metrics = score_model(model_of(behavior=("x", "y")), store, entry, ("x", "y")).metrics()
    assert set(metrics) >= CLOCK | {"r2_with_clock", "r2_least_squares"} and list(metrics["r2_per_axis"]) == ["x", "y"]


def test_baselines_on_aligned_trials_know_the_clock_and_show_what_they_owe_to_it(stored):
    store, entry = stored
    clock, wide, both = (
        score_baseline(BASELINES[name], store, entry, ("x",))[0]
        for name in ("clock", "wide_ridge_on_lfp", "wide_ridge_and_clock_on_lfp")
    )
    assert clock["skill_over_clock"] == pytest.approx(0, abs=1e-9)
    assert clock["r2_other_trials"] == pytest.approx(clock["r2"], abs=0.02)
    assert both["r2"] > 0.9 > max(clock["r2"], wide["r2"]) and both["skill_over_clock"] > 0.9
    assert abs(wide["r2_other_trials"]) < 0.2 < clock["r2_other_trials"]


def test_decoded_segments_are_those_of_the_scored_fold_in_order():
    chance = np.random.default_rng(0)
    pairs = [(x, x @ np.ones((3, 1))) for x in chance.normal(size=(5, 8, 3))]
    pairs[4][1][:] = np.nan  # behavior of a whole segment was lost
    found = decode(pairs[:3], pairs[:3], pairs[3:], ("x",))
    assert (found.n_test, found.n_test_segments) == (8, 1)
    np.testing.assert_allclose(found.decoded, [x.sum(axis=1, keepdims=True) for x, _ in pairs[3:]], atol=1e-5)


def test_interval_of_a_score_is_from_its_scored_trials(tmp_path, stored):
    store, entry = store_trials(tmp_path, test=0.3)
    for metrics in (
        score_model(model_of(), store, entry, ("x",)).metrics(),
        score_model(model_of(("x",)), store, entry, ("x",)).metrics(),
        score_baseline(BASELINES["ridge_on_lfp"], store, entry, ("x",))[0],
    ):
        low, high = metrics["r2_interval"]
        assert low < metrics["r2"] < high and metrics["r2_interval_of"] == {"n": 18, "unit": "trials"}
    few, _ = score_baseline(BASELINES["ridge_on_lfp"], *stored, ("x",))
    assert few["r2_interval"] is None and few["r2_interval_of"] == {"n": 6, "unit": "trials"}


def test_past_latents_are_decoded_by_ridge_from_each_bin_and_those_before_it(stored):
    store, entry = stored
    entry = dataclasses.replace(entry, aligned=False)
    model = model_of()
    score = score_model(model, store, entry, ("x", "y"), past_bins=3)
    features = {}
    for fold in ("train", "valid", "test"):
        segments = list(store.read(entry, fold))
        latents = encode(model, segments, inputs_of(model.spec, [entry]))
        features[fold] = [(with_past(h.numpy(), 3), s.behavior) for h, s in zip(latents, segments, strict=True)]
    expected = decode_from_past(
        lambda: features["train"], lambda: features["valid"], features["test"], ("x", "y"), refit=True
    )
    assert score.decoding.r2 == pytest.approx(expected.r2, abs=1e-9)
    assert score.metrics()["settings"] == expected.settings and score.metrics()["valid_r2"] == expected.valid_r2
    np.testing.assert_allclose(score.segments.decoded, np.concatenate(expected.decoded)[: len(score.segments.decoded)])


def test_validation_fold_is_scored_under_the_protocols_of_the_cross_modal_paper_alone(stored):
    folds = {name: scored_folds(dataclasses.replace(stored[1], protocol=name)) for name in PROTOCOLS}
    assert folds.pop("paper") == folds.pop("released") == ("valid", "test")
    assert folds == {"corrected": ("test",), "session_zscores": ("test",), "realm": ("test",)}


def test_past_latents_are_not_fitted_on_a_validation_fold_that_is_scored(stored):
    store, entry = stored
    scored = dataclasses.replace(entry, aligned=False, protocol="paper")
    score = score_model(model_of(), store, scored, ("x",), past_bins=2)
    assert score.decoding.n_train == BINS * entry.splits["train"] and score.decoding.n_test_segments == 12
