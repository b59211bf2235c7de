"""Ridge regression from the latents of a bin and of those before it: REALM's read-out without labels in the model.

The penalty is selected on the validation fold by the mean R² of the behavior columns. With a test fold of its own, the
map is then fitted again on train and validation together, and the test fold is scored once (docs/methods.md, Decoding
and metrics).

Axes: T bins of one segment, D latents, K behavior columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from raydistill.evaluation.decoders.linear import LeastSquares
from raydistill.evaluation.decoders.scoring import Decoding, Pairs, evaluate, finite_bins, mean_r2

PENALTIES = tuple(10.0**power for power in range(7))


def with_past(latents: np.ndarray, past_bins: int) -> np.ndarray:
    """The latents of each bin of a segment and of the bins before it, the present ones first.

    Before the first bin, its latents are repeated.

    Shape:
        (T, D) -> (T, (past_bins + 1) * D).
    """
    bins = np.arange(len(latents))[:, None] - np.arange(past_bins + 1)  # (T, past_bins + 1)
    return latents[bins.clip(min=0)].reshape(len(latents), -1)


def decode_from_past(
    train: Callable[[], Pairs], valid: Callable[[], Pairs], test: Pairs, columns: Sequence[str], *, refit: bool
) -> Decoding:
    """The ridge with the highest R² on the validation fold, and its scores.

    Args:
        train, valid: give the features (T, D) and behavior (T, K) of each segment; the validation fold is read twice.
        test: the same of the scored segments.
        refit: whether the validation fold is fitted, too, once the penalty is selected; not if it is scored.
    Raises:
        DataError: as `decode`; the validation fold must not be empty.
    """
    fit = LeastSquares()
    for features, behavior in finite_bins(train(), "train"):
        fit.add(features, behavior)
    maps = [fit.solve(penalty) for penalty in PENALTIES]
    valid_r2 = mean_r2(maps, valid(), columns)
    best = int(np.argmax(valid_r2))
    if refit:
        for features, behavior in finite_bins(valid(), "valid"):
            fit.add(features, behavior)
    decoder = fit.solve(PENALTIES[best]) if refit else maps[best]
    settings = {"penalty": PENALTIES[best]}
    decoding = evaluate(decoder.predict, (), test, columns, n_train=fit.n, decoder=decoder, settings=settings)
    return replace(decoding, valid_r2=float(valid_r2[best]))
