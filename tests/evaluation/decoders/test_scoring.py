import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from raydistill.errors import DataError
from raydistill.evaluation.decoders.scoring import PooledR2, decode, evaluate

COLUMNS = ("vx", "vy")


def _segments(seed, n, bins=50, features=8, noise=0.5):
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(99).normal(size=(features, 2))
    for _ in range(n):
        x = rng.normal(size=(bins, features)).astype(np.float32)
        yield x, (x @ weights + noise * rng.normal(size=(bins, 2))).astype(np.float32)


def _stacked(pairs):
    return [np.concatenate(arrays).astype(np.float64) for arrays in zip(*pairs, strict=True)]


def test_decode_on_generators_equals_scikit_learn():
    found = decode(_segments(0, 20), _segments(1, 4), _segments(2, 5), COLUMNS)
    theirs = LinearRegression().fit(*_stacked(_segments(0, 20)))
    assert found.r2 == pytest.approx(theirs.score(*_stacked(_segments(2, 5))), abs=1e-9)
    assert found.valid_r2 == pytest.approx(theirs.score(*_stacked(_segments(1, 4))), abs=1e-9)
    assert found.r2 == pytest.approx(np.mean(list(found.r2_per_axis.values())))
    assert (found.n_train, found.n_test) == (1000, 250)
    assert tuple(found.r2_per_axis) == COLUMNS


def test_decode_where_behavior_is_lost_fits_and_scores_the_other_bins():
    def with_gaps(pairs):
        for x, y in pairs:
            y = y.copy()
            y[:10, 0] = np.nan
            yield x, y

    def without(pairs):
        return ((x[10:], y[10:]) for x, y in pairs)

    found = decode(with_gaps(_segments(0, 9)), with_gaps(_segments(1, 3)), with_gaps(_segments(2, 3)), COLUMNS)
    cut = decode(without(_segments(0, 9)), without(_segments(1, 3)), without(_segments(2, 3)), COLUMNS)
    assert (found.n_train, found.n_test) == (9 * 40, 3 * 40)
    assert found.r2 == cut.r2


def test_decode_without_a_validation_fold_has_the_other_scores():
    found = decode(_segments(0, 20), iter(()), _segments(2, 5), COLUMNS)
    whole = decode(_segments(0, 20), _segments(1, 4), _segments(2, 5), COLUMNS)
    assert found.valid_r2 is None and found.r2 == whole.r2


def test_evaluate_of_a_behavior_head_scores_its_outputs():
    pairs = [(y + 0.1, y) for _, y in _segments(3, 4)]
    found = evaluate(lambda y: y, pairs, pairs, COLUMNS, n_train=7)
    y = np.concatenate([y for _, y in pairs])
    assert found.r2 == pytest.approx(r2_score(y, y + 0.1), abs=1e-6)
    assert found.decoder is None and found.n_train == 7


@pytest.mark.parametrize("fold", ["train", "valid", "test"])
def test_decode_of_a_fold_without_behavior_names_the_fold(fold):
    folds = {name: list(_segments(i, 3)) for i, name in enumerate(("train", "valid", "test"))}
    folds[fold] = [(x, np.full_like(y, np.nan)) for x, y in folds[fold]]
    with pytest.raises(DataError, match=f"the {fold} fold has no bin with behavior in its 3 segments"):
        decode(*folds.values(), COLUMNS)
    folds[fold] = []
    if fold != "valid":  # which a short session lacks under the protocol `released`
        with pytest.raises(DataError, match=rf"the {fold} fold .* 0 segments"):
            decode(*folds.values(), COLUMNS)


def test_decode_of_a_constant_column_raises_an_error():
    still = [(x, np.stack([y[:, 0], np.full(len(y), 0.1, np.float32)], axis=1)) for x, y in _segments(2, 3)]
    with pytest.raises(DataError, match=r"test fold .*vx, vy.*column 1 of the target is constant"):
        decode(_segments(0, 3), _segments(1, 3), still, COLUMNS)


def test_decode_of_features_that_are_not_finite_names_the_segment():
    broken = list(_segments(0, 3))
    broken[1][0][4, 2] = np.inf
    with pytest.raises(DataError, match="segment 1 of the train fold: 1 features are not finite"):
        decode(broken, _segments(1, 3), _segments(2, 3), COLUMNS)


@given(seed=st.integers(0, 500), cuts=st.lists(st.integers(0, 60), max_size=5), offset=st.floats(-1e3, 1e3))
@settings(max_examples=40)
def test_pooled_r2_in_any_pieces_equals_scikit_learn(seed, cuts, offset):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(60, 3)) + offset
    prediction = target + rng.normal(size=(60, 3))
    score = PooledR2()
    for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), 60], strict=True):
        score.add(target[a:b], prediction[a:b])
    np.testing.assert_allclose(score.per_axis(), r2_score(target, prediction, multioutput="raw_values"), atol=1e-9)
