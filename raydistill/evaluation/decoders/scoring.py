"""How well behavior is decoded from features: R² of a linear decoder, or of a ready one.

Features arrive one segment at a time and need not fit into memory. A bin whose behavior was lost (NaN in any column)
is neither fitted nor scored. See docs/methods.md, Decoding and metrics.

Axes: T bins of one segment, D features, K behavior columns.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.decoders.linear import LeastSquares, LinearMap, side_by_side

Pairs = Iterable[tuple[np.ndarray, np.ndarray]]
"""Per segment: features or predictions (T, D), and behavior (T, K)."""


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """The scores of one decoder."""

    r2: float
    """Mean over behavior columns of the R² pooled over the scored bins."""
    r2_per_axis: dict[str, float]
    """Behavior column -> R²."""
    valid_r2: float | None
    """As `r2`, on the validation fold; None if it is empty."""
    n_train: int
    """Number of bins fitted; 0 for a model's own head."""
    n_test: int
    """Number of bins scored."""
    n_test_segments: int
    """Number of segments with a scored bin."""
    decoded: tuple[np.ndarray, ...] = field(repr=False)
    """Behavior (T, K) of each scored segment as decoded, float32, also in bins whose behavior was lost."""
    decoder: LinearMap | None = None
    """From features to behavior; None if it is no linear map fitted here."""
    settings: dict[str, float] = field(default_factory=dict)
    """Settings selected on the validation fold."""


class PooledR2:
    """1 - SSE / SST about the mean of the target, over all bins added: scikit-learn's `r2_score`, streamed."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = self.sst = self.sse = np.zeros(())

    def add(self, target, prediction) -> None:
        """Add target and prediction (n, K), both finite."""
        target, prediction = np.asarray(target, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
        if not len(target):
            return
        mean = target.mean(axis=0)
        step, total = mean - self.mean, self.n + len(target)
        self.sst = self.sst + ((target - mean) ** 2).sum(axis=0) + step**2 * (self.n * len(target) / total)
        self.sse = self.sse + ((target - prediction) ** 2).sum(axis=0)
        self.mean, self.n = self.mean + step * (len(target) / total), total

    def per_axis(self) -> np.ndarray:
        """(K,) R² of each column. Raises DataError if it is not defined."""
        if not self.n:
            raise DataError("R² needs at least one bin with behavior, but there is none")
        # The SST of a constant column consists of rounding errors only.
        constant = np.flatnonzero(self.sst <= self.n * (1e-12 * np.abs(self.mean)) ** 2)
        if len(constant):
            raise DataError(
                f"column {constant[0]} of the target is constant over its {self.n} bins, so it has no R²; "
                "exclude the column under `behavior`, or make the fold larger"
            )
        return 1.0 - self.sse / self.sst


def decode(train: Pairs, valid: Pairs, test: Pairs, columns: Sequence[str]) -> Decoding:
    """Ordinary least squares from features to behavior, fitted on `train` and scored on `valid` and `test`.

    Args:
        train, valid, test: (features (T, D), behavior (T, K)) of each segment; each is read once. Protocols that score
            the validation and test folds together (paper, released) pass both as `test`.
        columns: names of the K behavior columns.
    Raises:
        DataError: a fold has no bin with behavior, a column is constant, or a feature is not finite. The validation
            fold may be empty.
    """
    fit = LeastSquares()
    for features, behavior in finite_bins(train, "train"):
        fit.add(features, behavior)
    decoder = fit.solve()
    return evaluate(decoder.predict, valid, test, columns, n_train=fit.n, decoder=decoder)


def evaluate(
    predict: Callable, valid: Pairs, test: Pairs, columns: Sequence[str], *, n_train: int, **about
) -> Decoding:
    """The scores of a ready decoder.

    Args:
        predict: from features (n, D) to behavior (n, K); the identity for a model whose features are its predictions.
        n_train: number of bins that it was fitted on.
        about: `decoder` and `settings` of the Decoding.
    Raises:
        DataError: as `decode`.
    """
    decoded: list[np.ndarray] = []
    has_behavior: list[bool] = []

    def remembered() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for features, behavior in test:
            decoded.append(np.asarray(predict(features), dtype=np.float32))
            has_behavior.append(bool(np.isfinite(behavior).all(axis=1).any()))
            yield features, behavior

    valid = iter(valid)
    first = next(valid, None)  # short sessions have no validation fold under the protocol `released`
    valid_r2 = None if first is None else pooled_r2(predict, itertools.chain([first], valid), "valid", columns)[0]
    test_r2, n_test = pooled_r2(predict, remembered(), "test", columns)
    return Decoding(
        r2=float(test_r2.mean()),
        r2_per_axis=dict(zip(columns, test_r2.tolist(), strict=True)),
        valid_r2=None if valid_r2 is None else float(valid_r2.mean()),
        n_train=n_train,
        n_test=n_test,
        n_test_segments=sum(has_behavior),
        decoded=tuple(decoded),
        **about,
    )


def pooled_r2(predict: Callable, pairs: Pairs, fold: str, columns: Sequence[str]) -> tuple[np.ndarray, int]:
    """R² (K,) of `predict` over the bins of one fold, and their number."""
    score = PooledR2()
    for features, behavior in finite_bins(pairs, fold):
        score.add(behavior, predict(features))
    try:
        return score.per_axis(), score.n
    except DataError as error:
        raise DataError(f"{fold} fold of behavior ({', '.join(columns)}): {error}") from None


def mean_r2(maps: Sequence[LinearMap], pairs: Pairs, columns: Sequence[str]) -> np.ndarray:
    """(G,) mean R² of each of G maps over the validation fold, which is read once: predictions are (T, G * K)."""
    repeated = ((features, np.tile(behavior, len(maps))) for features, behavior in pairs)
    per_column, _ = pooled_r2(side_by_side(maps).predict, repeated, "valid", columns)
    return per_column.reshape(len(maps), -1).mean(axis=1)  # (G * K,) -> (G, K) -> (G,)


def finite_bins(pairs: Pairs, fold: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(features, behavior) of the bins with behavior, segment by segment. Raises DataError if the fold has none."""
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
            "exclude the session, or give it a larger fold under `splits`"
        )


def _finite(features, behavior) -> tuple[np.ndarray, np.ndarray]:
    """Both arrays without the rows in which behavior was lost."""
    features, behavior = np.asarray(features), np.asarray(behavior)
    finite = np.isfinite(behavior).all(axis=1)
    return features[finite], behavior[finite]
