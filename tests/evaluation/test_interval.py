"""The interval of one R² or AUC: of the pooled score, from whole trials, and absent where data are few."""

import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from raydistill.evaluation.decoders.classify import ScoredExamples
from raydistill.evaluation.interval import DRAWS, FEWEST_UNITS, ScoreInterval, auc_interval, r2_interval
from raydistill.evaluation.units import scored_units


def segments(n, noise=0.5, bins=50, seed=0):
    """Recorded behavior (bins, 2) of n segments, with lost bins, and what was decoded of it."""
    chance = np.random.default_rng(seed)
    recorded = [chance.normal((3.0, 1e4), (1.0, 5.0), (bins, 2)) for _ in range(n)]
    decoded = [x + chance.normal(0, noise, x.shape) * (1.0, 5.0) for x in recorded]
    for x in recorded:
        x[:3, 1] = np.nan
    return recorded, decoded


def interval_of(recorded, decoded, trials):
    return r2_interval(scored_units(recorded, decoded, range(len(recorded)), trials))


def test_interval_is_that_of_resampled_and_pooled_segments():
    recorded, decoded = segments(20)
    interval = interval_of(recorded, decoded, [None] * 20)
    chance, values = np.random.default_rng(1), []
    for _ in range(DRAWS):
        drawn = chance.integers(20, size=20)
        true, found = (np.concatenate([x[i] for i in drawn]) for x in (recorded, decoded))
        has_behavior = np.isfinite(true).all(axis=1)
        values.append(r2_score(true[has_behavior], found[has_behavior]))
    low, high = np.quantile(values, [0.025, 0.975])
    assert (interval.n, interval.unit) == (20, "segments")
    assert interval.low == pytest.approx(low, abs=0.003) and interval.high == pytest.approx(high, abs=0.003)
    assert interval == interval_of(recorded, decoded, [None] * 20)  # the resampling has a seed


def test_segments_of_one_trial_are_drawn_together():
    recorded, decoded = segments(40)
    # Ten trials of four segments; a whole trial is decoded well or badly.
    decoded = [x + 1.5 * (i // 4 % 2) for i, x in enumerate(decoded)]
    of_trials = interval_of(recorded, decoded, [i // 4 for i in range(40)])
    of_segments = interval_of(recorded, decoded, [None] * 40)
    assert (of_trials.n, of_trials.unit) == (10, "trials")
    assert of_trials.high - of_trials.low > 1.3 * (of_segments.high - of_segments.low)


def test_few_segments_give_no_interval_and_say_so():
    recorded, decoded = segments(FEWEST_UNITS)
    recorded[0][:] = np.nan  # without a scored bin
    interval = interval_of(recorded, decoded, [None] * FEWEST_UNITS)
    assert interval.low is None and interval.metrics("r2")["r2_interval"] is None
    assert interval.in_words() == "none: 9 scored segments are too few to resample (at least 10)"
    assert ScoreInterval.from_metrics(interval.metrics("r2"), "r2") == interval
    assert ScoreInterval.from_metrics({"r2": 0.5}, "r2") is None


def classified(n, bins=8, seed=0):
    """Examples of n segments of three classes: (n * bins,) codes, and probabilities, many of them equal."""
    chance = np.random.default_rng(seed)
    codes = chance.integers(3, size=n * bins)
    p = chance.dirichlet(np.ones(3), size=n * bins) + 0.4 * np.eye(3)[codes]
    p = (p / p.sum(axis=1, keepdims=True)).round(1)
    return ScoredExamples(probabilities=p, codes=codes, segment=np.repeat(np.arange(n), bins), classes=(0, 1, 2))


def test_interval_of_an_auc_is_that_of_scikit_learn_with_the_segments_weighted_as_they_were_drawn(monkeypatch):
    monkeypatch.setattr("raydistill.evaluation.interval.DRAWS", 100)
    monkeypatch.setattr("raydistill.evaluation.interval._AT_ONCE", 5000)  # a part of the draws at once
    examples = classified(25)
    interval = auc_interval(examples, range(25), [None] * 25)
    values = []
    for times in np.random.default_rng(0).multinomial(25, np.full(25, 1 / 25), size=100):
        weights, p, codes = times[examples.segment], examples.probabilities, examples.codes
        values.append(np.mean([roc_auc_score(codes == k, p[:, k], sample_weight=weights) for k in range(3)]))
    assert (interval.n, interval.unit) == (25, "segments")
    assert [interval.low, interval.high] == pytest.approx(list(np.quantile(values, [0.025, 0.975])), abs=1e-12)
    assert ScoreInterval.from_metrics(interval.metrics("auc"), "auc") == interval


def test_interval_of_an_auc_draws_the_segments_of_a_trial_together_and_none_of_few():
    examples = classified(40)
    worse = examples.segment // 4 % 2 == 0  # ten trials of four segments; every other one is decoded at chance
    examples.probabilities[worse] = examples.probabilities[worse][:, [1, 2, 0]]
    of_trials = auc_interval(examples, range(40), [i // 4 for i in range(40)])
    of_segments = auc_interval(examples, range(40), [None] * 40)
    assert (of_trials.n, of_trials.unit) == (10, "trials")
    assert of_trials.high - of_trials.low > 1.3 * (of_segments.high - of_segments.low)
    few = auc_interval(classified(9), range(9), [None] * 9)
    assert few.low is None and few.in_words() == "none: 9 scored segments are too few to resample (at least 10)"


def test_interval_of_an_auc_leaves_out_a_class_that_a_resample_lacks():
    examples = classified(12, bins=1)
    examples.codes[:] = [0, 1] * 5 + [2, 0]  # one example of the last class, which a third of the draws lack
    interval = auc_interval(examples, range(12), [None] * 12)
    assert 0 <= interval.low < interval.high <= 1
