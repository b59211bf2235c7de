"""Decoding a label by logistic regression: its figures against scikit-learn, its choices, and what is refused."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

from raydistill.errors import DataError
from raydistill.evaluation.decoders.classify import LabelTask, decode_label, evaluate_label
from raydistill.store.labels import StoredLabel

CLASSES = ("down", "left", "up")


def task(of="segments", classes=CLASSES):
    return LabelTask(name="direction", label=StoredLabel(column=1, classes=classes, of=of))


def examples(seed, n=60, signal=2.0, codes=None):
    """One example per segment; each class moves one of five features."""
    random = np.random.default_rng(seed)
    codes = random.integers(len(CLASSES), size=n) if codes is None else codes
    features = random.normal(size=(n, 5))
    features[np.arange(n), codes] += signal
    return [(x[None], np.array([code])) for x, code in zip(features, codes, strict=True)]


def test_label_that_features_hold_is_decoded_and_one_that_they_do_not_is_at_chance():
    known = decode_label(examples(0), examples(1, 30), examples(2, 200), task(), 0)
    assert known.auc > 0.9 and known.balanced_accuracy > 0.75 and known.valid_auc > 0.85
    unknown = decode_label(examples(0, signal=0), examples(1, 30, 0), examples(2, 400, 0), task(), 0)
    assert abs(unknown.auc - 0.5) < 0.08 and unknown.accuracy < 0.45


def test_figures_are_those_of_scikit_learn():
    random, codes = np.random.default_rng(3), np.random.default_rng(4).integers(3, size=90)
    p = random.dirichlet(np.ones(3), size=90)
    pairs = [(row[None], np.array([code])) for row, code in zip(p, codes, strict=True)]
    scored = evaluate_label(lambda x: x, pairs, pairs, task(), {0, 1, 2}, n_train=0)
    assert scored.auc == pytest.approx(roc_auc_score(codes, p, multi_class="ovr", average="macro"), abs=1e-12)
    assert scored.auc_per_class["left"] == pytest.approx(roc_auc_score(codes == 1, p[:, 1]), abs=1e-12)
    assert scored.accuracy == pytest.approx(accuracy_score(codes, p.argmax(axis=1)), abs=1e-12)
    assert scored.balanced_accuracy == pytest.approx(balanced_accuracy_score(codes, p.argmax(axis=1)), abs=1e-12)
    assert scored.largest_class == pytest.approx(np.bincount(codes).max() / 90) and scored.missing == {}


def test_class_that_is_missing_from_a_fold_is_named_and_left_out_of_the_auc():
    without_up = np.arange(30) % 2
    scored = decode_label(
        examples(0), examples(1, 30, codes=without_up), examples(2, codes=np.arange(60) % 3), task(), 0
    )
    assert scored.missing == {"valid": ["up"]} and set(scored.auc_per_class) == set(CLASSES)
    scored = decode_label(
        examples(0, 30, codes=without_up), examples(1), examples(2, codes=np.arange(60) % 3), task(), 0
    )
    assert scored.missing == {"train": ["up"]} and set(scored.auc_per_class) == {"down", "left"}
    assert scored.accuracy < 0.7  # examples of a class that was never seen are errors


def test_fold_with_one_class_is_an_error_that_names_the_class():
    up = np.full(20, 2)
    with pytest.raises(DataError, match='label "direction": all 20 examples of the train fold are of the class "up"'):
        decode_label(examples(0, 20, codes=up), examples(1), examples(2), task(), 0)
    with pytest.raises(DataError, match="of the test fold are of the class"):
        decode_label(examples(0), examples(1), examples(2, 20, codes=up), task(), 0)


def test_examples_without_a_class_are_neither_fitted_nor_scored():
    unknown = [(np.full((1, 5), 1e6), np.array([-1]))] * 5
    plain = decode_label(examples(0), examples(1), examples(2), task(), 0)
    with_unknown = decode_label(examples(0) + unknown, unknown + examples(1), unknown + examples(2), task(), 0)
    assert with_unknown.auc == plain.auc and with_unknown.n_test == 60 and with_unknown.n_test_segments == 60


def test_label_of_segments_reads_the_mean_of_the_bins_and_one_of_bins_each_of_them():
    features, codes = np.arange(12.0).reshape(4, 3), np.array([[9, 1], [9, 1], [9, 1], [9, 1]], np.int16)
    x, y = task("segments").examples(features, codes)
    assert np.array_equal(x, [[4.5, 5.5, 6.5]]) and y.tolist() == [1]
    x, y = task("bins").examples(features, codes)
    assert np.array_equal(x, features) and y.tolist() == [1, 1, 1, 1]


def test_many_training_bins_are_thinned_evenly(monkeypatch):
    monkeypatch.setattr("raydistill.evaluation.decoders.classify.MOST_EXAMPLES", 30)
    scored = decode_label(examples(0, 90), examples(1), examples(2), task("bins"), 90)
    assert scored.n_train == 30 and scored.auc > 0.85
