"""A causal model of spikes as a decoder of the FALCON benchmark (Karpowicz et al. 2024), without its package.

FALCON's evaluator calls `reset`, then `predict` or `observe` once per bin for a batch of recordings, and `on_done` with
those that have ended.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raydistill.decode.decoder import Decoder
from raydistill.errors import DataError
from raydistill.stream.decoder import StreamDecoder


class FalconDecoder:
    """A batch of streams of one model.

    Args:
        decoder: of the session whose units FALCON presents, at bins of the width on which the model was trained.
        batch_size: recordings that are decoded at the same time.
    Raises:
        DataError: the model is not causal, answers late, or does not read spikes alone.
    """

    def __init__(self, decoder: Decoder, batch_size: int = 1, window_bins: int | None = None):
        if (reads := decoder.model.spec.modality) != "spikes":
            raise DataError(f"FALCON gives counts of spikes, but the model reads {reads}; train one with `spikes`")
        if late := decoder.model.spec.lookahead_bins:
            raise DataError(
                f"the model answers {late} bins late (`lookahead_bins`), but FALCON scores every bin at once"
            )
        self._decoder, self._window_bins = decoder, window_bins
        self.set_batch_size(batch_size)

    def set_batch_size(self, batch_size: int) -> None:
        """Decode another number of recordings, each from its beginning."""
        self.batch_size = batch_size
        self._streams = StreamDecoder(self._decoder, self._window_bins, streams=batch_size)

    def reset(self, dataset_tags: Sequence[Path | str] = ("",)) -> None:
        """Begin all recordings; `dataset_tags` names them."""
        self._streams.reset()

    def predict(self, neural_observations: np.ndarray) -> np.ndarray:
        """The behavior (batch, K) of the next bin, in the units of the recording, from counts (batch, units).

        Raises:
            DataError: another number of rows than `batch_size`.
        """
        return np.atleast_2d(self._streams.step(spikes=neural_observations))

    def observe(self, neural_observations: np.ndarray) -> None:
        """Take notice of a bin that need not be decoded."""
        self.predict(neural_observations)

    def on_done(self, dones: np.ndarray) -> None:
        """Begin again with the recordings that have ended, (batch,) bool."""
        self._streams.stream.reset(np.asarray(dones))
