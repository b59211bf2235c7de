"""A trained model for use in Python, from arrays to latents; `raydistill.load_model` returns one."""

from pathlib import Path

import numpy as np
import torch

from raydistill.errors import DataError, one_line, suggest
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.columns import check_columns, normalisation_of, signals_of
from raydistill.models.files import load_model as load_neural
from raydistill.models.files import read_card
from raydistill.models.spec import ModelSpec
from raydistill.store.session import Segment


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

    def _batch(self, spikes, lfp, session):
        session = self._session(session)
        arrays = {"spikes": spikes, "lfp": lfp}
        read = signals_of(self.spec)
        for name, values in arrays.items():
            if name in read:
                arrays[name] = _matrix(name, values)
            elif values is not None:
                raise DataError(f"this model reads {self.spec.modality} and not {name}; leave `{name}` out")
        if len({len(arrays[name]) for name in read}) > 1:
            raise DataError(
                f"spikes have {len(arrays['spikes'])} bins and lfp {len(arrays['lfp'])}; give the same bins"
            )
        check_columns(self.spec, session, {name: arrays[name].shape[1] for name in read}, "the array")
        norms = normalisation_of(self.spec, session)
        if len(read) == 2 and "spikes" not in norms:
            raise DataError("model.json has no normalisation of spikes, so that this model cannot read arrays")
        spikes_norm = {session: norms["spikes"]} if "spikes" in norms else {}
        inputs = Inputs(modality=self.spec.modality, widths=self.spec.widths, spikes_norm=spikes_norm)
        return pack([inputs.tokenize(Segment(session, 0, "test", 0.0, arrays["spikes"], arrays["lfp"], None))])

    def _session(self, session):
        if session is None and len(self.sessions) == 1:
            return self.sessions[0]
        if session not in self.sessions:
            value = f'"{session}"' if session else "none"
            hint = suggest(str(session or ""), self.sessions)
            raise DataError(
                f"the model has {len(self.sessions)} sessions; give one as `session`, but got {value}{hint}"
            )
        return session


def _matrix(name, values):
    """(T, columns) in the type of the store: uint8 counts, float32 LFP."""
    if values is None:
        raise DataError(f"this model reads {name}: give `{name}` as an array of shape (bins, columns)")
    try:
        values = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as err:  # rows of several lengths, a tensor with a gradient
        raise DataError(f"`{name}` is not an array of shape (bins, columns): {one_line(err)}") from None
    if values.dtype.kind not in "biuf":
        raise DataError(f"`{name}` has the type {values.dtype}, but must be of whole or real numbers")
    if values.ndim != 2 or not values.size:
        raise DataError(f"`{name}` has the shape {values.shape}, but must have the shape (bins, columns)")
    if not np.isfinite(values).all():
        raise DataError(f"`{name}` contains values that are not finite; fill or remove these bins")
    if name == "lfp":
        if np.abs(values).max() > np.finfo(np.float32).max:
            raise DataError("`lfp` contains values that are too large for float32; it must be z-scored per channel")
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
