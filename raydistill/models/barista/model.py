"""BaRISTA: a transformer over tokens of one channel and several bins (docs/methods.md, BaRISTA).

Axes: N rows of a batch, n tokens, w bins of a token, D width, T bins, K behavior columns, B segments.
"""

from typing import ClassVar

from torch import Tensor, nn

from raydistill.errors import DataError
from raydistill.feed.tokens import Batch
from raydistill.models.barista.config import BaristaConfig
from raydistill.models.barista.heads import BinReadout, Classes, mean_over_channels
from raydistill.models.barista.layout import TokenLayout, layout_of
from raydistill.models.barista.tokenizer import BaristaTokenizer
from raydistill.models.layers.attention import Packing
from raydistill.models.layers.dropout import number_dropout_layers
from raydistill.models.layers.transformer import Transformer
from raydistill.models.model import Model
from raydistill.models.spec import ModelSpec

NORM_EPS = 1e-8


class BaristaModel(Model):
    """All tokens of a segment attend to each other. The latents of a bin are those of its sub-segment, averaged over
    channels; a model that predicts behavior or a label has a map of its own for each bin of a sub-segment."""

    read_outs: ClassVar[tuple[str, ...]] = ("bins", "behavior", "classes")

    def __init__(self, spec: ModelSpec):
        super().__init__(spec)
        config: BaristaConfig = spec.config
        self.config = config
        self.tokenizer = BaristaTokenizer(spec)
        self.encoder = Transformer(
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            mlp_ratio=config.mlp_ratio,
            dropout=config.dropout,
            before_projection=True,
            mlp_dropout=0.0,
            eps=NORM_EPS,
        )
        if spec.behavior or spec.label:
            self.bins = BinReadout(config.width, config.token_bins)
        if spec.behavior:
            self.behavior = nn.Linear(config.width, len(spec.behavior))
        if spec.label:
            self.classes = nn.Linear(config.width, len(spec.label.classes))
        if config.head is not None:
            self.head = Classes(config.head, config.width)
        number_dropout_layers(self)

    def latents(self, batch: Batch) -> Tensor:
        """Latents of every bin, nothing masked. Shape: (sum of T, D)."""
        layout = layout_of(batch, self.config.token_bins)
        outputs = self.outputs(batch, layout)
        if self.spec.behavior or self.spec.label:
            return self.bins(outputs, layout)
        return mean_over_channels(outputs, layout)[layout.bin_sub_segment]

    def logits(self, batch: Batch) -> Tensor:
        """Logits of the classes of an imported checkpoint. Shape: (B, classes).

        Raises:
            DataError: the model has no such head, or a segment has another number of tokens than the head reads.
        """
        if self.config.head is None:
            raise DataError("this model has no head for classes: only imported checkpoints with one have")
        layout = layout_of(batch, self.config.token_bins)
        for session, length in zip(batch.sessions, layout.lengths, strict=True):
            if length != self.config.head.tokens:
                raise DataError(
                    f"a segment of {session} has {length} tokens, but the head for classes reads "
                    f"{self.config.head.tokens}: give segments of the same number of bins and channels as its training"
                )
        return self.head(self.outputs(batch, layout))

    def outputs(self, batch: Batch, layout: TokenLayout) -> Tensor:
        """The outputs of the encoder for all tokens, nothing masked. Shape: (n, D)."""
        values = self.tokenizer.value(batch.values[layout.rows])  # (N, S) -> (n, w, S) -> (n, D)
        return self.encode(self.tokenizer.located(values, batch, layout), batch, layout)

    def encode(self, tokens: Tensor, batch: Batch, layout: TokenLayout) -> Tensor:
        """The outputs of the encoder for these tokens. Shape: (n, D) -> (n, D)."""
        return self.encoder(tokens, layout.time, Packing(layout.lengths, tokens.device, noise_of(batch, layout)))

    def weights_of_sessions(self, spec: ModelSpec) -> dict[str, Tensor]:
        """The names of channels, drawn for those that this model does not know."""
        if self.tokenizer.space is None:
            return {}
        space = self.tokenizer.space.transplanted(spec)
        return {f"tokenizer.space.{name}": weight for name, weight in space.state_dict().items()}

    def use_embeddings_of(self, session: str, known_session: str) -> None:
        """Read segments of `session` with the names of the channels of `known_session`."""
        if self.tokenizer.space is None:
            super().use_embeddings_of(session, known_session)
        else:
            self.tokenizer.space.aliases[session] = known_session


def noise_of(batch: Batch, layout: TokenLayout) -> Tensor | None:
    """(n,) random bits of each token, those of its first bin; None outside of training."""
    return None if batch.noise is None else batch.noise[layout.rows[:, 0]]
