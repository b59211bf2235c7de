"""Ridge regressions from the present and the recent past of a signal to behavior: the Wiener filters.

Each regression is fitted on the training segments, its settings are selected on the validation fold alone, and it is
scored on the same bins as the models. See docs/methods.md, Baselines.

The past enters as taps: tap l is the mean over the bins of about 60 ms that end l * 60 ms before the present (a single
bin if bins are wider). 1, 3 or 5 taps are 0.06, 0.18 or 0.3 s of history with bins of up to 60 ms, and 0.1, 0.3 or
0.5 s with bins of 100 ms. Before the start of the segment, a tap holds the training mean.

Axes: T bins, C units or channels, D features, K behavior columns, G candidate settings.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.decoders.linear import LeastSquares, lagged, padded
from raydistill.evaluation.decoders.scoring import Decoding, evaluate, finite_bins, mean_r2
from raydistill.evaluation.decoders.signals import behavior_of, lfp_of, mean_and_sd, moving_mean, sqrt_counts, tap_bins
from raydistill.store.session import Segment, Segments

TAPS = (1, 3, 5)
PENALTIES = (1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5)


def ridge_on_spikes(train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """Ridge on lagged square-root counts (a Wiener filter).

    Args:
        train, valid, test: segments to fit, to select the settings on, and to score, each read more than once and never
            held as a whole; here and below.
        columns: names of the K behavior columns.
    Raises:
        DataError: as `decode`.
    """
    return _ridge(sqrt_counts, train, valid, test, columns, TAPS, tap_bins(bin_width_ms))


def ridge_on_lfp(train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """Ridge on lagged LFP (a Wiener filter)."""
    return _ridge(lfp_of, train, valid, test, columns, TAPS, tap_bins(bin_width_ms))


def _ridge(
    signal: Callable[[Segment], np.ndarray],
    train: Segments,
    valid: Segments,
    test: Segments,
    columns: Sequence[str],
    taps: Sequence[int],
    width: int,
) -> Decoding:
    """The ridge from `signal(segment)` (T, C) to behavior with the highest R² on the validation fold.

    Args:
        taps: candidate numbers of taps.
        width: bins of a tap.
    """
    if not len(train):
        raise DataError("the train fold has no segment; give the session more segments under `splits`")
    mean, std = mean_and_sd(moving_mean(signal(s), width) for s in train)

    def pairs(segments: Segments) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for s in segments:
            yield lagged((moving_mean(signal(s), width) - mean) / std, max(taps), stride=width), behavior_of(s)

    fit = LeastSquares()
    for features, behavior in finite_bins(pairs(train), "train"):
        fit.add(features, behavior)

    # Features are ordered by lag, so a shorter history is the leading part of the longest: one fit serves all.
    candidates = list(product(taps, PENALTIES))
    maps = [padded(fit.solve(penalty, features=n * len(mean)), len(fit.xx)) for n, penalty in candidates]
    best = int(np.argmax(mean_r2(maps, pairs(valid), columns)))
    return evaluate(
        maps[best].predict,
        pairs(valid),
        pairs(test),
        columns,
        n_train=fit.n,
        decoder=maps[best],
        settings={"taps": candidates[best][0], "tap_bins": width, "penalty": candidates[best][1]},
    )
