"""How well behavior of one stored session is decoded: by a model's own head, by least squares, or by a baseline.

Axes: T bins of a segment, n bins, D width of the model, K behavior columns.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raydistill.config.recordings import SCORED_WITH_VALID
from raydistill.evaluation.baselines import Baseline
from raydistill.evaluation.decoders.clock import ClockCode
from raydistill.evaluation.decoders.clock_skill import ClockSkill, clock_skill, decode_with_and_without_clock
from raydistill.evaluation.decoders.past_latents import decode_from_past, with_past
from raydistill.evaluation.decoders.scoring import Decoding, decode, evaluate
from raydistill.evaluation.decoders.signals import behavior_of as recorded_behavior
from raydistill.evaluation.folds import behavior_of, folds_of
from raydistill.evaluation.interval import r2_interval
from raydistill.evaluation.neural import correlation_per_column
from raydistill.evaluation.scored_segments import ScoredSegments, SegmentRecorder
from raydistill.evaluation.signal_scores import signal_scores
from raydistill.evaluation.units import ScoredUnits, scored_units
from raydistill.feed.tokens import Inputs, SpikesAs
from raydistill.models.inputs import inputs_of
from raydistill.models.latents import encode
from raydistill.models.model import Model
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store


@dataclass(frozen=True, kw_only=True, eq=False)
class SessionScore:
    """How well a model decodes one session."""

    decoding: Decoding
    """By the model's own head if it has one, otherwise by least squares from its latents."""
    r2_least_squares: float | None
    """R² by least squares, for comparison, of a model that has its own head."""
    clock: ClockSkill | None
    """The decoding compared with the clock; None if the trials of the session are not aligned."""
    units: ScoredUnits
    """What the interval of the R² follows from."""
    correlation_per_axis: dict[str, float | None]
    """Behavior column -> Pearson's correlation of its decoding; None where the decoding is constant."""
    segments: ScoredSegments
    predict: Callable[[Tensor], np.ndarray]
    """From latents (n, D) to behavior (n, K), z-scored, as in `decoding`."""
    neural: dict[str, dict[str, float]] = field(default_factory=dict)
    """How well a model of the signals themselves predicts them (signal_scores.py); empty for other models."""

    def metrics(self) -> dict:
        """The numbers that a job stores as JSON."""
        own: dict[str, Any] = {} if self.r2_least_squares is None else {"r2_least_squares": self.r2_least_squares}
        own |= {"neural": self.neural} if self.neural else {}
        scored = metrics_of(self.decoding, self.segments.bin_width_ms, self.clock, self.units)
        return scored | {"correlation_per_axis": self.correlation_per_axis} | own


def metrics_of(decoding: Decoding, bin_width_ms: float, clock: ClockSkill | None, units: ScoredUnits) -> dict:
    """The numbers of a decoding that a job stores as JSON; `test_s` are the seconds of the scored bins."""
    names = ("r2", "r2_per_axis", "valid_r2", "n_train", "n_test", "n_test_segments", "settings")
    metrics = {name: getattr(decoding, name) for name in names} | {"test_s": decoding.n_test * bin_width_ms / 1000}
    if decoding.valid_r2 is None:
        del metrics["valid_r2"]
    return metrics | r2_interval(units).metrics("r2") | (clock.metrics() if clock else {})


def score_model(
    model: Model,
    store: Store,
    entry: Entry,
    columns: Sequence[str],
    spikes_as: SpikesAs = "recorded",
    device: str = "cpu",
    past_bins: int | None = None,
) -> SessionScore:
    """How well behavior is decoded from the latents of a model, under the protocol of the session.

    Least squares are fitted on the latents of the training segments. A model that was trained with a behavior head is
    scored by this head, and additionally by least squares.

    Args:
        columns: behavior columns for least squares; a head decodes the columns that it was trained on.
        spikes_as: the spikes that a multimodal model reads: recorded, mean or silence.
        device: where the model runs; it stays there.
        past_bins: decode by ridge from the latents of a bin and so many before it, instead of by least squares or head.
    Raises:
        DataError: as `decode`.
    """
    inputs, recorder = inputs_of(model.spec, [entry], spikes_as), SegmentRecorder(entry.bin_width_ms)
    session = _ModelOnSession(model=model, inputs=inputs, store=store, entry=entry, device=device)
    if past_bins is not None:
        return _from_past(session, columns, recorder, past_bins)
    if not model.spec.behavior:
        decoding, with_clock = _least_squares(session, columns, recorder)
        assert decoding.decoder is not None
        linear = decoding.decoder.predict
        units, correlation = _against_recorded(store, entry, columns, decoding)
        return SessionScore(
            decoding=decoding,
            r2_least_squares=None,
            clock=_compared_with_clock(store, entry, columns, decoding, with_clock),
            units=units,
            correlation_per_axis=correlation,
            segments=recorder.segments(linear),
            predict=lambda latents: linear(latents.numpy()),
        )
    least_squares, with_clock = _least_squares(session, columns)
    decoding = _own_head(session, recorder)
    units, correlation = _against_recorded(store, entry, model.spec.behavior, decoding)
    return SessionScore(
        decoding=decoding,
        r2_least_squares=least_squares.r2,
        clock=_compared_with_clock(store, entry, model.spec.behavior, decoding, with_clock),
        units=units,
        correlation_per_axis=correlation,
        segments=recorder.segments(lambda outputs: outputs),
        predict=session.own_head,
        neural=session.neural() if model.predicts_signals and spikes_as == "recorded" else {},
    )


def score_baseline(baseline: Baseline, store: Store, entry: Entry, columns: Sequence[str]) -> tuple[dict, ScoredUnits]:
    """The numbers that a job stores of a baseline on these behavior columns, under the protocol of the session.

    Raises:
        DataError: as `decode`.
    """
    train, valid, test = (
        folds_of(store, entry, folds, baseline.reads, columns)
        for folds in (("train",), ("valid",), scored_folds(entry))
    )
    decoding = baseline.score(train, valid, test, entry.bin_width_ms, columns)
    clock = _compared_with_clock(store, entry, columns, decoding)
    units, correlation = _against_recorded(store, entry, columns, decoding)
    metrics = metrics_of(decoding, entry.bin_width_ms, clock, units)
    return metrics | {"correlation_per_axis": correlation}, units


def scored_folds(entry: Entry) -> tuple[str, ...]:
    """The folds that R² is computed over, together: the published protocols include the early-stopping fold.

    See docs/methods.md, Splits and protocols.
    """
    return ("valid", "test") if entry.protocol in SCORED_WITH_VALID else ("test",)


@dataclass(frozen=True, kw_only=True, eq=False)
class _ModelOnSession:
    model: Model
    inputs: Inputs
    store: Store
    entry: Entry
    device: str

    def pairs(
        self,
        columns: Sequence[str],
        folds: tuple[str, ...],
        features: Callable[[Tensor], np.ndarray],
        recorder: SegmentRecorder | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(features (T, .) of the latents, behavior (T, K)) of every segment of the folds."""
        signals = (*self.inputs.signals, "behavior")
        segments, encoded = itertools.tee(
            s for fold in folds for s in self.store.stream(self.entry, fold, signals=signals)
        )
        for segment, latents in zip(segments, encode(self.model, encoded, self.inputs, self.device), strict=True):
            values, behavior = features(latents), behavior_of(segment, self.entry, columns)
            if recorder:
                recorder.add(segment.number, latents.numpy(), values, behavior)
            yield values, behavior

    def neural(self) -> dict[str, dict[str, float]]:
        """How well the model predicts the signals of the scored segments."""
        stored = (
            segment
            for fold in scored_folds(self.entry)
            for segment in self.store.stream(self.entry, fold, signals=self.inputs.signals)
        )
        return signal_scores(self.model, stored, self.inputs, self.entry.n_columns, self.entry.bin_width_ms)

    @torch.no_grad()
    def own_head(self, latents: Tensor) -> np.ndarray:
        """Behavior (n, K) that the model's own head predicts from latents (n, D)."""
        return self.model.behavior(latents.to(self.device)).cpu().numpy()


def _least_squares(
    session: _ModelOnSession, columns: Sequence[str], recorder: SegmentRecorder | None = None
) -> tuple[Decoding, float | None]:
    """Ordinary least squares from latents to behavior, fitted on the training segments; and R² with the clock added, if
    trials are aligned."""
    train, valid = (session.pairs(columns, (fold,), Tensor.numpy) for fold in ("train", "valid"))
    test = session.pairs(columns, scored_folds(session.entry), Tensor.numpy, recorder)
    if not session.entry.aligned:
        return decode(train, valid, test, columns), None
    longest = max(n for part in session.entry.parts for n in part.n_bins)
    return decode_with_and_without_clock(train, valid, test, columns, ClockCode(longest))


def _from_past(
    session: _ModelOnSession, columns: Sequence[str], recorder: SegmentRecorder, past_bins: int
) -> SessionScore:
    """Ridge from the latents of a bin and of those before it."""

    def features(latents: Tensor) -> np.ndarray:
        return with_past(latents.numpy(), past_bins)

    store, entry, scored = session.store, session.entry, scored_folds(session.entry)
    decoding = decode_from_past(
        lambda: session.pairs(columns, ("train",), features),
        lambda: session.pairs(columns, ("valid",), features),
        session.pairs(columns, scored, features, recorder),
        columns,
        refit="valid" not in scored,
    )
    assert decoding.decoder is not None
    linear = decoding.decoder.predict
    units, correlation = _against_recorded(store, entry, columns, decoding)
    return SessionScore(
        decoding=decoding,
        r2_least_squares=None,
        clock=_compared_with_clock(store, entry, columns, decoding),
        units=units,
        correlation_per_axis=correlation,
        segments=recorder.segments(linear),
        predict=lambda latents: linear(features(latents)),
    )


def _compared_with_clock(
    store: Store, entry: Entry, columns: Sequence[str], decoding: Decoding, with_clock: float | None = None
) -> ClockSkill | None:
    """A decoding of the scored segments compared with the clock; None if the trials of the session are not aligned."""
    if not entry.aligned:
        return None
    train, valid, test = (
        [recorded_behavior(s) for s in folds_of(store, entry, folds, (), columns)]
        for folds in (("train",), ("valid",), scored_folds(entry))
    )
    return clock_skill(train, valid, test, columns, decoding, with_clock)


def _against_recorded(
    store: Store, entry: Entry, columns: Sequence[str], decoding: Decoding
) -> tuple[ScoredUnits, dict[str, float | None]]:
    """The trials or segments of a decoding of the scored segments, and the correlation of each column."""
    segments = list(folds_of(store, entry, scored_folds(entry), (), columns))
    trials = [s.trial if entry.config["splits"]["by"] == "trials" else None for s in segments]
    recorded = [recorded_behavior(s) for s in segments]
    units = scored_units(recorded, decoding.decoded, [s.number for s in segments], trials)
    target, decoded = np.concatenate(recorded), np.concatenate(decoding.decoded)
    known = np.isfinite(target).all(axis=1)
    correlation = correlation_per_column(target[known], decoded[known])
    named = zip(columns, correlation.tolist(), strict=True)
    return units, {name: value if np.isfinite(value) else None for name, value in named}


def _own_head(session: _ModelOnSession, recorder: SegmentRecorder) -> Decoding:
    """Behavior as the model's own head predicts it."""
    columns = session.model.spec.behavior
    valid = session.pairs(columns, ("valid",), session.own_head)
    test = session.pairs(columns, scored_folds(session.entry), session.own_head, recorder)
    return evaluate(lambda outputs: outputs, valid, test, columns, n_train=0)
