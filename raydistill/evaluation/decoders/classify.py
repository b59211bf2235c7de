"""How well a label is decoded from features: a logistic regression, or ready probabilities, and their scores.

An example is a segment, if the label belongs to segments, or else a bin. Examples without a class are neither fitted
nor scored. See docs/methods.md, Labels.

Axes: n examples, D features, C classes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raydistill.errors import DataError
from raydistill.store.labels import UNKNOWN, StoredLabel

Examples = Iterable[tuple[np.ndarray, np.ndarray]]
"""Per segment: features or probabilities (n, D), and codes of classes (n,)."""
PENALTIES = tuple(10.0**power for power in range(-2, 6))
"""Of the squared weights, relative to the summed log loss of the training examples."""
MOST_EXAMPLES = 20_000
"""Bins that are fitted, evenly spaced over all training bins: neighbouring bins are almost copies of each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelTask:
    """What is decoded: one label of a session."""

    name: str
    label: StoredLabel

    def examples(self, features: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The examples of a segment, from features (T, D) and the codes (T, labels) of its bins: all bins, or the mean
        over them."""
        of_label = codes[:, self.label.column]
        if self.label.of == "bins":
            return features, of_label
        return features.mean(axis=0, keepdims=True, dtype=np.float64), of_label[:1]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredExamples:
    """The examples that were scored, for the interval of their AUC."""

    probabilities: np.ndarray
    """(n, C)"""
    codes: np.ndarray
    """(n,) the class of each."""
    segment: np.ndarray
    """(n,) its segment: 0 for the first of the scored folds."""
    classes: tuple[int, ...]
    """Codes of the classes over which AUC is a mean."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelDecoding:
    """The scores of one decoder of a label."""

    auc: float
    """Mean of `auc_per_class`."""
    auc_per_class: dict[str, float]
    """Class -> area under the ROC curve of its probability, against all other classes; without classes that are missing
    from the training or the scored examples."""
    accuracy: float
    """Share of the scored examples whose most probable class is theirs."""
    balanced_accuracy: float
    """Mean over the classes among the scored examples of the share that is decoded as this class."""
    largest_class: float
    """Share of the most frequent class among the scored examples: the accuracy of a decoder that always names it."""
    valid_auc: float | None
    """As `auc`, on the validation fold; None if that has fewer than two classes."""
    missing: dict[str, list[str]]
    """Fold -> classes of which it has no example; without folds that have all."""
    n_train: int
    """Number of examples fitted; 0 for a model's own outputs."""
    n_test: int
    """Number of examples scored."""
    n_test_segments: int
    """Number of segments with a scored example."""
    scored: ScoredExamples
    settings: dict[str, float] = field(default_factory=dict)
    """Settings selected on the validation fold."""


def decode_label(train: Examples, valid: Examples, test: Examples, task: LabelTask, train_bins: int) -> LabelDecoding:
    """Multinomial logistic regression from features to classes, with the penalty that has the lowest log loss on the
    validation fold.

    Features are standardised on the training examples.

    Args:
        train, valid, test: (features (n, D), codes (n,)) of each segment; each is read once.
        train_bins: number of bins of the training fold.
    Raises:
        DataError: the training or the scored examples have fewer than two classes, or a feature is not finite.
    """
    every = -(-train_bins // MOST_EXAMPLES) if task.label.of == "bins" else 1
    features, codes = _fold(train, "train", task, every)
    _check_classes(codes, "train", task)
    mean, sd = features.mean(axis=0), features.std(axis=0)
    sd[sd < 1e-9 * np.maximum(1.0, np.abs(mean))] = 1.0
    held = _fold(valid, "valid", task)
    fits = _fits((features - mean) / sd, codes)
    losses = [_log_loss(_probabilities(fit, (held[0] - mean) / sd, task), held[1]) for fit in fits]
    best = int(np.argmin(losses))

    def probabilities(x: np.ndarray) -> np.ndarray:
        return _probabilities(fits[best], (x - mean) / sd, task)

    trained = set(np.unique(codes).tolist())
    return evaluate_label(
        probabilities, [held], test, task, trained, n_train=len(codes), settings={"penalty": PENALTIES[best]}
    )


def evaluate_label(
    probabilities: Callable[[np.ndarray], np.ndarray],
    valid: Examples,
    test: Examples,
    task: LabelTask,
    trained: set[int],
    **about: Any,
) -> LabelDecoding:
    """The scores of ready probabilities.

    Args:
        probabilities: from features (n, D) to the probability of each class (n, C).
        trained: codes of the classes among the training examples.
        about: `n_train` and `settings` of the LabelDecoding.
    Raises:
        DataError: the scored examples have fewer than two of the trained classes.
    """
    segments = list(test)
    features, codes = _fold(segments, "test", task)
    known = np.array([np.sum(y != UNKNOWN) for _, y in segments])
    _check_classes(codes, "test", task)
    p = probabilities(features)
    per_class = _auc_per_class(p, codes, trained, task)
    if not per_class:
        raise DataError(
            f'label "{task.name}": none of the classes of the test fold is among the training examples; give the '
            "session other folds under `splits`"
        )
    held, held_codes = _fold(valid, "valid", task)
    of_valid = _auc_per_class(probabilities(held), held_codes, trained, task) if len(held_codes) else {}
    present, hits = np.unique(codes), p.argmax(axis=1) == codes
    folds = {"train": trained, "valid": set(held_codes.tolist()), "test": set(codes.tolist())}
    missing = {fold: [c for i, c in enumerate(task.label.classes) if i not in there] for fold, there in folds.items()}
    return LabelDecoding(
        auc=float(np.mean(list(per_class.values()))),
        auc_per_class=per_class,
        accuracy=float(hits.mean()),
        balanced_accuracy=float(np.mean([hits[codes == c].mean() for c in present])),
        largest_class=float(np.bincount(codes).max() / len(codes)),
        valid_auc=float(np.mean(list(of_valid.values()))) if of_valid else None,
        missing={fold: classes for fold, classes in missing.items() if classes},
        n_test=len(codes),
        n_test_segments=int(np.sum(known > 0)),
        scored=ScoredExamples(
            probabilities=p,
            codes=codes,
            segment=np.repeat(np.arange(len(segments)), known),
            classes=tuple(task.label.classes.index(name) for name in per_class),
        ),
        **about,
    )


def _fold(pairs: Examples, fold: str, task: LabelTask, every: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The features (n, D) and codes (n,) of all examples with a class, or of one in `every` of them."""
    features, codes, seen = [], [], 0
    for x, y in pairs:
        known = np.flatnonzero(y != UNKNOWN)
        chosen = known[-seen % every :: every]
        seen += len(known)
        features.append(np.asarray(x)[chosen])
        codes.append(np.asarray(y)[chosen])
    n = sum(map(len, codes))
    if not n:
        raise DataError(
            f'the {fold} fold has no {task.label.of.removesuffix("s")} with a class of the label "{task.name}"; '
            "exclude the session, or give it a larger fold under `splits`"
        )
    together = np.concatenate(features)
    if not np.isfinite(together).all():
        raise DataError(
            f"the {fold} fold: {np.sum(~np.isfinite(together))} features are not finite; check the LFP for artefacts, "
            "or train again with `precision: fp32`"
        )
    return together, np.concatenate(codes).astype(np.int64)


def _check_classes(codes: np.ndarray, fold: str, task: LabelTask) -> None:
    present = np.unique(codes)
    if len(present) < 2:
        raise DataError(
            f'label "{task.name}": all {len(codes)} examples of the {fold} fold are of the class '
            f'"{task.label.classes[present[0]]}", so nothing can be told apart; give the session a larger fold, or '
            "another order, under `splits`"
        )


def _fits(x: np.ndarray, codes: np.ndarray) -> list[Any]:
    """A logistic regression for each of the penalties, each from the solution before it."""
    from sklearn.linear_model import LogisticRegression  # imported here because planning reads the table of baselines

    fits, before = [], None
    for penalty in reversed(PENALTIES):  # the strongest first: its solution is the simplest
        fit = LogisticRegression(C=1 / penalty, max_iter=500, tol=1e-4, warm_start=True)
        if before is not None:
            fit.coef_, fit.intercept_, fit.classes_ = before.coef_.copy(), before.intercept_.copy(), before.classes_
        fits.append(before := fit.fit(x, codes))
    return fits[::-1]


def _probabilities(fit: Any, x: np.ndarray, task: LabelTask) -> np.ndarray:
    """(n, C) probabilities, 0 for classes without a training example."""
    p = np.zeros((len(x), len(task.label.classes)))
    p[:, fit.classes_] = fit.predict_proba(x)
    return p


def _log_loss(p: np.ndarray, codes: np.ndarray) -> float:
    return float(-np.log(np.maximum(p[np.arange(len(codes)), codes], 1e-12)).mean())


def _auc_per_class(p: np.ndarray, codes: np.ndarray, trained: set[int], task: LabelTask) -> dict[str, float]:
    """Class -> AUC of its probability, of the trained classes that some of the examples have, and others have not."""
    from sklearn.metrics import roc_auc_score

    return {
        name: float(roc_auc_score(codes == code, p[:, code]))
        for code, name in enumerate(task.label.classes)
        if code in trained and 0 < np.sum(codes == code) < len(codes)
    }


def present_codes(codes: Sequence[np.ndarray], task: LabelTask) -> set[int]:
    """The classes that the bins of some segments have, from their codes (T, labels)."""
    found = {int(code) for of_segment in codes for code in np.unique(of_segment[:, task.label.column])}
    return found - {UNKNOWN}
