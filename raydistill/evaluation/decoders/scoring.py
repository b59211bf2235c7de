"""The score of a representation: how well a linear decoder reads behavior from it (spec D1).

Axes: T bins of one segment, D features, K behavior columns. Features arrive a segment at a time and are never all
in memory. A bin whose behavior was lost (NaN in any column) is neither fitted nor scored.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.decoders.linear import LeastSquares, LinearMap

Pairs = Iterable[tuple[np.ndarray, np.ndarray]]
"""Per segment: features or predictions (T, D), and behavior (T, K)."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """What a decoder reached on the folds that it was not fitted on."""

    r2: float
    """Mean over behavior columns of the R² pooled over the test bins."""
    r2_per_axis: dict[str, float]
    valid_r2: float
    n_train: int
    """Bins fitted."""
    n_test: int
    """Bins scored."""
    decoder: LinearMap | None = None
    """From features to behavior; None where the model has a head of its own."""
    settings: dict[str, float] = field(default_factory=dict)
    """What was chosen on the validation fold."""


class PooledR2:
    """1 - SSE / SST about the mean of the target, over all bins added: scikit-learn's `r2_score`, streamed."""

    def __init__(self):
        self.n, self.mean, self.sst, self.sse = 0, 0.0, 0.0, 0.0

    def add(self, target, prediction):
        """Take in target and prediction (n, K), both finite."""
        target, prediction = np.asarray(target, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
        if not len(target):
            return
        mean = target.mean(axis=0)
        step, total = mean - self.mean, self.n + len(target)
        self.sst = self.sst + ((target - mean) ** 2).sum(axis=0) + step**2 * (self.n * len(target) / total)
        self.sse = self.sse + ((target - prediction) ** 2).sum(axis=0)
        self.mean, self.n = self.mean + step * (len(target) / total), total

    def per_axis(self) -> np.ndarray:
        """(K,) R² of each column; DataError where it is not defined."""
        if not self.n:
            raise DataError("R² needs at least one bin with behavior, but got none")
        # A column that never changes has an SST of rounding errors only.
        constant = np.flatnonzero(self.sst <= self.n * (1e-12 * np.abs(self.mean)) ** 2)
        if len(constant):
            raise DataError(
                f"column {constant[0]} of the target is constant over its {self.n} bins, so it has no R²; "
                "leave the column out or make the fold larger"
            )
        return 1.0 - self.sse / self.sst


def r2(target, prediction) -> np.ndarray:
    """(K,) R² of each column of target and prediction (n, K) over the rows whose target is finite.

    The mean over columns is the score that the paper reports.
    """
    prediction, target = _finite(prediction, target)
    score = PooledR2()
    score.add(target, prediction)
    return score.per_axis()


def decode(train: Pairs, valid: Pairs, test: Pairs, columns: Sequence[str]) -> Decoding:
    """Ordinary least squares from features to behavior, fitted on train and scored on valid and on test.

    Each fold gives (features (T, D), behavior (T, K)) per segment and is read once; `columns` names the K behavior
    columns. Protocols that score valid and test together (paper, released) give both as `test`. DataError where a
    fold has no bin with behavior, a column is constant or a feature is not finite.
    """
    fit = LeastSquares()
    for features, behavior in finite_bins(train, "train"):
        fit.add(features, behavior)
    decoder = fit.solve()
    return evaluate(decoder.predict, valid, test, columns, n_train=fit.n, decoder=decoder)


def evaluate(
    predict: Callable, valid: Pairs, test: Pairs, columns: Sequence[str], *, n_train: int, **about
) -> Decoding:
    """The Decoding of a ready decoder; `predict` takes features (n, D) to behavior (n, K).

    A model with a behavior head gives its outputs as features and the identity as `predict`. `about` fills the
    fields of Decoding that tell of the decoder. DataError as `decode`.
    """
    (valid_r2, _), (test_r2, n_test) = (
        pooled_r2(predict, pairs, fold, columns) for pairs, fold in ((valid, "valid"), (test, "test"))
    )
    return Decoding(
        r2=float(test_r2.mean()),
        r2_per_axis=dict(zip(columns, test_r2.tolist(), strict=True)),
        valid_r2=float(valid_r2.mean()),
        n_train=n_train,
        n_test=n_test,
        **about,
    )


def pooled_r2(predict: Callable, pairs: Pairs, fold: str, columns: Sequence[str]) -> tuple[np.ndarray, int]:
    """R² (K,) of `predict` over one fold, and the number of bins that it rests on."""
    score = PooledR2()
    for features, behavior in finite_bins(pairs, fold):
        score.add(behavior, predict(features))
    try:
        return score.per_axis(), score.n
    except DataError as error:
        raise DataError(f"{fold} fold of behavior ({', '.join(columns)}): {error}") from None


def finite_bins(pairs: Pairs, fold: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(features, behavior) of the bins with behavior, segment by segment; DataError where the fold has none."""
    n = segments = 0
    for features, behavior in pairs:
        features, behavior = _finite(features, behavior)
        if not np.isfinite(features).all():
            raise DataError(
                f"segment {segments} of the {fold} fold: {np.sum(~np.isfinite(features))} features are not finite; "
                "check the LFP for artefacts, or train again with `precision: fp32`"
            )
        n, segments = n + len(behavior), segments + 1
        yield features, behavior
    if not n:
        raise DataError(
            f"the {fold} fold has no bin with behavior in its {segments} segments; "
            "leave the session out or give it a larger fold under `splits`"
        )


def _finite(features, behavior):
    """Both arrays without the rows in which behavior was lost."""
    features, behavior = np.asarray(features), np.asarray(behavior)
    kept = np.isfinite(behavior).all(axis=1)
    return features[kept], behavior[kept]
