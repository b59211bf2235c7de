"""A trained model and its read-out, bin by bin, in the units of the recording."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from raydistill.decode.decoder import Decoder
from raydistill.errors import DataError
from raydistill.feed.tokens import Tokens
from raydistill.models.arrays import checked_arrays
from raydistill.models.columns import WORDS
from raydistill.models.inputs import inputs_of
from raydistill.models.stream import Stream
from raydistill.store.session import Segment


class SessionInputs:
    """Cuts bins of a session of a store into tokens, as its segments are cut."""

    def __init__(self, decoder: Decoder):
        self._inputs = inputs_of(decoder.model.spec, [decoder.entry])
        self._name, self.session = decoder.entry.session, decoder.about["as"]
        self._spec, self._n_columns = decoder.model.spec, decoder.entry.n_columns
        self.patches = self._inputs.patches_of(decoder.entry)

    def tokenize(self, arrays: Mapping[str, np.ndarray]) -> Tokens:
        """The tokens of (T, columns) arrays by signal.

        Raises:
            DataError: as `checked_arrays`, or the session has other units or channels.
        """
        read = checked_arrays(self._spec, arrays)
        for name, values in read.items():
            if values.shape[1] != (n := self._n_columns[name]):
                raise DataError(f"a bin has {values.shape[1]} {WORDS[name]}, but session {self._name} has {n}")
        return self._inputs.tokenize(Segment(self._name, 0, "test", 0.0, read.get("spikes"), read.get("lfp"), None))


class StreamDecoder:
    """Decodes the behavior of one session bin by bin, in the units of the recording.

    A model with a behavior head decodes by this head, any other by the least squares that `Decoder` has fitted.

    Raises:
        DataError: the model is not causal.
    """

    def __init__(self, decoder: Decoder, window_bins: int | None = None, streams: int = 1):
        self.decoder = decoder
        self.stream = Stream(decoder.model, SessionInputs(decoder), window_bins=window_bins, streams=streams)

    @property
    def lookahead_bins(self) -> int:
        """How many bins late the model answers."""
        return self.stream.lookahead_bins

    @property
    def columns(self) -> tuple[str, ...]:
        """The K behavior columns."""
        return self.decoder.columns

    def reset(self) -> None:
        """Begin a new segment: forget all earlier bins."""
        self.stream.reset()

    def step(self, *, spikes: np.ndarray | None = None, lfp: np.ndarray | None = None) -> np.ndarray:
        """The behavior (K,) of the next bin, from its counts (units,) and z-scored LFP (channels,).

        With n streams, all arrays have n rows. With `lookahead_bins`, it is that of so many bins before, NaN at first.
        """
        return self._behavior(self.stream.step(spikes=spikes, lfp=lfp).latents)

    def finish(self) -> Iterator[np.ndarray]:
        """The behavior (K,) of each of the last `lookahead_bins` bins, NaN for those that a shorter segment lacks; then
        a new segment begins.
        """
        for output in self.stream.finish():
            yield self._behavior(output.latents)

    def _behavior(self, latents: np.ndarray) -> np.ndarray:
        z_scored = self.decoder.score.predict(torch.from_numpy(np.atleast_2d(latents)))
        behavior = self.decoder.entry.normalisation["behavior"].undo(z_scored, self.decoder.column_indices)
        return behavior[0] if self.stream.streams == 1 else behavior


def on_z_scores(decoder: StreamDecoder) -> str:
    """Why the score of a model says more than it will reach live, as one line; empty if it does not.

    Mean and SD of a stored session are numbers, so a stream can always use them. But those of whole sessions have read
    the bins that were scored.
    """
    entry, signal = decoder.decoder.entry, decoder.decoder.model.spec.modality
    if signal == "spikes" or entry.protocol == "corrected":
        return ""
    return (
        f"session {entry.session} was stored with z-scores of the whole session (`protocol: {entry.protocol}`), which "
        "have read the scored bins: the stream uses the stored mean and SD, and a recording that it has not seen may "
        "be decoded less well than R² says; `protocol: corrected` fits them on the training fold"
    )


def check_reads_raw_lfp(decoder: StreamDecoder) -> None:
    """Raise a DataError for a model of spikes, which have no raw samples and no filters."""
    if (signal := decoder.decoder.model.spec.modality) != "lfp":
        raise DataError(f"`rate_hz` is the rate of raw LFP samples, but this model reads {signal}; leave it out")
