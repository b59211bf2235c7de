"""NDT2: tokens with learned times and positions, an encoder, and a masked side (docs/methods.md, NDT2).

Axes: N tokens of a packed batch, M masked tokens, S slots of a patch, D width, T bins, P patches per bin.
"""

import torch
from torch import Tensor, nn

from raydistill.errors import DataError
from raydistill.feed.masking import Masking
from raydistill.feed.tokens import Batch
from raydistill.models.crossmodal.tokenizer import CountTable
from raydistill.models.layers.attention import Packing
from raydistill.models.layers.dropout import Dropout, number_dropout_layers
from raydistill.models.layers.pooling import mean_per_bin
from raydistill.models.layers.state import State
from raydistill.models.model import Model, check_one_bin
from raydistill.models.ndt2.config import Ndt2Config
from raydistill.models.ndt2.context import ContextTokens, with_context
from raydistill.models.ndt2.layers import PostNorm
from raydistill.models.spec import ModelSpec


class Places(nn.Module):
    """Adds what was learned of the bin and of the patch of a token; then dropout. Shape: (n, D) -> (n, D)."""

    def __init__(self, config: Ndt2Config):
        super().__init__()
        self.time = nn.Embedding(config.times, config.width)  # N(0, 1), as nn.Embedding draws it
        self.position = nn.Embedding(config.positions, config.width)
        if config.places_std is not None:
            for table in (self.time, self.position):
                table.weight.data *= config.places_std
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, time: Tensor, patch: Tensor, noise: Tensor | None) -> Tensor:
        """`x` with both. Shape: x (n, D), the others (n,)."""
        return self.dropout(x + self.time(time) + self.position(patch), noise)


class Ndt2Tokenizer(nn.Module):
    """From counts to tokens. Shape: (N, S) -> (n, D) for the tokens at the indices `rows`."""

    def __init__(self, config: Ndt2Config):
        super().__init__()
        self.value = CountTable(config.inputs.patch, config.width, config.inputs.embedded_count)
        self.value_dropout = Dropout(config.dropout)
        self.places = Places(config)

    def forward(self, batch: Batch, time: Tensor, rows: Tensor | None = None) -> Tensor:
        """The tokens at `rows`, all if it is None; `time` (N,) is the bin of every token."""
        noise, patch = batch.noise, batch.patch
        if rows is not None:
            time, patch, noise = time[rows], patch[rows], None if noise is None else noise[rows]
        return self.places(self.value_dropout(self.value(batch, rows), noise), time, patch, noise)


class MaskedSide(nn.Module):
    """Log-rates of masked tokens, from the encoder's outputs of the visible ones and from mask tokens."""

    def __init__(self, config: Ndt2Config):
        super().__init__()
        assert config.decoder_layers is not None
        self.mask = nn.Parameter(torch.randn(config.width))
        self.places = Places(config)
        self.layers = _layers(config, config.decoder_layers)
        self.rates = nn.Linear(config.width, config.inputs.patch)

    def forward(self, latents: Tensor, context: Tensor, masking: Masking, batch: Batch) -> Tensor:
        """Log-rates. Shape: latents (N - M, D), context (B, C, D) -> (M, S)."""
        x = self.mask.to(latents.dtype).expand(len(batch.time), -1).index_copy(0, masking.visible, latents)  # (N, D)
        x = self.places(x, batch.time, batch.patch, batch.noise)
        packing = Packing(batch.lengths, x.device, batch.noise)
        tokens, time, longer, place = with_context(x, batch.time, packing, context)
        return self.rates(self.layers(tokens, time, longer)[place[masking.masked]])


class Ndt2Model(Model):
    """Encoder over the visible tokens and the context; the latents of a bin are the mean over its patches."""

    def __init__(self, spec: ModelSpec):
        super().__init__(spec)
        config: Ndt2Config = spec.config
        self.config = config
        self.tokenizer = Ndt2Tokenizer(config)
        self.context = ContextTokens(spec.subject_of_sessions, config.context_tokens, config.width)
        self.encoder = _layers(config, config.layers)
        if config.decoder_layers is not None:
            self.masked_side = MaskedSide(config)
        if spec.behavior:
            self.behavior = nn.Linear(config.width, len(spec.behavior))
        if spec.label:
            self.classes = nn.Linear(config.width, len(spec.label.classes))
        number_dropout_layers(self)

    def latents(self, batch: Batch) -> Tensor:
        """Latents of every bin, nothing masked. Shape: (sum of T, D)."""
        self._check(batch)
        tokens = self.tokenizer(batch, batch.time)
        return mean_per_bin(
            self._encode(tokens, batch.time, Packing(batch.lengths, tokens.device, batch.noise), batch), batch
        )

    def reconstruct(self, batch: Batch, masking: Masking) -> Tensor:
        """Log-rates of the masked tokens, predicted from the visible ones. Shape: (M, S)."""
        self._check(batch)
        visible, noise = masking.visible, None if batch.noise is None else batch.noise[masking.visible]
        tokens = self.tokenizer(batch, batch.time, visible)
        packing = Packing(masking.visible_lengths, tokens.device, noise)
        latents = self._encode(tokens, batch.time[visible], packing, batch)
        return self.masked_side(latents, self.context(batch.sessions, flagged=False), masking, batch)

    def _encode(self, tokens: Tensor, time: Tensor, packing: Packing, batch: Batch) -> Tensor:
        """The outputs of the encoder, without those of the context. Shape: (n, D) -> (n, D)."""
        x, bins, longer, place = with_context(tokens, time, packing, self.context(batch.sessions, flagged=True))
        return self.encoder(x, bins, longer)[place]

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """As `Model.initial_state`. After `window` bins, a stream starts again, because learned times end.

        Raises:
            DataError: the window is longer than the learned times.
        """
        if window > self.config.times:
            raise DataError(
                f"the model has learned times for {self.config.times} bins, but got a window of {window}; give "
                f"`window_bins` of at most {self.config.times}"
            )
        state = self.encoder.initial_state(streams, patches, window)
        return state | {"time": torch.zeros(streams, dtype=torch.int64, device=self.context.flags.device)}

    def step(self, state: State, batch: Batch) -> tuple[State, Tensor]:
        """As `Model.step`."""
        check_one_bin(batch)
        self._check(batch)
        streams = len(batch.bins)
        patches = len(batch.values) // streams
        window = state["0.keys"].shape[2] // patches + 1
        bin_ = state["time"] % window  # (n,) of the segment, or piece of it, that the stream has begun
        tokens = self.tokenizer(batch, bin_.repeat_interleave(patches)).unflatten(0, (streams, patches))
        context = self.context(batch.sessions, flagged=True)
        new, outputs = self.encoder.step(state, bin_, tokens, context)
        return new | {"time": state["time"] + 1}, outputs.mean(1)

    def weights_of_sessions(self, spec: ModelSpec) -> dict[str, Tensor]:
        """The context tokens, drawn for sessions and subjects that this model does not know."""
        context = self.context.transplanted(spec.subject_of_sessions)
        return {f"context.{name}": weight for name, weight in context.state_dict().items()}

    def use_embeddings_of(self, session: str, known_session: str) -> None:
        """Read segments of `session` with the context of `known_session`, on which the model was trained."""
        self.context.aliases[session] = known_session

    def _check(self, batch: Batch) -> None:
        """Raise DataError if a segment has more bins or patches than the model has learned."""
        for session, n_bins, length in zip(batch.sessions, batch.bins, batch.lengths, strict=True):
            if n_bins > self.config.times:
                raise DataError(
                    f"a segment of {session} has {n_bins} bins, but the model has learned times for "
                    f"{self.config.times}; read it in shorter pieces, or train the model with more `times`"
                )
            if length // n_bins > self.config.positions:
                raise DataError(
                    f"session {session} has {length // n_bins} patches per bin, but the model has learned positions "
                    f"for {self.config.positions}; train the model with more `positions`"
                )


def _layers(config: Ndt2Config, layers: int) -> PostNorm:
    return PostNorm(width=config.width, layers=layers, heads=config.heads, dropout=config.dropout, causal=config.causal)
