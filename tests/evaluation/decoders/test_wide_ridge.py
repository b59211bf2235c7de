"""The wide ridge: what lies within its window is found, what lies beyond or in another segment is not."""

import numpy as np
import pytest

from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.decoders.context import EDGES_S, Context, leading_components
from raydistill.evaluation.decoders.signals import lfp_of
from raydistill.evaluation.decoders.wide_ridge import PENALTIES, WideRidge
from raydistill.store.session import Segment

WIDTH_MS = 20.0
WIDE, PAST = (BASELINES[f"{name}_ridge_on_lfp"].score for name in ("wide", "past"))


def smooth_noise(chance, bins, channels):
    """White noise, averaged over 10 bins, of unit variance."""
    white = chance.normal(size=(bins + 9, channels))
    return (sum(white[i : i + bins] for i in range(10)) / np.sqrt(10)).astype(np.float32)


def folds_of(behavior_of_lfp, bins=200, channels=4):
    """Folds of segments whose behavior (T, 1) follows from 2 s of LFP around them, which is only in part theirs."""
    chance, made = np.random.default_rng(0), []
    for split, n in (("train", 30), ("valid", 6), ("test", 6)):
        segments = []
        for number in range(n):
            lfp = smooth_noise(chance, bins + 200, channels)
            behavior = (behavior_of_lfp(lfp) + chance.normal(0, 0.1, (len(lfp), 1))).astype(np.float32)
            segments.append(Segment("s", number, split, 0.0, None, lfp[100:-100], behavior[100:-100]))
        made.append(segments)
    return made


def shifted(bins):
    return lambda lfp: np.roll(lfp[:, :1], bins, axis=0)


def test_behavior_that_follows_the_lfp_by_0_3_s_is_found_by_the_wide_window_alone():
    folds = folds_of(shifted(15))
    wide = WIDE(*folds, WIDTH_MS, ("x",))
    assert wide.settings["window_s"] >= 0.5 and wide.r2 > 0.7
    assert PAST(*folds, WIDTH_MS, ("x",)).r2 > 0.7
    narrow = BASELINES["ridge_on_lfp"].score(*folds_of(shifted(30)), WIDTH_MS, ("x",))
    assert narrow.r2 < 0.05 < 0.6 < WIDE(*folds_of(shifted(30)), WIDTH_MS, ("x",)).r2


def test_behavior_that_leads_the_lfp_by_0_3_s_is_found_only_with_the_future():
    folds = folds_of(shifted(-15))
    assert WIDE(*folds, WIDTH_MS, ("x",)).r2 > 0.7
    assert PAST(*folds, WIDTH_MS, ("x",)).r2 < 0.05
    assert BASELINES["ridge_on_lfp"].score(*folds, WIDTH_MS, ("x",)).r2 < 0.05


def test_behavior_that_follows_the_lfp_by_more_than_a_second_is_not_found():
    assert WIDE(*folds_of(shifted(75)), WIDTH_MS, ("x",)).r2 < 0.05


@pytest.mark.parametrize(
    ("bin_width_ms", "future", "groups"), [(10.0, True, 19), (20.0, True, 19), (30.0, False, 10), (100.0, True, 15)]
)
def test_groups_cover_every_bin_of_the_window_once(bin_width_ms, future, groups):
    context = Context.of(bin_width_ms, 1000, future=future)
    covered = [bin_ for first, last in context.offsets for bin_ in range(first, last + 1)]
    reach = round(EDGES_S[-1] * 1000 / bin_width_ms)
    assert sorted(covered) == list(range(-reach, reach * future + 1)) and len(context.offsets) == groups
    assert context.windows[1.0] == groups and list(context.windows.values()) == sorted(set(context.windows.values()))


def test_groups_of_a_short_segment_end_with_it():
    assert Context.of(100.0, 3, future=True).offsets == ((0, 0), (-1, -1), (1, 1), (-2, -2), (2, 2))
    assert Context.of(1000.0, 1, future=True) == Context(((0, 0),), {0.1: 1})


def test_features_are_sums_over_groups_and_never_reach_out_of_the_segment():
    x = np.random.default_rng(0).normal(size=(70, 3))
    context = Context.of(20.0, 1000, future=True)
    found = context.features(x).reshape(70, -1, 3)
    padded = np.concatenate([np.zeros((60, 3)), x, np.zeros((60, 3))])
    for group, (first, last) in enumerate(context.offsets):
        for t in (0, 1, 30, 69):
            expected = padded[60 + t + first : 60 + t + last + 1].sum(axis=0) / np.sqrt(last - first + 1)
            np.testing.assert_allclose(found[t, group], expected, atol=1e-5)


def test_score_of_a_segment_is_the_same_with_any_other_segments():
    train, valid, test = folds_of(shifted(15))
    one, two = (WIDE(train, valid, fold, WIDTH_MS, ("x",)).decoded[0] for fold in (test, test[:1]))
    np.testing.assert_array_equal(one, two)


def test_settings_are_selected_without_the_test_fold():
    train, valid, test = folds_of(shifted(15))
    a, b = (WIDE(train, valid, fold, WIDTH_MS, ("x",)) for fold in (test, train[:5]))
    assert a.settings == b.settings and a.valid_r2 == b.valid_r2 and a.r2 != b.r2


def test_wide_ridge_of_one_group_equals_scikit_learn():
    from sklearn.linear_model import Ridge
    from sklearn.metrics import r2_score

    train, valid, test = folds_of(shifted(0))
    found = WideRidge(lfp_of)(train, valid, test, 1000 * 2.5, ("x",))  # bins too wide for neighbours
    lfp, behavior = (np.concatenate([getattr(s, name) for s in train]) for name in ("lfp", "behavior"))
    mean, std = lfp.mean(axis=0), lfp.std(axis=0)

    def score(penalty, fold):
        model = Ridge(alpha=penalty).fit((lfp - mean) / std, behavior)
        predicted = [model.predict((s.lfp - mean) / std).reshape(-1, 1) for s in fold]
        return r2_score(np.concatenate([s.behavior for s in fold]), np.concatenate(predicted))

    best = max(PENALTIES, key=lambda penalty: score(penalty, valid))
    assert found.settings["penalty"] == best and found.r2 == pytest.approx(score(best, test), abs=1e-6)


def test_many_channels_are_reduced_to_the_directions_of_most_variance(monkeypatch):
    monkeypatch.setattr("raydistill.evaluation.decoders.wide_ridge.MAX_FEATURES", 40)  # 2 of 4 channels
    folds = folds_of(lambda lfp: lfp[:, :1] + lfp[:, 1:2])
    for fold in folds:
        for s in fold:
            s.lfp[:, 1] = s.lfp[:, 0]  # twice the variance of any other direction
    found = WIDE(*folds, WIDTH_MS, ("x",))
    assert found.decoder.weights.shape == (2 * 19, 1)
    assert leading_components(np.diag([1.0, 5.0, 3.0]), 3) is None
    np.testing.assert_allclose(abs(leading_components(np.diag([1.0, 5.0, 3.0]), 1)), [[0], [1], [0]], atol=1e-12)


def test_wide_ridge_with_a_silent_channel_still_scores():
    train, valid, test = folds_of(shifted(0))
    for s in train:
        s.lfp[:, 3] = 0
    assert WIDE(train, valid, test, WIDTH_MS, ("x",)).r2 > 0.9
