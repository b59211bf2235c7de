"""The interval of one R²: of the pooled R², from whole trials, and absent where data are few."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from raydistill.evaluation.interval import DRAWS, FEWEST_UNITS, R2Interval, r2_interval
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
    assert interval.low is None and interval.metrics()["r2_interval"] is None
    assert interval.in_words() == "none: 9 scored segments are too few to resample (at least 10)"
    assert R2Interval.from_metrics(interval.metrics()) == interval and R2Interval.from_metrics({"r2": 0.5}) is None
