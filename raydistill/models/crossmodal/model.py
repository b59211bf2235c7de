"""The model of every neural job: tokenizer and encoder, and the heads that its objective trains (spec B2 to B4).

Axes: N tokens of a packed batch, M masked ones, S patch size, D width, T bins, K behavior dimensions.
"""

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from raydistill.feed.tokens import Batch, Inputs
from raydistill.models.crossmodal.backbones import Convolutional, Recurrent
from raydistill.models.crossmodal.config import ModelConfig, patch_widths
from raydistill.models.crossmodal.parameters import BOTTLENECK
from raydistill.models.crossmodal.tokenizer import Tokenizer
from raydistill.models.layers.attention import Layout
from raydistill.models.layers.transformer import Transformer
from raydistill.store.catalogue import Entry


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What a model is built from; stored beside its weights as JSON."""

    config: ModelConfig
    modality: str
    """spikes, lfp or multimodal."""
    value: str
    """Value embedding: count, linear, conv or mlp."""
    heads: tuple[str, ...] = ()
    """Out of predictor (masked autoencoding), readout (the LFP of a distilled student) and behavior."""
    sessions: dict[str, int]
    """Session -> patches per bin."""
    bands: int = 1
    """LFP features of each electrode."""
    behavior: tuple[str, ...] = ()
    """Behavior columns that the head predicts."""
    provenance: dict = field(default_factory=dict)
    """Where the model comes from: job, data, protocol, versions. Nothing is computed from it."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Slots of each signal in a patch."""
        return patch_widths(self.config, self.modality, self.bands)

    @property
    def patch(self) -> int:
        """S"""
        return sum(self.widths)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict) -> "ModelSpec":
        tuples = {name: tuple(tree[name]) for name in ("heads", "behavior")}
        return cls(**(tree | tuples | {"config": ModelConfig(**tree["config"])}))


class Predictor(nn.Module):
    """Visible latents back in place, mask tokens at the dropped places -> reconstructed patches (spec B3)."""

    def __init__(self, config: ModelConfig, patch: int):
        super().__init__()
        width = config.predictor_width
        self.mask = nn.Parameter(torch.zeros(config.width))
        self.enter = nn.Linear(config.width, width)
        self.transformer = Transformer(
            width=width,
            layers=config.predictor_layers,
            heads=config.predictor_heads,
            mlp_ratio=config.mlp_ratio,
            dropout=config.dropout,
        )
        self.down = nn.Linear(width, BOTTLENECK)
        self.leave = nn.Linear(BOTTLENECK, patch)

    def forward(self, latents: Tensor, space: Tensor, visible: Tensor, dropped: Tensor, time: Tensor, layout: Layout):
        """Reconstructions of the dropped tokens.

        Shape:
            latents: (N - M, D) of the visible tokens; space: (M, D) space embeddings of the dropped ones.
            visible: (N - M,), dropped: (M,) their places among the N tokens; time: (N,).
            output: (M, S).
        """
        known = self.enter(latents)
        guessed = self.enter((self.mask + space).to(latents.dtype))
        x = known.new_empty(len(time), known.shape[1])
        x = x.index_copy(0, visible, known).index_copy(0, dropped, guessed)  # (N, predictor width)
        return self.leave(self.down(self.transformer(x, time, layout)[dropped]))


class NeuralModel(nn.Module):
    """Tokenizer, encoder and heads.

    The latents of a bin are the mean of its patches' tokens after the final norm (spec B4, with a true mean:
    spec A6, 9). A recurrent or convolutional encoder takes the mean first.
    """

    def __init__(self, spec: ModelSpec):
        super().__init__()
        config = spec.config
        self.spec = spec
        self.tokenizer = Tokenizer(config, spec.value, spec.patch, spec.sessions)
        self.encoder = _encoder(config)
        if "predictor" in spec.heads:
            self.predictor = Predictor(config, spec.patch)
        if "readout" in spec.heads:
            self.readout = nn.Linear(config.width, spec.patch)
        if "behavior" in spec.heads:
            self.behavior = nn.Linear(config.width, len(spec.behavior))

    def use_embeddings_of(self, session: str, known_session: str) -> None:
        """Read segments of `session` with the space embeddings of `known_session`, one of the model's own sessions."""
        self.tokenizer.space.aliases[session] = known_session

    def encode(self, batch: Batch) -> Tensor:
        """All tokens through the transformer, none masked. Shape: (N, D)."""
        return self.encoder(self.tokenizer(batch), batch.time, Layout(batch.lengths, batch.time.device))

    def reconstruct(self, batch: Batch) -> Tensor:
        """The dropped tokens' patches predicted from the visible ones, which alone are embedded. Shape: (M, S)."""
        device, visible, dropped = batch.time.device, batch.visible, batch.dropped
        tokens = self.tokenizer(batch, visible)
        latents = self.encoder(tokens, batch.time[visible], Layout(batch.visible_lengths, device))
        space = self.tokenizer.space(batch, dropped)
        return self.predictor(latents, space, visible, dropped, batch.time, Layout(batch.lengths, device))

    def pool(self, tokens: Tensor, batch: Batch) -> Tensor:
        """Mean over the patches of each bin. Shape: (N, D) -> (sum of T, D)."""
        if len(tokens) == sum(batch.bins):
            return tokens
        counts = [n // t for n, t in zip(batch.lengths, batch.bins, strict=True)]
        if len(set(counts)) == 1:
            return tokens.unflatten(0, (-1, counts[0])).mean(1)  # (T * P, D) -> (T, P, D) -> (T, D)
        pieces = zip(tokens.split(list(batch.lengths)), counts, strict=True)
        return torch.cat([piece.unflatten(0, (-1, count)).mean(1) for piece, count in pieces])

    def latents(self, batch: Batch) -> Tensor:
        """Latents of every bin, nothing masked. Shape: (sum of T, D)."""
        if self.spec.config.backbone == "transformer":
            return self.pool(self.encode(batch), batch)
        return self.encoder(self.pool(self.tokenizer(batch), batch), batch.bins)


def inputs_of(spec: ModelSpec, entries: list[Entry], spikes_as: str = "recorded") -> Inputs:
    """What a model reads of these sessions' segments, with the behavior that its head predicts."""
    multimodal = spec.modality == "multimodal"
    return Inputs(
        modality=spec.modality,
        widths=spec.widths,
        spikes_norm={e.session: e.normalisation["spikes"] for e in entries} if multimodal else {},
        behavior={e.session: tuple(e.behavior.index(c) for c in spec.behavior) for e in entries},
        spikes_as=spikes_as,
    )


def _encoder(config: ModelConfig) -> nn.Module:
    if config.backbone == "lstm":
        return Recurrent(config)
    if config.backbone == "cnn":
        return Convolutional(config)
    return Transformer(
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        mlp_ratio=config.mlp_ratio,
        dropout=config.dropout,
        causal=config.causal,
    )


def transplant(model: NeuralModel, spec: ModelSpec) -> NeuralModel:
    """A model of `spec` that starts from `model`: the same weights, those of new sessions and heads drawn anew."""
    new = NeuralModel(spec)
    space = model.tokenizer.space.transplanted(spec.sessions)
    weights = model.state_dict() | {"tokenizer.space.table.weight": space.table.weight}
    fresh = tuple(f"{head}." for head in set(spec.heads) - set(model.spec.heads))
    wanted = new.state_dict()
    new.load_state_dict({name: wanted[name] if name.startswith(fresh) else weights[name] for name in wanted})
    return new
