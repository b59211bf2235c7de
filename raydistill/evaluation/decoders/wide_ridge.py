"""Ridge regressions with the context of a model: the bins around the present one, and the time since the trial began.

A Wiener filter of 0.3 s sees less than a model that reads a whole segment, so a gain over it may be one of context
alone. Here the window (0.1 to 1 s to each side) and the penalty are selected on the validation fold. See
docs/methods.md, Baselines.

Axes: T bins, C units or channels, D features, K behavior columns.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.errors import DataError
from raydistill.evaluation.decoders.clock import ClockCode, fit_clock
from raydistill.evaluation.decoders.context import Context, leading_components, longest_of
from raydistill.evaluation.decoders.linear import LeastSquares, padded
from raydistill.evaluation.decoders.scoring import Decoding, evaluate, finite_bins, mean_r2
from raydistill.evaluation.decoders.signals import behavior_of, mean_and_sd
from raydistill.store.session import Segment, Segments

PENALTIES = (1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
MAX_FEATURES = 2000
"""Channels times groups. With more channels, their leading principal components take their place: the time of a fit
grows with the cube of the features."""


@dataclass(frozen=True)
class WideRidge:
    """Ridge on a signal around each bin; an instance is the scoring function of a baseline."""

    signal: Callable[[Segment], np.ndarray]
    """(T, C) what is read of a segment."""
    future: bool = True
    """Whether bins after the present one are read, too."""
    clock: bool = False
    """Whether the bin within the trial is read, too."""

    def __call__(self, train, valid, test, bin_width_ms: float, columns: Sequence[str]) -> Decoding:
        """The regression with the highest R² on the validation fold; arguments and errors as `ridge_on_spikes`."""
        if not train:
            raise DataError("the train fold has no segment; give the session more segments under `splits`")
        fitted, selected, scored = ([behavior_of(s) for s in fold] for fold in (train, valid, test))
        longest = longest_of(fitted, selected, scored)
        context = Context.of(bin_width_ms, longest, future=self.future)
        channels_of = _standardised(self.signal, train, MAX_FEATURES // len(context.offsets))
        clock = fit_clock(fitted, selected, longest, columns) if self.clock else None
        code: Callable[[int], np.ndarray] = clock.columns if clock else ClockCode(longest=0).columns

        def pairs(segments: Segments) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for s in segments:
                yield np.concatenate([code(s.n_bins), context.features(channels_of(s))], axis=1), behavior_of(s)

        fit = LeastSquares()
        for features, behavior in finite_bins(pairs(train), "train"):
            fit.add(features, behavior)
        n_clock = clock.code.width if clock else 0
        per_group = (len(fit.xx) - n_clock) // len(context.offsets)
        # The time comes first and groups follow by distance, so a narrower window is the leading part of the widest.
        candidates = [(window, penalty) for window in context.windows for penalty in PENALTIES]
        maps = []
        for window, penalty in candidates:
            penalties = np.full(n_clock + context.windows[window] * per_group, penalty)
            penalties[:n_clock] = clock.penalty if clock else 0.0
            maps.append(padded(fit.solve(penalties, features=len(penalties)), len(fit.xx)))
        best = int(np.argmax(mean_r2(maps, pairs(valid), columns)))
        window, penalty = candidates[best]
        settings = {"window_s": window, "penalty": penalty} | ({"clock_penalty": clock.penalty} if clock else {})
        return evaluate(
            maps[best].predict, pairs(valid), pairs(test), columns, n_train=fit.n, decoder=maps[best], settings=settings
        )


def _standardised(
    signal: Callable[[Segment], np.ndarray], train: Segments, most: int
) -> Callable[[Segment], np.ndarray]:
    """The function from a segment to its standardised channels (T, C), or to `most` principal components of them.

    Mean, SD and components are those of the training segments.
    """
    mean, std = mean_and_sd(signal(s) for s in train)
    components = None
    if len(mean) > most:
        moments = LeastSquares()
        for s in train:
            moments.add((signal(s) - mean) / std, np.zeros((s.n_bins, 0)))
        components = leading_components(moments.xx, most)

    def channels(segment: Segment) -> np.ndarray:
        x = (signal(segment) - mean) / std
        return x if components is None else x @ components

    return channels
