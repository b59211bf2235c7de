"""One step of a streamed model as a function of tensors alone, which other runtimes can run.

Axes: C columns of a bin, P patches of S slots, D width of the latents, K behavior columns.
"""

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn

from raydistill.decode.decoder import Decoder
from raydistill.errors import DataError
from raydistill.feed.tokens import Batch, pack
from raydistill.models.layers.state import State
from raydistill.models.model import Model
from raydistill.stream.decoder import SessionInputs, StreamDecoder


class StepModule(nn.Module):
    """(bin, state) -> (behavior in the units of the recording, latents, state).

    Args:
        batch: a bin of one stream; its values do not matter.
        first_state: before the first bin.
        n_columns: C.
        weights, bias: (D, K) and (K,), from latents to behavior.
    """

    weights: Tensor
    bias: Tensor

    def __init__(
        self, model: Model, batch: Batch, first_state: State, n_columns: int, weights: np.ndarray, bias: np.ndarray
    ):
        super().__init__()
        self.model, self.first_state, self.n_columns, self._batch = model.eval(), first_state, n_columns, batch
        self.state_names = tuple(first_state)
        self.register_buffer("weights", torch.from_numpy(weights))
        self.register_buffer("bias", torch.from_numpy(bias))

    @classmethod
    def of(cls, decoder: StreamDecoder) -> "StepModule":
        """That of a decoder.

        Raises:
            DataError: the model reads two signals.
        """
        opened, signal = decoder.decoder, decoder.decoder.model.spec.modality
        if signal == "multimodal":
            raise DataError("a model that reads spikes and LFP cannot be deployed; distil it into a model of LFP")
        n_columns = opened.entry.n_columns[signal]
        kind = np.uint8 if signal == "spikes" else np.float32
        batch = pack([SessionInputs(opened).tokenize({signal: np.zeros((1, n_columns), dtype=kind)})])
        return cls(opened.model, batch, decoder.stream.first_state(), n_columns, *_readout(opened))

    def forward(self, values: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One bin.

        Shape:
            values: (C,) float32, z-scored LFP or counts; state: as `first_state`, in the order of `state_names`.
            output: (K,), (D,), and the state.
        """
        n_slots = self._batch.values.numel()
        padded = torch.cat([values, values.new_zeros(n_slots - self.n_columns)])  # (C,) -> (P * S,)
        batch = dataclasses.replace(self._batch, values=padded.reshape(self._batch.values.shape))
        before: State = dict(zip(self.state_names, state, strict=True))
        after, latents = self.model.step(before, batch)
        behavior = latents[0] @ self.weights + self.bias
        return behavior, latents[0], *(after[name] for name in self.state_names)


def _readout(decoder: Decoder) -> tuple[np.ndarray, np.ndarray]:
    """(D, K) weights and (K,) bias of the affine map from latents to behavior in the units of the recording.

    The map is read off its values at zero and at the unit vectors, whatever it is made of.
    """
    width = decoder.model.spec.config.width
    points = torch.cat([torch.zeros(1, width), torch.eye(width)])
    z_scored = np.asarray(decoder.score.predict(points), dtype=np.float64)
    norm, indices = decoder.entry.normalisation["behavior"], decoder.column_indices
    mean, std = np.asarray(norm.mean)[indices], np.asarray(norm.std)[indices]
    values = z_scored * std + mean
    return (values[1:] - values[0]).astype(np.float32), values[0].astype(np.float32)
