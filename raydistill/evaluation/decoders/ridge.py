"""The plain baselines that are printed beside every model: one that does not beat them is not worth its GPU.

Each is fitted on train, its settings are chosen on the validation fold alone, and it is scored on the same bins as the
models: all of the test segments. Those here are ridge regressions from a segment's own input to its behavior; the
Kalman filters are in kalman.py.

History comes as taps: tap l is the mean over the bins of about 60 ms that end l * 60 ms ago (one bin where bins are
wider). That is 0.06, 0.18 or 0.3 s of history at bins up to 60 ms, and 0.1, 0.3 or 0.5 s at bins of 100 ms.
What lies before the segment counts as the mean of train.

Axes: T bins, C units or channels, D features, K behavior columns, G candidate settings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.decoders.kalman import kalman_on_lfp, kalman_on_spikes
from raydistill.evaluation.decoders.linear import LeastSquares, LinearMap, lagged
from raydistill.evaluation.decoders.scoring import Decoding, evaluate, finite_bins, pooled_r2
from raydistill.evaluation.decoders.signals import TAP_S, moving_mean, statistics
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment

TAPS = (1, 3, 5)
PENALTIES = (1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5)


@dataclass(frozen=True, slots=True)
class Baseline:
    """How to score a baseline, and which sessions allow it.

    `score` takes the train, valid and test segments, the bin width in ms and the names of the behavior columns.
    """

    score: Callable[[Sequence[Segment], Sequence[Segment], Sequence[Segment], float, Sequence[str]], Decoding]
    modality: str | None = None
    """spikes or lfp: what the session must hold."""
    aligned: bool = False
    """Segments must be whole trials that begin at the same event."""

    def suits(self, entry: Entry) -> bool:
        """Whether the stored session has what this baseline needs."""
        has = {None: True, "spikes": entry.n_units > 0, "lfp": entry.n_channels > 0}[self.modality]
        return has and (entry.aligned or not self.aligned)


def ridge_on_spikes(train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """Ridge on lagged square-root counts (a Wiener filter); DataError as `decode`."""
    return _ridge(lambda s: np.sqrt(s.spikes, dtype=np.float32), train, valid, test, bin_width_ms, columns)


def ridge_on_lfp(train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """Ridge on lagged LFP (a Wiener filter); DataError as `decode`."""
    return _ridge(lambda s: s.lfp, train, valid, test, bin_width_ms, columns)


def clock(train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
    """Ridge on a one-hot code of the bin within its trial: what behavior gives away without any neural data.

    Bins later than any in train read as the mean of train.
    """
    bins = np.eye(max((s.n_bins for s in (*train, *valid, *test)), default=0), dtype=np.float32)
    return _ridge(lambda s: bins[: s.n_bins], train, valid, test, bin_width_ms, columns, taps=(1,), width=1)


BASELINES = {
    "Ridge on spikes": Baseline(ridge_on_spikes, modality="spikes"),
    "Ridge on LFP": Baseline(ridge_on_lfp, modality="lfp"),
    "Kalman on spikes": Baseline(kalman_on_spikes, modality="spikes"),
    "Kalman on LFP": Baseline(kalman_on_lfp, modality="lfp"),
    "Clock": Baseline(clock, aligned=True),
}
"""Name, as it stands in tables -> baseline."""


def _ridge(signal, train, valid, test, bin_width_ms, columns, *, taps=TAPS, width=None):
    """The ridge from `signal(segment)` (T, C) to behavior that reads the validation fold best."""
    if not train:
        raise DataError("the train fold has no segment; give the session more segments under `splits`")
    width = width or max(1, round(TAP_S * 1000 / bin_width_ms))
    smooth = lambda s: moving_mean(signal(s), width)  # noqa: E731
    mean, std = statistics(smooth(s) for s in train)

    def pairs(segments):
        for s in segments:
            yield lagged((smooth(s) - mean) / std, max(taps), stride=width), s.behavior

    fit = LeastSquares()
    for features, behavior in finite_bins(pairs(train), "train"):
        fit.add(features, behavior)

    # Features lie lag by lag, so a shorter history is the leading part of the longest: one pass serves all candidates.
    candidates = list(product(taps, PENALTIES))
    maps = [_padded(fit.solve(penalty, features=n * len(mean)), len(fit.xx)) for n, penalty in candidates]
    best = int(np.argmax(_mean_r2(maps, pairs(valid), columns)))
    return evaluate(
        maps[best].predict,
        pairs(valid),
        pairs(test),
        columns,
        n_train=fit.n,
        decoder=maps[best],
        settings={"taps": candidates[best][0], "tap_bins": width, "penalty": candidates[best][1]},
    )


def _mean_r2(maps, pairs, columns):
    """(G,) mean R² of each map over one fold, read once: the maps predict side by side, (T, G * K)."""
    side_by_side = LinearMap(
        np.concatenate([m.weights for m in maps], axis=1), np.concatenate([m.intercept for m in maps])
    )
    repeated = ((features, np.tile(behavior, len(maps))) for features, behavior in pairs)
    per_column, _ = pooled_r2(side_by_side.predict, repeated, "valid", columns)
    return per_column.reshape(len(maps), -1).mean(axis=1)  # (G * K,) -> (G, K) -> (G,)


def _padded(linear, features):
    """The same map on more features, which get no weight."""
    return LinearMap(np.pad(linear.weights, ((0, features - len(linear.weights)), (0, 0))), linear.intercept)
