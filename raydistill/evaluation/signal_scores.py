"""How well a model of the signals themselves predicts the spikes and LFP of the scored segments.

Axes: N bins of all scored segments, T bins of one, U units, C channels.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from raydistill.evaluation.neural import bits_per_spike, prediction_power, r2_per_column
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.columns import signals_of
from raydistill.models.latents import BATCH
from raydistill.models.model import Model
from raydistill.store.session import Segment

HELD_OUT = 4
"""Every so many-th unit and channel is held out."""
FORWARD_S = 0.2
"""Seconds at the end of each segment that forward prediction predicts, as in the Neural Latents Benchmark."""


@torch.no_grad()
def signal_scores(
    model: Model, segments: Iterable[Segment], inputs: Inputs, n_columns: Mapping[str, int], bin_width_ms: float
) -> dict[str, dict[str, float]]:
    """The scores of three predictions (docs/methods.md, Neural metrics); what cannot be scored is left out.

    `one_step`: each bin from the bins before it. `co_smoothing`: held-out units and channels from the others, of this
    and earlier bins. `forward`: the last bins of each segment from all bins before them.

    Args:
        segments: the scored ones, of one session, with the signals that the model reads.
        n_columns: units and channels of the session: spikes -> U, lfp -> C.
    """
    hidden, last = _held_out(model, n_columns), round(FORWARD_S * 1000 / bin_width_ms)
    predictions = _Predictions(("one_step", "co_smoothing", "forward"))
    for some in _batches(segments):
        batch = pack([inputs.tokenize(s) for s in some]).to(str(next(model.parameters()).device))
        recorded = {name: np.concatenate([_signal(s, name) for s in some]) for name in signals_of(model.spec)}
        bins = np.concatenate([np.arange(n)[::-1] for n in batch.bins])  # bins until the end of the segment
        is_last = (bins < last) & np.repeat([n > 2 * last for n in batch.bins], batch.bins)
        for task, options, rows in (
            ("one_step", {"ahead": True}, slice(None)),
            ("co_smoothing", {"ahead": False, "hidden": hidden}, slice(None)),
            ("forward", {"ahead": False, "unseen": last}, is_last),
        ):
            for name, expected in model.expected_signals(batch, **options).items():
                columns = hidden[name].numpy(force=True)[: n_columns[name]] if task == "co_smoothing" else slice(None)
                values = expected.numpy(force=True)[:, : n_columns[name]]
                predictions.add(task, name, recorded[name][rows][:, columns], values[rows][:, columns])
    return predictions.scores()


class _Predictions:
    """Recorded and predicted signals of each task."""

    def __init__(self, tasks: tuple[str, ...]):
        self._tasks = tasks
        self._pairs: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = {}

    def add(self, task: str, signal: str, recorded: np.ndarray, predicted: np.ndarray) -> None:
        """Add some bins."""
        self._pairs.setdefault((task, signal), []).append((recorded, predicted))

    def scores(self) -> dict[str, dict[str, float]]:
        """Task -> its scores."""
        return {task: scores for task in self._tasks if (scores := dict(self._scores_of(task)))}

    def _scores_of(self, task: str) -> Iterator[tuple[str, float]]:
        for signal in ("spikes", "lfp"):
            pairs = self._pairs.get((task, signal), [])
            if not sum(recorded.size for recorded, _ in pairs):
                continue
            recorded, predicted = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
            if signal == "lfp":
                r2 = r2_per_column(recorded, predicted)
                if np.isfinite(r2).any():
                    yield "lfp_r2", float(np.nanmean(r2))
                continue
            for name, score in (("bits_per_spike", bits_per_spike), ("prediction_power", prediction_power)):
                if (value := score(predicted, recorded)) is not None:
                    yield name, value


def _batches(segments: Iterable[Segment]) -> Iterator[list[Segment]]:
    remaining = iter(segments)
    while together := list(islice(remaining, BATCH)):
        yield together


def _held_out(model: Model, n_columns: Mapping[str, int]) -> dict[str, Tensor]:
    """Signal -> (slots,) bool, whether a column is held out; columns are numbered from 1."""
    (patches,), device = set(model.spec.sessions.values()), next(model.parameters()).device
    hidden = {}
    for name, width in zip(signals_of(model.spec), model.spec.widths, strict=True):
        number = torch.arange(1, patches * width + 1, device=device)
        hidden[name] = (number % HELD_OUT == 0) & (number <= n_columns[name])
    return hidden


def _signal(segment: Segment, name: str) -> np.ndarray:
    values = segment.spikes if name == "spikes" else segment.lfp
    assert values is not None  # `tokenize` has checked this
    return values
