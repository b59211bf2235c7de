"""A trained model for use in Python, from arrays to latents; `raydistill.load_model` returns one."""

from pathlib import Path

import numpy as np
import torch

from raydistill.errors import DataError
from raydistill.feed.tokens import pack
from raydistill.models.arrays import ArrayInputs
from raydistill.models.files import load_model as load_neural
from raydistill.models.files import read_card
from raydistill.models.spec import ModelSpec
from raydistill.models.stream import Stream


class LoadedModel:
    """A model with the weights of its best epoch, in evaluation mode.

    Attributes:
        spec: configuration, sessions and origin of the model (`spec.provenance`).
        card: the model card as Markdown: data, protocol, training, scores, what the model sees, and its limits; "" if
            the model is not that of a job.
    """

    def __init__(self, folder: Path):
        self._model = load_neural(Path(folder))
        self.spec: ModelSpec = self._model.spec
        self.card = read_card(Path(folder))

    @property
    def sessions(self) -> tuple[str, ...]:
        """Sessions for which the model has space embeddings."""
        return tuple(self.spec.sessions)

    @torch.no_grad()
    def latents(
        self, *, spikes: np.ndarray | None = None, lfp: np.ndarray | None = None, session: str | None = None
    ) -> np.ndarray:
        """Latents of every bin of a piece of a recording without gaps, nothing masked.

        A model that was trained on pieces of segments (`piece_s`) reads pieces of that length, each by itself.

        Args:
            spikes: (T, units) counts per bin; for a model of spikes, or of both signals. Units and channels are those
                of `session`, in the same order.
            lfp: (T, channels) z-scored per channel, as in the store; for a model of LFP, or of both signals.
            session: whose space embeddings are used; required if the model has several sessions.
        Returns:
            (T, D) float32.
        Raises:
            DataError: an array or the session is missing, unknown or not read by the model, or an array has a wrong
                shape, other units or channels than the session of the training, or invalid values.
        """
        return self._model.latents(self._batch(spikes, lfp, session)).float().numpy()

    @torch.no_grad()
    def behavior(
        self, *, spikes: np.ndarray | None = None, lfp: np.ndarray | None = None, session: str | None = None
    ) -> np.ndarray:
        """Behavior decoded by the model's behavior head: (T, K) float32, z-scored, with the columns `spec.behavior`.

        Arguments and errors are those of `latents`. Also raises DataError if the model was trained without behavior.
        """
        if not self.spec.behavior:
            raise DataError("this model has no behavior head: it was trained without behavior (`supervision: none`)")
        latents = self._model.latents(self._batch(spikes, lfp, session))
        return self._model.behavior(latents).float().numpy()

    def stream(self, *, session: str | None = None, streams: int = 1, window_bins: int | None = None) -> Stream:
        """Read recordings bin by bin, without later bins; only of a causal model.

        Args:
            session: whose space embeddings are used; required if the model has several sessions.
            streams: number of recordings that are read at the same time.
            window_bins: how many bins attention reads, the present one included; by default those of the segments on
                which the model was trained. Models without attention do not use it.
        Raises:
            DataError: the model is not causal, or does not know the session.
        """
        return Stream(self._model, ArrayInputs(self.spec, session), streams=streams, window_bins=window_bins)

    def _batch(self, spikes, lfp, session):
        return pack(ArrayInputs(self.spec, session).tokenize_pieces({"spikes": spikes, "lfp": lfp}))


def load_model(folder: str | Path) -> LoadedModel:
    """The model in a job's folder, or in any folder with its model.safetensors and model.json.

    Raises:
        CheckpointError: a file is missing or corrupt.
    """
    return LoadedModel(Path(folder))
