"""Logistic regressions from spikes, LFP or the clock to a label: the plain decoders that models are compared with.

For a label of bins, the features are the taps of the Wiener filters (ridge.py): five means of about 60 ms. For a label
of segments, they are the mean and the SD of every unit or channel over the segment; the SD of a filtered LFP is its
amplitude. See docs/methods.md, Labels.

Axes: T bins, C units or channels, D features.
"""

from collections.abc import Callable, Iterator

import numpy as np

from raydistill.evaluation.decoders.classify import LabelDecoding, LabelTask, decode_label
from raydistill.evaluation.decoders.clock import ClockCode
from raydistill.evaluation.decoders.linear import lagged
from raydistill.evaluation.decoders.signals import mean_and_sd, moving_mean, tap_bins
from raydistill.store.session import Segment, Segments

TAPS = 5


class LogisticRegression:
    """A logistic regression on one signal; an instance is the scoring function of a baseline."""

    def __init__(self, signal: Callable[[Segment], np.ndarray]) -> None:
        self.signal = signal

    def __call__(
        self, train: Segments, valid: Segments, test: Segments, bin_width_ms: float, task: LabelTask
    ) -> LabelDecoding:
        """Its scores; segments are those to fit, to select the penalty on, and to score. Errors as `decode_label`."""
        features = self._of_bins(train, tap_bins(bin_width_ms)) if task.label.of == "bins" else self._of_segment
        return _decoded(features, train, valid, test, task)

    def _of_bins(self, train: Segments, width: int) -> Callable[[Segment], np.ndarray]:
        """(T, TAPS * C) the recent past of each bin."""
        mean, std = mean_and_sd(moving_mean(self.signal(s), width) for s in train)
        return lambda s: lagged((moving_mean(self.signal(s), width) - mean) / std, TAPS, stride=width)

    def _of_segment(self, segment: Segment) -> np.ndarray:
        """(1, 2 * C) mean and SD over the bins."""
        x = self.signal(segment)
        return np.concatenate([x.mean(axis=0), x.std(axis=0)])[None]


def logistic_on_clock(
    train: Segments, valid: Segments, test: Segments, bin_width_ms: float, task: LabelTask
) -> LabelDecoding:
    """Logistic regression on the bin within its trial alone: how well a label of bins is told without neural data.

    Args and errors: as `LogisticRegression`.
    """
    code = ClockCode(max((s.n_bins for fold in (train, valid, test) for s in fold), default=0))
    return _decoded(lambda s: code.columns(s.n_bins), train, valid, test, task)


def _decoded(
    features: Callable[[Segment], np.ndarray], train: Segments, valid: Segments, test: Segments, task: LabelTask
) -> LabelDecoding:
    """The label by logistic regression from features (T or 1, D) of each segment."""

    def examples(segments: Segments) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for s in segments:
            assert s.labels is not None
            yield task.examples(features(s), s.labels)

    train_bins = sum(s.n_bins for s in train)
    return decode_label(examples(train), examples(valid), examples(test), task, train_bins)
