"""The cross-modal model: tokenizer, encoder, and the outputs that its objective trains (docs/methods.md, Model).

Axes: N tokens of a packed batch, M masked tokens, S slots of a patch, D width, T bins, K behavior columns.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from raydistill.feed.masking import Masking
from raydistill.feed.tokens import Batch
from raydistill.models.crossmodal.config import CrossModalConfig
from raydistill.models.crossmodal.from_bins import BinsPredictor, SessionEmbedding, SharedReadout
from raydistill.models.crossmodal.parameters import BOTTLENECK
from raydistill.models.crossmodal.readout import PooledReadout
from raydistill.models.crossmodal.streaming import initial_state, step, step_after_end
from raydistill.models.crossmodal.tokenizer import Tokenizer
from raydistill.models.layers.attention import Packing
from raydistill.models.layers.dropout import number_dropout_layers
from raydistill.models.layers.lookahead import answered_late
from raydistill.models.layers.pooling import mean_per_bin
from raydistill.models.layers.state import State
from raydistill.models.layers.transformer import Transformer
from raydistill.models.model import Model
from raydistill.models.spec import ModelSpec


class Predictor(nn.Module):
    """Reconstructs masked patches with a transformer over the latents of visible tokens and mask tokens."""

    def __init__(self, config: CrossModalConfig, patch: int):
        super().__init__()
        assert config.predictor is not None
        sizes = config.predictor
        self.mask = nn.Parameter(torch.zeros(config.width))
        self.enter = nn.Linear(config.width, sizes.width)
        self.transformer = Transformer(
            width=sizes.width,
            layers=sizes.layers,
            heads=sizes.heads,
            mlp_ratio=sizes.mlp_ratio,
            dropout=config.dropout,
            before_projection=bool(getattr(config.backbone, "projection_dropout", None)),
        )
        self.down = nn.Linear(sizes.width, BOTTLENECK)
        self.leave = nn.Linear(BOTTLENECK, patch)

    def forward(self, latents: Tensor, space: Tensor, masking: Masking, time: Tensor, packing: Packing) -> Tensor:
        """Reconstructions of the masked tokens.

        Shape:
            latents: (N - M, D), of the visible tokens.
            space: (M, D) space embeddings of the masked tokens.
            time: (N,) bins of all tokens.
            output: (M, S).
        """
        visible = self.enter(latents)
        masked = self.enter((self.mask + space).to(latents.dtype))
        x = visible.new_empty(len(time), visible.shape[1])
        x = x.index_copy(0, masking.visible, visible).index_copy(0, masking.masked, masked)  # (N, predictor width)
        return self.leave(self.down(self.transformer(x, time, packing)[masking.masked]))


class CrossModalModel(Model):
    """Tokenizer, encoder and outputs.

    If the backbone reads tokens, the latents of a bin are the mean of the encoder's outputs over the patches of the
    bin. If the backbone reads bins, the mean is taken before the encoder, over its inputs.
    """

    def __init__(self, spec: ModelSpec):
        super().__init__(spec)
        config: CrossModalConfig = spec.config
        self.config = config
        self.tokenizer = Tokenizer(config, spec.patch, spec.sessions)
        self.encoder: Any = config.backbone.build(config.width, config.dropout)
        if config.predictor:
            self.predictor = Predictor(config, spec.patch)
        if config.bins_predictor:
            self.bins_predictor = BinsPredictor(config, spec.patch, spec.sessions)
        if config.readout_of == "pooled":
            self.pooled_readout = PooledReadout(config, spec.patch, spec.sessions)
        elif config.readout_of == "hidden":
            self.shared_readout = SharedReadout(config.width, spec.patch, hidden=True)
        elif config.readout:
            self.readout = nn.Linear(config.width, spec.patch)
        if spec.behavior:
            self.behavior = nn.Linear(config.width, len(spec.behavior))
        if spec.label:
            self.classes = nn.Linear(config.width, len(spec.label.classes))
        if config.lookahead_bins:
            self.after_end = nn.Parameter(torch.randn(config.width) * config.width**-0.5)
        number_dropout_layers(self)

    def encode(self, batch: Batch, layers: int = 0) -> Tensor:
        """The encoder's outputs for all tokens, nothing masked; the backbone must read tokens. Shape: (N, D)."""
        packing = Packing(batch.lengths, batch.time.device, batch.noise)
        return self._encode(self.tokenizer(batch), batch.time, packing, batch.bins, layers)

    def _encode(self, x: Tensor, time: Tensor, packing: Packing, bins: tuple[int, ...], layers: int = 0) -> Tensor:
        """The outputs of the encoder, or of its last layers before its final norm. Shape: (N, D) -> (N, D * layers)."""
        encoder = self.encoder.residual if layers else self.encoder
        if layers > 1:
            encoder = partial(encoder, layers=layers)
        if self.config.lookahead_bins:
            return answered_late(encoder, self.config.lookahead_bins, self.after_end, x, packing, bins)
        return encoder(x, time, packing)

    def reconstruct(self, batch: Batch, masking: Masking) -> Tensor:
        """The masked patches, predicted from the visible tokens or bins. Shape: (M, S)."""
        if self.config.bins_predictor:
            is_masked = torch.zeros_like(batch.patch, dtype=torch.bool).index_fill(0, masking.masked, True)
            hidden = is_masked if self.config.bins_predictor.gate == "visible" else None
            bins = mean_per_bin(self.tokenizer(batch, hidden=hidden), batch)  # (sum of T, D)
            bins = self.bins_predictor.masked(bins, batch, is_masked[batch.patch == 0])
            return self.bins_predictor(self._encode_bins(bins, batch), batch)[masking.masked]
        device, visible, noise = batch.time.device, masking.visible, batch.noise
        visible_packing = Packing(masking.visible_lengths, device, None if noise is None else noise[visible])
        latents = self.encoder(self.tokenizer(batch, visible), batch.time[visible], visible_packing)
        assert self.tokenizer.space is not None, "tokens that are masked are told apart by their space embeddings"
        space = self.tokenizer.space(batch, masking.masked)
        return self.predictor(latents, space, masking, batch.time, Packing(batch.lengths, device, noise))

    def latents(self, batch: Batch) -> Tensor:
        """Latents of every bin, nothing masked. Shape: (sum of T, D)."""
        return self._latents(batch)

    def residual(self, batch: Batch, layers: int = 1) -> Tensor:
        """As `Model.residual`."""
        return self._latents(batch, layers)

    def _latents(self, batch: Batch, layers: int = 0) -> Tensor:
        if self.config.backbone.reads == "tokens":
            return mean_per_bin(self.encode(batch, layers), batch)
        return self._encode_bins(mean_per_bin(self.tokenizer(batch), batch), batch, layers)

    def _encode_bins(self, bins: Tensor, batch: Batch, layers: int = 0) -> Tensor:
        """The encoder's outputs for one vector per bin. Shape: (sum of T, D) -> (sum of T, D)."""
        is_first_patch = batch.patch == 0  # one token per bin, which gives the bin its time and noise
        noise = None if batch.noise is None else batch.noise[is_first_patch]
        packing = Packing(batch.bins, batch.time.device, noise)
        return self._encode(bins, batch.time[is_first_patch], packing, batch.bins, layers)

    def latents_and_lfp(self, batch: Batch, layers: int = 0) -> tuple[Tensor, Tensor]:
        """Latents of every bin, and the LFP that the read-out reconstructs, patch by patch, nothing masked.

        Args:
            layers: 0: both come from after the encoder's final norm; above: from before it, with the outputs of so many
                last layers as latents, of which the last one is read out.
        Shape:
            output: (sum of T, D), or (sum of T, layers * D), and (N, S).
        """
        width = self.config.width
        if self.config.readout_of is None:
            tokens = self.encode(batch, layers)  # (N, D)
            return mean_per_bin(tokens, batch), self.readout(tokens[:, -width:])
        latents = self._latents(batch, layers)
        readout = self.pooled_readout if self.config.readout_of == "pooled" else self.shared_readout
        return latents, readout(latents[:, -width:], batch)

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """As `Model.initial_state`."""
        return initial_state(self.tokenizer, self.encoder, streams, patches, window)

    def step(self, state: State, batch: Batch) -> tuple[State, Tensor]:
        """As `Model.step`."""
        return step(self.tokenizer, self.encoder, self.config.backbone.reads == "bins", state, batch)

    def step_after_end(self, state: State, batch: Batch) -> tuple[State, Tensor]:
        """As `Model.step_after_end`."""
        reads_bins = self.config.backbone.reads == "bins"
        return step_after_end(self.encoder, self.after_end, reads_bins, state, batch)

    def weights_of_sessions(self, spec: ModelSpec) -> dict[str, Tensor]:
        """The embeddings and pooled read-outs of sessions, drawn for sessions that this model does not know."""
        weights: dict[str, Tensor] = {}
        if self.tokenizer.space is not None:
            weights["tokenizer.space.table.weight"] = self.tokenizer.space.transplanted(spec.sessions).table.weight
        for name, module in self.named_modules():
            if isinstance(module, PooledReadout | SessionEmbedding):
                of_sessions = module.transplanted(spec.sessions)
                weights |= {f"{name}.{part}": weight for part, weight in of_sessions.state_dict().items()}
        return weights

    def use_embeddings_of(self, session: str, known_session: str) -> None:
        """Read segments of `session` with the space embeddings of `known_session`, on which the model was trained."""
        if self.tokenizer.space is not None:
            self.tokenizer.space.aliases[session] = known_session
