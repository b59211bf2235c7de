"""How well a label of one stored session is decoded: from the latents of a model, by its own outputs, or by a baseline.

Axes: T bins of a segment, n examples, D width of the model, C classes.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from raydistill.errors import DataError
from raydistill.evaluation.baselines import Baseline
from raydistill.evaluation.decoders.classify import (
    LabelDecoding,
    LabelTask,
    decode_label,
    evaluate_label,
    present_codes,
)
from raydistill.evaluation.folds import folds_of
from raydistill.evaluation.interval import ScoreInterval, auc_interval
from raydistill.evaluation.scored_segments import ScoredSegments, SegmentRecorder
from raydistill.evaluation.session_scores import scored_folds
from raydistill.feed.tokens import SpikesAs
from raydistill.models.inputs import inputs_of
from raydistill.models.latents import encode
from raydistill.models.model import Model
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store

_FIGURES = ("auc", "auc_per_class", "accuracy", "balanced_accuracy", "largest_class", "n_train", "n_test")


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelScore:
    """How well a model or baseline decodes a label of one session."""

    label: str
    of: str
    """segments or bins."""
    decoding: LabelDecoding
    """By the model's own outputs if it has them, otherwise by logistic regression from its latents."""
    auc_logistic: float | None
    """AUC by logistic regression, for comparison, of a model that has its own outputs."""
    interval: ScoreInterval
    """Of the AUC."""
    seconds: float
    """Length of the scored segments."""
    segments: ScoredSegments | None
    """None for a baseline."""

    def metrics(self) -> dict[str, Any]:
        """The numbers that a job stores as JSON."""
        numbers: dict[str, Any] = {name: getattr(self.decoding, name) for name in _FIGURES}
        numbers |= {"label": {"name": self.label, "of": self.of, "missing": self.decoding.missing}}
        numbers |= {"n_test_segments": self.decoding.n_test_segments, "test_s": self.seconds}
        numbers |= {"settings": self.decoding.settings} | self.interval.metrics("auc")
        if self.decoding.valid_auc is not None:
            numbers["valid_auc"] = self.decoding.valid_auc
        return numbers | ({} if self.auc_logistic is None else {"auc_logistic": self.auc_logistic})


def label_task(entry: Entry, name: str) -> LabelTask:
    """What is decoded of a session. Raises DataError if it has no such label."""
    if name not in entry.labels:
        raise DataError(f'session {entry.session} has no label "{name}"; it has {", ".join(entry.labels) or "none"}')
    return LabelTask(name=name, label=entry.labels[name])


def score_label(
    model: Model, store: Store, entry: Entry, label: str, spikes_as: SpikesAs = "recorded", device: str = "cpu"
) -> LabelScore:
    """How well a label is decoded from the latents of a model, under the protocol of the session.

    A logistic regression is fitted on the latents of the training segments. A model that was trained on this label is
    scored by its own outputs, and additionally by logistic regression.

    Args:
        spikes_as: the spikes that a multimodal model reads: recorded, mean or silence.
        device: where the model runs; it stays there.
    Raises:
        DataError: as `decode_label`.
    """
    task, inputs = label_task(entry, label), inputs_of(model.spec, [entry], spikes_as)
    recorder, scored = SegmentRecorder(entry.bin_width_ms), scored_folds(entry)

    def examples(*folds: str, recorder: SegmentRecorder | None = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        signals = (*inputs.signals, "labels")
        segments, encoded = itertools.tee(s for fold in folds for s in store.stream(entry, fold, signals=signals))
        for segment, latents in zip(segments, encode(model, encoded, inputs, device), strict=True):
            assert segment.labels is not None
            if recorder:
                nothing = np.empty((segment.n_bins, 0), dtype=np.float32)  # no behavior is decoded
                recorder.add(segment.number, latents.numpy(), nothing, nothing)
            yield task.examples(latents.numpy(), segment.labels)

    valid, test = list(examples("valid")), list(examples(*scored, recorder=recorder))
    logistic = decode_label(examples("train"), valid, test, task, _bins(entry, ["train"]))
    own = None
    if _predicts(model, task, entry):
        codes = [s.labels for s in store.stream(entry, "train", signals=("labels",)) if s.labels is not None]
        own = evaluate_label(_own_outputs(model, device), valid, test, task, present_codes(codes, task), n_train=0)
    decoding = own or logistic
    return LabelScore(
        label=label,
        of=task.label.of,
        decoding=decoding,
        auc_logistic=logistic.auc if own else None,
        interval=_interval(decoding, store, entry),
        seconds=_bins(entry, scored) * entry.bin_width_ms / 1000,
        segments=recorder.segments(lambda nothing: nothing),
    )


def score_label_baseline(baseline: Baseline, store: Store, entry: Entry, label: str) -> LabelScore:
    """How well a baseline decodes a label, under the protocol of the session. Raises DataError as `decode_label`."""
    task, scored = label_task(entry, label), scored_folds(entry)
    train, valid, test = (
        folds_of(store, entry, folds, baseline.reads, None) for folds in (("train",), ("valid",), scored)
    )
    decoding = baseline.score(train, valid, test, entry.bin_width_ms, task)
    return LabelScore(
        label=label,
        of=task.label.of,
        decoding=decoding,
        auc_logistic=None,
        interval=_interval(decoding, store, entry),
        seconds=_bins(entry, scored) * entry.bin_width_ms / 1000,
        segments=None,
    )


def _interval(decoding: LabelDecoding, store: Store, entry: Entry) -> ScoreInterval:
    """How much the AUC depends on which trials, or else segments, were scored."""
    segments = folds_of(store, entry, scored_folds(entry), (), None)
    numbers, trials = zip(*((s.number, s.trial) for s in segments), strict=True)
    by_trials = entry.config["splits"]["by"] == "trials"
    return auc_interval(decoding.scored, numbers, trials if by_trials else [None] * len(numbers))


def _predicts(model: Model, task: LabelTask, entry: Entry) -> bool:
    """Whether the model has outputs for this label. Raises DataError if their classes are not the session's."""
    outputs = model.spec.label
    if outputs is None or outputs.name != task.name:
        return False
    if outputs.classes != task.label.classes:
        raise DataError(
            f'the model predicts the classes {", ".join(outputs.classes)} of the label "{task.name}", but session '
            f"{entry.session} has {', '.join(task.label.classes)}; leave the session out"
        )
    return True


def _own_outputs(model: Model, device: str) -> Callable[[np.ndarray], np.ndarray]:
    """From latents (n, D) to the probabilities (n, C) by the model's own outputs."""

    @torch.no_grad()
    def probabilities(latents: np.ndarray) -> np.ndarray:
        outputs = model.classes(torch.from_numpy(latents).to(device, torch.float32))
        return outputs.double().softmax(dim=1).cpu().numpy()

    return probabilities


def _bins(entry: Entry, folds: Sequence[str]) -> int:
    return sum(sum(part.n_bins) for part in entry.parts if part.split in folds)
