"""Skill over the clock, where the truth is known: behavior of time alone, of the signal alone, and of both."""

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.decoders.clock import MAX_COLUMNS, ClockCode, clock, fit_clock
from raydistill.evaluation.decoders.clock_skill import (
    ClockSkill,
    clock_skill,
    decode_with_and_without_clock,
    r2_other_trials,
)
from raydistill.evaluation.decoders.scoring import decode
from raydistill.store.session import Segment

BINS = 40
COURSE = np.sin(np.arange(BINS) / 6)[:, None].astype(np.float32)  # what every trial repeats


def folds_of(of_time, of_lfp, noise=0.05):
    """Folds of aligned trials of uneven length; behavior = of_time * course + of_lfp * first channel + noise."""
    chance, made = np.random.default_rng(0), []
    for split, n in (("train", 60), ("valid", 20), ("test", 20)):
        trials = []
        for number in range(n):
            bins = int(chance.integers(30, BINS + 1))
            lfp = chance.normal(size=(bins, 3)).astype(np.float32)
            behavior = of_time * COURSE[:bins] + of_lfp * lfp[:, :1] + chance.normal(0, noise, (bins, 1))
            trials.append(Segment("s", number, split, 0.0, None, lfp, behavior.astype(np.float32), number))
        made.append(trials)
    return made


def skill_of(baseline, folds):
    decoding = BASELINES[baseline].score(*folds, 100.0, ("x",))
    return decoding, clock_skill(*[[s.behavior for s in fold] for fold in folds], ("x",), decoding)


def test_behavior_of_time_alone_gives_the_clock_all_and_the_ridge_no_skill():
    folds = folds_of(of_time=1, of_lfp=0)
    _, of_clock = skill_of("clock", folds)
    assert of_clock.clock_r2 > 0.98 and of_clock.skill_over_clock == pytest.approx(0, abs=1e-9)
    assert of_clock.r2_other_trials == pytest.approx(of_clock.clock_r2, abs=1e-3)
    ridge, of_ridge = skill_of("ridge_on_lfp", folds)
    assert ridge.r2 < 0.01 and of_ridge.skill_over_clock < -10  # its error is many times that of the clock
    both, of_both = skill_of("wide_ridge_and_clock_on_lfp", folds)
    assert both.r2 > 0.98 and of_both.skill_over_clock == pytest.approx(0, abs=0.05)


def test_behavior_of_the_signal_alone_leaves_nothing_to_other_trials():
    ridge, skill = skill_of("ridge_on_lfp", folds_of(of_time=0, of_lfp=1))
    assert ridge.r2 > 0.98 and abs(skill.clock_r2) < 0.05
    assert skill.skill_over_clock == pytest.approx(ridge.r2, abs=0.01)
    assert skill.r2_other_trials == pytest.approx(-1 / 19, abs=0.06)  # the variance of a mean over 19 other trials


def test_behavior_of_both_is_decoded_by_the_ridge_with_the_clock_alone():
    folds = folds_of(of_time=1, of_lfp=1)
    (both, skill), (alone, _), (timing, _) = (
        skill_of(name, folds) for name in ("wide_ridge_and_clock_on_lfp", "wide_ridge_on_lfp", "clock")
    )
    assert both.r2 > 0.95 > 0.8 > max(alone.r2, timing.r2)
    assert skill.skill_over_clock > 0.95
    # Half a sine's variance: other trials keep what time tells, and lose what the signal tells.
    assert skill.r2_other_trials == pytest.approx(timing.r2, abs=0.05)


def test_latents_with_the_clock_gain_what_they_lack_and_lose_nothing_of_their_own():
    train, valid, test = folds_of(of_time=1, of_lfp=1)
    pairs = lambda fold: [(s.lfp, s.behavior) for s in fold]  # noqa: E731
    found, together = decode_with_and_without_clock(pairs(train), pairs(valid), pairs(test), ("x",), ClockCode(BINS))
    alone = decode(pairs(train), pairs(valid), pairs(test), ("x",))
    assert found.r2 == pytest.approx(alone.r2, abs=1e-9) and found.n_test == alone.n_test
    np.testing.assert_allclose(found.decoder.weights, alone.decoder.weights, atol=1e-9)
    assert found.r2 < 0.8 < 0.98 < together


def test_latents_that_need_no_clock_gain_nothing_from_it_even_if_some_are_constant_or_equal():
    train, valid, test = folds_of(of_time=0, of_lfp=1)
    doubled = lambda fold: [  # noqa: E731
        (np.concatenate([s.lfp, s.lfp, np.zeros_like(s.lfp)], axis=1), s.behavior) for s in fold
    ]
    found, together = decode_with_and_without_clock(
        doubled(train), doubled(valid), doubled(test), ("x",), ClockCode(BINS)
    )
    assert found.r2 > 0.98 and together == pytest.approx(found.r2, abs=2e-3)


def test_other_trials_of_hand_made_numbers():
    behavior = [np.array([[1.0], [2.0], [9.0]]), np.array([[3.0], [np.nan]]), np.array([[5.0]])]
    decoded = [np.array([[1.0], [4.0], [7.0]]), np.array([[2.0], [6.0]]), np.array([[6.0]])]
    # bin 0: (2 + 6) / 2, (1 + 6) / 2, (1 + 2) / 2 for 1, 3, 5; bin 1: 6 for 2 (the other is lost); bin 2: nobody else
    errors = (1 - 4) ** 2 + (3 - 3.5) ** 2 + (5 - 1.5) ** 2 + (2 - 6) ** 2
    total = np.sum((np.array([1, 3, 5, 2]) - 2.75) ** 2)
    assert r2_other_trials(behavior, decoded) == pytest.approx(1 - errors / total)
    assert r2_other_trials(behavior[:1], decoded[:1]) is None


def test_skill_is_stored_without_what_is_not_defined_and_read_back():
    skill = ClockSkill(clock_r2=0.25, skill_over_clock=0.5)
    assert skill.metrics() == {"clock_r2": 0.25, "skill_over_clock": 0.5}
    assert ClockSkill.from_metrics(skill.metrics() | {"r2": 0.1}) == skill
    assert ClockSkill.from_metrics({"r2": 0.1}) is None


def test_clock_of_long_trials_shares_columns_and_still_follows_the_course():
    longest = 3 * MAX_COLUMNS
    assert (ClockCode(longest).width, ClockCode(longest).bins_per_column) == (MAX_COLUMNS, 3)
    assert ClockCode(0).columns(5).shape == (5, 0)
    chance, course = np.random.default_rng(0), np.sin(np.arange(longest) / 90)[:, None]
    trials = [course + chance.normal(0, 0.1, course.shape) for _ in range(12)]
    fitted = fit_clock(trials[:8], trials[8:], longest, ("x",))
    np.testing.assert_allclose(fitted.predict(longest), course, atol=0.2)


def test_clock_without_behavior_raises_an_error():
    folds = folds_of(of_time=1, of_lfp=0)
    lost = [Segment("s", 0, "valid", 0.0, None, s.lfp, np.full_like(s.behavior, np.nan), 0) for s in folds[1]]
    with pytest.raises(DataError, match="valid fold has no bin with behavior"):
        clock(folds[0], lost, folds[2], 100.0, ("x",))
