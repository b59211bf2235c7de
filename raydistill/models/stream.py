"""A causal model that reads recordings bin by bin, as in an experiment that runs (`LoadedModel.stream`).

Axes: n streams, D width of the latents, K behavior columns.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from raydistill.errors import DataError
from raydistill.feed.tokens import Batch, Tokens, pack
from raydistill.models.columns import signals_of
from raydistill.models.layers.state import State
from raydistill.models.model import Model

DEFAULT_WINDOW_BINS = 500
"""Bins that attention reads if model.json does not say how long the segments of the training were."""


class StreamInputs(Protocol):
    """How bins of a session become tokens."""

    session: str
    """Whose space embeddings the model uses."""
    patches: int
    """Patches per bin."""

    def tokenize(self, arrays: Mapping[str, Any]) -> Tokens:
        """The tokens of (T, columns) arrays by signal."""
        ...


class StreamOutput(NamedTuple):
    """What a model makes of one bin; without the first axis if there is one stream."""

    latents: np.ndarray
    """(n, D) float32."""
    behavior: np.ndarray | None
    """(n, K) float32, z-scored, by the behavior head; None for a model without one."""


class Stream:
    """n recordings of one session, read bin by bin.

    From the start of a segment, and for as many bins as attention reads, the latents are those of the whole segment.
    The state has the same size after any number of bins. A model with `lookahead_bins` answers so many bins late:
    `step` gives the latents of an earlier bin, NaN as long as there is none, and `finish` those of the last bins.

    Raises:
        DataError: the model is not causal, or an argument is not a number above 0.
    """

    def __init__(self, model: Model, inputs: StreamInputs, *, streams: int = 1, window_bins: int | None = None):
        if not model.spec.config.causal:
            raise DataError(
                "this model reads later bins, so it cannot run bin by bin; train one with `model: {causal: true}`"
            )
        self.window_bins = _trained_window(model, inputs.session) if window_bins is None else window_bins
        if not all(isinstance(n, int | np.integer) and n >= 1 for n in (streams, self.window_bins)):
            raise DataError(
                f"`streams` and `window_bins` must be whole numbers of at least 1, but got {streams} and {window_bins}"
            )
        self.session, self.streams = inputs.session, streams
        self.lookahead_bins = model.spec.lookahead_bins
        self._model, self._inputs = model, inputs
        self._batch: Batch | None = None
        self.reset()

    def reset(self, which: np.ndarray | None = None) -> None:
        """Begin a new segment: forget all earlier bins.

        Args:
            which: (n,) bool, the streams that begin one; None: all.
        """
        first = self.first_state()
        if which is None:
            self._state = first
            return
        if np.shape(which) != (self.streams,):
            raise DataError(f"`which` has the shape {np.shape(which)}, but there are {self.streams} streams")
        begins = torch.from_numpy(np.asarray(which, dtype=bool))
        for name, values in self._state.items():
            shape = (self.streams, *[1] * (values.ndim - 1))
            self._state[name] = torch.where(begins.view(shape), first[name], values)  # (n,) -> (n, 1, ...)

    def first_state(self) -> State:
        """The state before the first bin."""
        return self._model.initial_state(self.streams, self._inputs.patches, self.window_bins)

    @property
    def state(self) -> dict[str, np.ndarray]:
        """What the model remembers of earlier bins: name -> a copy of the array. Set it to go on from there."""
        return {name: values.numpy(force=True).copy() for name, values in self._state.items()}

    @state.setter
    def state(self, state: Mapping[str, np.ndarray]) -> None:
        expected = {name: tuple(values.shape) for name, values in self._state.items()}
        if (got := {name: np.shape(values) for name, values in state.items()}) != expected:
            differing = sorted(name for name in {*expected, *got} if expected.get(name) != got.get(name))
            raise DataError(
                f"the state is one of another stream: {differing[0]} has the shape {got.get(differing[0], 'none')} "
                f"instead of {expected.get(differing[0], 'none')}"
            )
        if bad := sorted(name for name, values in state.items() if not np.isfinite(values).all()):
            raise DataError(f"the state is damaged: {bad[0]} has values that are not finite; call `reset` instead")
        self._state = {
            name: torch.tensor(state[name], dtype=before.dtype, device=before.device)
            for name, before in self._state.items()
        }

    @torch.no_grad()
    def step(self, *, spikes: np.ndarray | None = None, lfp: np.ndarray | None = None) -> StreamOutput:
        """Read the next bin.

        Args:
            spikes: (units,) counts, or (n, units); for a model of spikes, or of both signals.
            lfp: (channels,) z-scored as in the store, or (n, channels); for a model of LFP, or of both signals.
        Raises:
            DataError: as `LoadedModel.latents`, or for another number of streams. The state is then unchanged.
        """
        given = {name: self._rows(name, x) for name, x in (("spikes", spikes), ("lfp", lfp)) if x is not None}
        missing = {name: None for name in signals_of(self._model.spec) if name not in given}
        tokens = self._inputs.tokenize(given | missing)  # n bins of one segment, taken as one bin of n streams
        if tokens.n_patches != self._inputs.patches:
            raise DataError(
                f"a bin of {self.session} has {tokens.n_patches} patches, but the stream began with "
                f"{self._inputs.patches}; give the channels of one session on which the model was trained"
            )
        is_early = self._state["time"] < self.lookahead_bins if self.lookahead_bins else None
        self._state, latents = self._model.step(self._state, self._packed(tokens))
        return self._output(latents, is_early)

    @torch.no_grad()
    def finish(self) -> Iterator[StreamOutput]:
        """The outputs of the last `lookahead_bins` bins, of segments that end here; then new ones begin.

        NaN for those that a shorter segment lacks.

        Raises:
            DataError: the segments began in another stream, from which only the state comes.
        """
        if self.lookahead_bins and self._batch is None and self._state["time"].any():
            raise DataError("the state is that of another stream, and no bin was read since; call `finish` of that one")
        for _ in range(self.lookahead_bins if self._batch is not None else 0):
            assert self._batch is not None
            is_early = self._state["time"] < self.lookahead_bins
            self._state, latents = self._model.step_after_end(self._state, self._batch)
            yield self._output(latents, is_early)
        self.reset()

    def _output(self, latents: torch.Tensor, is_early: torch.Tensor | None) -> StreamOutput:
        """Latents (n, D) and behavior; NaN for streams that have not reached the bin that they would answer, (n,)."""
        if is_early is not None:
            latents = latents.masked_fill(is_early[:, None], torch.nan)
        behavior = self._model.behavior(latents) if self._model.spec.behavior else None
        return StreamOutput(self._unstacked(latents), None if behavior is None else self._unstacked(behavior))

    def _packed(self, tokens: Tokens) -> Batch:
        """One bin of each stream. What is not a value is the same for every bin, and takes most of the time to make."""
        if self._batch is None:
            one = dataclasses.replace(tokens, values=tokens.values[: tokens.n_patches], n_bins=1)
            self._batch = pack([one] * self.streams)
        elif not np.array_equal(self._batch.slots[: tokens.n_patches], tokens.slots):
            raise DataError("a bin has another number of units or channels than the bins before it")
        values = tokens.values
        kind = next(self._model.parameters()).dtype if values.is_floating_point() else values.dtype
        return dataclasses.replace(self._batch, values=values.to(kind))

    def _rows(self, name: str, values: np.ndarray) -> np.ndarray:
        """(n, columns)."""
        values = np.asarray(values)
        if self.streams == 1 and values.ndim == 1:
            return values[None]
        if values.ndim != 2 or len(values) != self.streams:
            raise DataError(
                f"`{name}` has the shape {values.shape}, but must have one row for each of {self.streams} streams"
            )
        return values

    def _unstacked(self, values: torch.Tensor) -> np.ndarray:
        array = values.float().numpy(force=True)
        return array[0] if self.streams == 1 else array


def _trained_window(model: Model, session: str) -> int:
    """Bins of the segments on which a model was trained."""
    return model.spec.lookahead_bins + (model.spec.segment_bins(session) or DEFAULT_WINDOW_BINS)
