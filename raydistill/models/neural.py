"""The model of every neural job: tokenizer and encoder, and the head its objective trains (spec B2 to B4).

Axes: N tokens of a packed batch, M masked ones, S patch size, D width, T bins.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from raydistill.config.model import ModelConfig
from raydistill.models.attention import Layout
from raydistill.models.tokenizer import Tokenizer
from raydistill.models.transformer import Transformer
from raydistill.store.batches import Batch
from raydistill.store.catalogue import Entry

BOTTLENECK = 64  # width between the predictor and its patch-sized output (spec B3)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What a model is built from; stored beside its weights as JSON."""

    config: ModelConfig
    modality: str
    """spikes or lfp."""
    value: str
    """Value embedding: count, linear or conv."""
    head: str
    """predictor (masked autoencoding) or readout (distillation)."""
    sessions: dict[str, int]
    """Session -> patches per bin."""

    @property
    def patch(self) -> int:
        return self.config.spikes_patch if self.modality == "spikes" else self.config.lfp_patch

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict) -> "ModelSpec":
        return cls(**(tree | {"config": ModelConfig(**tree["config"])}))


def patches_of(entries: list[Entry], modality: str, patch: int) -> dict[str, int]:
    """Session -> patches per bin of a modality."""
    columns = {e.session: e.n_units if modality == "spikes" else e.n_channels for e in entries}
    return {name: -(-n // patch) for name, n in columns.items()}


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
    """Tokenizer, encoder, and one head.

    The latents of a bin are the mean of its patches' tokens after the final norm (spec B4, with a true mean:
    spec A6, 9).
    """

    def __init__(self, spec: ModelSpec):
        super().__init__()
        config = spec.config
        self.spec = spec
        self.tokenizer = Tokenizer(config, spec.value, spec.patch, spec.sessions)
        self.encoder = Transformer(
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            mlp_ratio=config.mlp_ratio,
            dropout=config.dropout,
        )
        if spec.head == "predictor":
            self.predictor = Predictor(config, spec.patch)
        else:
            self.readout = nn.Linear(config.width, spec.patch)

    def encode(self, batch: Batch) -> Tensor:
        """All tokens, none masked. Shape: (N, D)."""
        return self.encoder(self.tokenizer(batch), batch.time, Layout(batch.lengths, batch.time.device))

    def reconstruct(self, batch: Batch, visible: Tensor, dropped: Tensor, visible_lengths: tuple[int, ...]) -> Tensor:
        """The dropped tokens' patches predicted from the visible tokens, which alone are embedded. Shape: (M, S)."""
        device = batch.time.device
        tokens = self.tokenizer(batch, visible)
        latents = self.encoder(tokens, batch.time[visible], Layout(visible_lengths, device))
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
        return self.pool(self.encode(batch), batch)


def transplant(model: NeuralModel, spec: ModelSpec) -> NeuralModel:
    """A model of `spec` that starts from `model`: the same weights, space embeddings of unknown sessions drawn anew."""
    new = NeuralModel(spec)
    space = model.tokenizer.space.transplanted(spec.sessions)
    weights = model.state_dict() | {"tokenizer.space.table.weight": space.table.weight}
    wanted = new.state_dict()
    new.load_state_dict({name: weights[name] for name in wanted})
    return new
