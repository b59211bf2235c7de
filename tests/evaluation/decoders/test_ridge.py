import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from raydistill.errors import DataError
from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.decoders.clock import clock
from raydistill.evaluation.decoders.linear import lagged
from raydistill.evaluation.decoders.ridge import PENALTIES, ridge_on_lfp, ridge_on_spikes
from raydistill.store.session import Segment


def _segments(seed, n, split, bins=40, delay=2):
    """Behavior that follows the LFP with a delay of `delay` bins, and the spikes without delay."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(n):
        lfp = rng.normal(size=(bins, 6)).astype(np.float32)
        spikes = rng.poisson(2.0, (bins, 5)).astype(np.uint8)
        behavior = np.stack([np.roll(lfp[:, 0], delay), np.sqrt(spikes[:, 1])], axis=1) + rng.normal(0, 0.2, (bins, 2))
        made.append(Segment("s", number, split, 0.0, spikes, lfp, behavior.astype(np.float32)))
    return made


def _folds(**other):
    return [_segments(i, n, split, **other) for i, (split, n) in enumerate((("train", 20), ("valid", 5), ("test", 5)))]


def test_ridge_on_lfp_at_wide_bins_equals_scikit_learn():
    train, valid, test = _folds()
    found = ridge_on_lfp(train, valid, test, 100.0, ("a", "b"))
    mean, std = (f(np.concatenate([s.lfp for s in train]), axis=0) for f in (np.mean, np.std))

    def stacked(segments, taps):
        x = np.concatenate([lagged((s.lfp - mean) / std, taps) for s in segments])
        return x, np.concatenate([s.behavior for s in segments])

    def score(taps, penalty, segments):
        x, y = stacked(segments, taps)
        return r2_score(y, Ridge(alpha=penalty).fit(*stacked(train, taps)).predict(x))

    best = max(((t, p) for t in (1, 3, 5) for p in PENALTIES), key=lambda c: score(*c, valid))
    assert (found.settings["taps"], found.settings["penalty"]) == best
    assert found.valid_r2 == pytest.approx(score(*best, valid), abs=1e-5)
    assert found.r2 == pytest.approx(score(*best, test), abs=1e-5)
    assert found.n_test == sum(s.n_bins for s in test)


def test_ridge_reads_the_past_from_lfp_and_the_present_from_spikes():
    folds = _folds()
    lfp, spikes = (f(*folds, 100.0, ("late", "now")) for f in (ridge_on_lfp, ridge_on_spikes))
    assert lfp.r2_per_axis["late"] > 0.8 > 0.1 > lfp.r2_per_axis["now"]
    assert spikes.r2_per_axis["now"] > 0.7 > 0.1 > spikes.r2_per_axis["late"]
    assert lfp.settings["taps"] >= 3 and lfp.settings["tap_bins"] == 1


def test_ridge_at_narrow_bins_averages_over_about_sixty_ms():
    found = ridge_on_lfp(*_folds(delay=8), 10.0, ("a", "b"))
    assert found.settings["tap_bins"] == 6
    assert found.decoder.weights.shape == (5 * 6, 2)


def test_ridge_settings_are_selected_without_the_test_fold():
    train, valid, test = _folds()
    rng = np.random.default_rng(0)
    shuffled = [
        Segment("s", s.number, "test", 0.0, s.spikes, rng.permutation(s.lfp), rng.permutation(s.behavior)) for s in test
    ]
    a, b = (ridge_on_lfp(train, valid, t, 100.0, ("a", "b")) for t in (test, shuffled))
    assert a.settings == b.settings and a.valid_r2 == b.valid_r2
    np.testing.assert_array_equal(a.decoder.weights, b.decoder.weights)
    assert b.r2 < 0.1


def test_ridge_with_a_unit_silent_in_train_still_scores():
    train, valid, test = _folds()
    for s in train:
        s.spikes[:, 3] = 0
    assert np.isfinite(ridge_on_spikes(train, valid, test, 100.0, ("a", "b")).r2)


def test_clock_reads_what_repeats_in_every_trial_and_nothing_else():
    rng = np.random.default_rng(0)

    def trials(n):
        for i in range(n):
            bins = int(rng.integers(20, 31))
            behavior = np.stack([np.arange(bins) + rng.normal(0, 1, bins), rng.normal(size=bins)], axis=1)
            yield Segment("s", i, "", 0.0, np.ones((bins, 2), np.uint8), None, behavior.astype(np.float32), i)

    found = clock(list(trials(40)), list(trials(10)), list(trials(10)), 100.0, ("position", "noise"))
    assert found.r2_per_axis["position"] > 0.95
    assert found.r2_per_axis["noise"] < 0.05


def test_ridge_without_a_train_segment_raises_an_error():
    with pytest.raises(DataError, match="the train fold has no segment"):
        ridge_on_lfp([], *_folds()[1:], 100.0, ("a", "b"))


def _trials(path):
    """Every trial of a recording as a segment, and the behavior names.

    The published baselines leave out the first two bins of a trial, so their behavior counts as lost.
    """
    import h5py

    with h5py.File(path) as file:
        trial = file["trial"][:]
        spikes, lfp, behavior = file["spikes"][:], file["lfp_theta"][:], file["behavior"][:]
        behavior[file["bin_in_trial"][:] < 2] = np.nan
        columns = [str(n) for n in file["behavior"].attrs["names"]]
    return columns, [
        Segment(path.stem, i, "", 0.0, spikes[at], lfp[at], behavior[at], i)
        for i, number in enumerate(np.unique(trial))
        for at in [trial == number]
    ]


def _split(segments, seed):
    """80% of the trials train, of which one in five validates; 20% test."""
    order = [segments[i] for i in np.random.default_rng(seed).permutation(len(segments))]
    n_test = round(0.2 * len(order))
    n_valid = round(0.2 * (len(order) - n_test))
    return order[n_test + n_valid :], order[n_test : n_test + n_valid], order[:n_test]


@pytest.mark.parametrize(
    ("baseline", "seeds", "published"),
    [
        ("ridge_on_spikes", 5, (0.554, 0.526, 0.381, 0.265)),
        ("ridge_on_lfp", 1, (0.157, 0.300, 0.092, 0.348)),
        ("clock", 5, (0.148, 0.083, 0.095, 0.200)),
    ],
)
def test_baselines_on_mouse_velocity_come_near_the_published_means(baseline, seeds, published, recordings):
    means = []
    for recording in ("mouse1_session1", "mouse2_session1", "mouse2_session2", "mouse2_session3"):
        columns, segments = _trials(recordings / f"cao2021/{recording}.h5")
        found = [BASELINES[baseline].score(*_split(segments, seed), 100.0, columns) for seed in range(seeds)]
        means.append(np.mean([f.r2_per_axis["velocity"] for f in found]))
    np.testing.assert_allclose(means, published, atol=0.12)  # other splits, and a history chosen rather than given
    assert np.mean(means) == pytest.approx(np.mean(published), abs=0.05)
