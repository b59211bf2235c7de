"""Ridge from past latents: scikit-learn's, with the penalty of the validation fold, and a test fold read once."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from raydistill.evaluation.decoders.past_latents import PENALTIES, decode_from_past, with_past

COLUMNS = ("vx", "vy")


def folds(seed=0, widths=(12, 5, 4), bins=25, features=30):
    """Segments (features, behavior) of each fold; behavior depends on few of the features, so that a penalty helps."""
    random = np.random.default_rng(seed)
    weights = random.normal(size=(features, 2)) * (np.arange(features) < 4)[:, None]

    def segment():
        x = random.normal(size=(bins, features))
        return x, x @ weights + 3 * random.normal(size=(bins, 2))

    return [[segment() for _ in range(n)] for n in widths]


def stacked(*segments):
    return (np.concatenate(parts) for parts in zip(*(pair for fold in segments for pair in fold), strict=True))


def test_bins_before_the_segment_repeat_its_first():
    latents = np.arange(8.0).reshape(4, 2)
    expected = [[0, 1, 0, 1, 0, 1], [2, 3, 0, 1, 0, 1], [4, 5, 2, 3, 0, 1], [6, 7, 4, 5, 2, 3]]
    assert with_past(latents, 2).tolist() == expected
    assert np.array_equal(with_past(latents, 0), latents)
    assert with_past(latents[:1], 10).tolist() == [[0, 1] * 11]


@pytest.mark.parametrize("refit", [True, False])
def test_ridge_is_that_of_scikit_learn_with_the_best_penalty_on_the_validation_fold(refit):
    train, valid, test = folds()
    decoding = decode_from_past(lambda: iter(train), lambda: iter(valid), iter(test), COLUMNS, refit=refit)
    (x, y), (x_valid, y_valid), (x_test, y_test) = stacked(train), stacked(valid), stacked(test)
    scores = [r2_score(y_valid, Ridge(alpha).fit(x, y).predict(x_valid)) for alpha in PENALTIES]
    best = int(np.argmax(scores))
    assert 0 < best < len(PENALTIES) - 1, "a penalty in between is the best"
    assert decoding.settings == {"penalty": PENALTIES[best]} and decoding.valid_r2 == pytest.approx(scores[best])
    fitted = stacked(train, valid) if refit else (x, y)
    assert decoding.r2 == pytest.approx(r2_score(y_test, Ridge(PENALTIES[best]).fit(*fitted).predict(x_test)))
    assert decoding.n_train == 12 * 25 + (5 * 25 if refit else 0)


def test_test_fold_is_read_once_and_chooses_nothing():
    train, valid, test = folds()
    other = [(x, -y) for x, y in test]
    first, second = (
        decode_from_past(lambda: iter(train), lambda: iter(valid), iter(fold), COLUMNS, refit=True)
        for fold in (test, other)
    )
    assert first.settings == second.settings and np.array_equal(first.decoder.weights, second.decoder.weights)
