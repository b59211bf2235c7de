"""A trained model for use in Python, from arrays to latents; `raydistill.load_model` returns one."""

from pathlib import Path

import numpy as np
import torch

from raydistill.errors import DataError, suggest
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.files import load_model as load_neural
from raydistill.models.spec import ModelSpec
from raydistill.store.catalogue import Normalisation
from raydistill.store.session import Segment


class LoadedModel:
    """A model with the weights of its best epoch, in evaluation mode.

    Attributes:
        spec: configuration, sessions and origin of the model (`spec.provenance`).
    """

    def __init__(self, folder: Path):
        self._model = load_neural(Path(folder))
        self.spec: ModelSpec = self._model.spec

    @property
    def sessions(self) -> tuple[str, ...]:
        """Sessions for which the model has space embeddings."""
        return tuple(self.spec.sessions)

    @torch.no_grad()
    def latents(
        self, *, spikes: np.ndarray | None = None, lfp: np.ndarray | None = None, session: str | None = None
    ) -> np.ndarray:
        """Latents of every bin of a piece of a recording without gaps, nothing masked.

        Args:
            spikes: (T, units) counts per bin; for a model of spikes, or of both signals.
            lfp: (T, channels) z-scored per channel, as in the store; for a model of LFP, or of both signals.
            session: whose space embeddings are used; required if the model has several sessions.
        Returns:
            (T, D) float32.
        Raises:
            DataError: an array or the session is missing or unknown, or an array has a wrong shape or invalid values.
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

    def _batch(self, spikes, lfp, session):
        session = self._session(session)
        arrays = {"spikes": spikes, "lfp": lfp}
        read = ("spikes", "lfp") if self.spec.modality == "multimodal" else (self.spec.modality,)
        for name in read:
            arrays[name] = _matrix(name, arrays[name])
        if len({len(arrays[name]) for name in read}) > 1:
            raise DataError(
                f"spikes have {len(arrays['spikes'])} bins and lfp {len(arrays['lfp'])}; give the same bins"
            )
        norms = self.spec.provenance.get("normalisation", {}).get(session, {})
        spikes_norm = {session: Normalisation(**norms["spikes"])} if "spikes" in norms else {}
        inputs = Inputs(modality=self.spec.modality, widths=self.spec.widths, spikes_norm=spikes_norm)
        return pack([inputs.tokenize(Segment(session, 0, "test", 0.0, arrays["spikes"], arrays["lfp"], None))])

    def _session(self, session):
        if session is None and len(self.sessions) == 1:
            return self.sessions[0]
        if session not in self.sessions:
            value = f'"{session}"' if session else "none"
            hint = suggest(session or "", self.sessions)
            raise DataError(
                f"the model has {len(self.sessions)} sessions; give one as `session`, but got {value}{hint}"
            )
        return session


def _matrix(name, values):
    """(T, columns) in the type of the store: uint8 counts, float32 LFP."""
    if values is None:
        raise DataError(f"this model reads {name}: give `{name}` as an array of shape (bins, columns)")
    values = np.asarray(values)
    if values.ndim != 2 or not len(values):
        raise DataError(f"`{name}` has the shape {values.shape}, but must have the shape (bins, columns)")
    if not np.isfinite(values).all():
        raise DataError(f"`{name}` contains values that are not finite; fill or remove these bins")
    if name == "lfp":
        return values.astype(np.float32)
    if values.min() < 0 or values.max() > 255 or np.any(values != np.round(values)):
        raise DataError("`spikes` must contain whole numbers from 0 to 255")
    return values.astype(np.uint8)


def load_model(folder: str | Path) -> LoadedModel:
    """The model in a job's folder, or in any folder with its model.safetensors and model.json.

    Raises:
        CheckpointError: a file is missing or corrupt.
    """
    return LoadedModel(Path(folder))
