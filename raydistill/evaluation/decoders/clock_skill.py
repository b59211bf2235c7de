"""How much of a score is owed to the time since the trial began, which needs no neural data.

Behavior that repeats in every trial can be decoded from this time alone, and a model that reads whole trials may learn
it. See docs/methods.md, Skill over the clock. Segments must be whole trials that begin at the same event.

Axes: T bins of one trial, D latent features, K behavior columns, G candidate penalties.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.decoders.clock import PENALTIES, ClockCode, fit_clock
from raydistill.evaluation.decoders.context import longest_of
from raydistill.evaluation.decoders.linear import LeastSquares, padded, side_by_side
from raydistill.evaluation.decoders.scoring import Decoding, Pairs, PooledR2, evaluate, finite_bins, pooled_r2


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockSkill:
    """A decoder compared with the clock, on one session. None: not defined, or not computed."""

    clock_r2: float | None = None
    """R² of the clock on the same bins."""
    skill_over_clock: float | None = None
    """1 - SSE(decoder) / SSE(clock), mean over behavior columns: 0 as good as the clock, 1 perfect."""
    r2_other_trials: float | None = None
    """R² of what the decoder reads at the same bin of the other trials, on average: what it owes to the clock."""
    r2_with_clock: float | None = None
    """R² of a decoder that may use the latents and the clock together; not of baselines."""

    def metrics(self) -> dict[str, float]:
        """The defined numbers, which a job stores as JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_metrics(cls, metrics: dict) -> "ClockSkill | None":
        """The numbers that `metrics` returned; None if the trials of the session are not aligned."""
        return cls(**{name: metrics.get(name) for name in cls.__slots__}) if "clock_r2" in metrics else None


def clock_skill(
    train: Sequence[np.ndarray],
    valid: Sequence[np.ndarray],
    test: Sequence[np.ndarray],
    columns: Sequence[str],
    decoding: Decoding,
    r2_with_clock: float | None = None,
) -> ClockSkill:
    """A decoding of the scored trials compared with the clock.

    Args:
        train, valid, test: behavior (T, K) of every trial to fit, to select the penalty on, and to score.
        decoding: of the trials of `test`, in their order.
    Raises:
        DataError: as `decode`.
    """
    clock = fit_clock(train, valid, longest_of(train, valid, test), columns)
    clock_r2, _ = pooled_r2(lambda x: x, [(clock.predict(len(y)), y) for y in test], "test", columns)
    own_r2 = np.array([decoding.r2_per_axis[name] for name in columns])
    with np.errstate(divide="ignore", invalid="ignore"):
        skill = float(np.mean(1 - (1 - own_r2) / (1 - clock_r2)))  # both R² divide by the same sum of squares
    return ClockSkill(
        clock_r2=float(clock_r2.mean()),
        skill_over_clock=skill if np.isfinite(skill) else None,
        r2_other_trials=r2_other_trials(test, decoding.decoded),
        r2_with_clock=r2_with_clock,
    )


def r2_other_trials(behavior: Sequence[np.ndarray], decoded: Sequence[np.ndarray]) -> float | None:
    """R² of each trial's behavior against the mean of what is decoded from the other trials at the same bin.

    A decoder of time alone keeps its R²; one whose errors and hits depend on the trial alone falls to about 0. The mean
    is taken because a single other trial adds the variance of its own decoding to the error.

    Args:
        behavior, decoded: (T, K) of each trial, NaN where behavior was lost.
    Returns:
        None if no bin has another trial, or a column is constant over the bins that have one.
    """
    longest = longest_of(decoded)
    total, count = np.zeros((longest, decoded[0].shape[1])), np.zeros((longest, 1))
    for x in decoded:
        total[: len(x)] += x
        count[: len(x)] += 1
    score = PooledR2()
    for y, x in zip(behavior, decoded, strict=True):
        others = count[: len(x), 0] - 1
        is_scored = np.isfinite(y).all(axis=1) & (others > 0)
        mean = (total[: len(x)] - x)[is_scored] / others[is_scored, None]
        score.add(y[is_scored], mean)
    try:
        return float(score.per_axis().mean())
    except DataError:
        return None


def decode_with_and_without_clock(
    train: Pairs, valid: Pairs, test: Pairs, columns: Sequence[str], code: ClockCode
) -> tuple[Decoding, float]:
    """`decode`, and the R² of a decoder that may use latents and clock together, in the same passes over the latents.

    The joint decoder penalises the clock's weights, with the penalty selected on the validation fold, and the latents
    as good as not, as least squares do: with a large penalty it is the decoder of the latents alone.

    Args and errors: as `decode`.
    """
    fit = LeastSquares()
    for features, behavior in finite_bins(_with_code(train, code), "train"):
        fit.add(features, behavior)
    width = len(fit.xx) - code.width
    alone = fit.solve(features=width)
    squares = np.diag(fit.xx)[:width]
    tiny = 1e-9 * (squares + max(squares.max(), 1.0))
    together = [fit.solve(np.concatenate([tiny, np.full(code.width, penalty)])) for penalty in PENALTIES]
    predict = side_by_side([padded(alone, len(fit.xx)), *together]).predict
    folds = [[(predict(x), y) for x, y in _with_code(fold, code)] for fold in (valid, test)]

    def of(fold: Pairs, i: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Predictions (T, K) of the i-th map, and behavior."""
        n = len(columns)
        return [(x[:, i * n : (i + 1) * n], y) for x, y in fold]

    valid_r2 = [pooled_r2(_same, of(folds[0], 1 + i), "valid", columns)[0].mean() for i in range(len(PENALTIES))]
    best = 1 + int(np.argmax(valid_r2))
    decoding = evaluate(_same, of(folds[0], 0), of(folds[1], 0), columns, n_train=fit.n, decoder=alone)
    return decoding, float(pooled_r2(_same, of(folds[1], best), "test", columns)[0].mean())


def _with_code(pairs: Pairs, code: ClockCode) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for features, behavior in pairs:
        yield np.concatenate([features, code.columns(len(features))], axis=1), behavior


def _same(x: np.ndarray) -> np.ndarray:
    return x
