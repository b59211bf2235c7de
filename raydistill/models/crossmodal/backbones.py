"""The backbones of a cross-modal model: how each is configured, counted and built.

To add one, write its module (models/layers/), its configuration here, and its row in `BACKBONES`
(docs/extending.md). This file imports no torch: planning reads it.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from raydistill.config.numbers import Limits, Size
from raydistill.models.layers.parameters import (
    bidirectional_parameters,
    linear_parameters,
    mamba_parameters,
    transformer_parameters,
)

if TYPE_CHECKING:
    from torch import nn

RECURRENT_LAYERS = 2
CNN_BLOCKS, CNN_KERNEL = 10, 5


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerBackbone:
    """Attention over all tokens of a segment."""

    reads: ClassVar[Literal["tokens", "bins"]] = "tokens"
    name: Literal["transformer"] = "transformer"
    layers: Size
    heads: Size
    mlp_ratio: Size
    causal: bool
    projection_dropout: bool | None = None
    """Whether the output of the heads has dropout before it is projected, too; None: no."""

    @property
    def depth(self) -> int:
        """Layers whose outputs `align_layers` can align. Other backbones give those of the last one only."""
        return self.layers

    @classmethod
    def of_size(cls, like: "TransformerBackbone", width: int) -> "TransformerBackbone":
        """A backbone with about as many parameters as the transformer `like`, here `like` itself."""
        return like

    def parameters(self, width: int) -> int:
        """Number of parameters, for tokens of this width."""
        return transformer_parameters(width, self.layers, self.mlp_ratio)

    def build(self, width: int, dropout: float) -> "nn.Module":
        """An untrained module from tokens (N, width) to (N, width)."""
        from raydistill.models.layers.transformer import Transformer

        return Transformer(
            width=width,
            layers=self.layers,
            heads=self.heads,
            mlp_ratio=self.mlp_ratio,
            dropout=dropout,
            causal=self.causal,
            before_projection=bool(self.projection_dropout),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LstmBackbone:
    """Two layers of an LSTM over bins."""

    reads: ClassVar[Literal["tokens", "bins"]] = "bins"
    name: Literal["lstm"] = "lstm"
    hidden: Size
    """Hidden units of each direction."""
    causal: bool

    @classmethod
    def of_size(cls, like: TransformerBackbone, width: int) -> "LstmBackbone":
        """An LSTM with about as many parameters as the transformer `like`."""
        count = lambda hidden: cls(hidden=hidden, causal=like.causal).parameters(width)  # noqa: E731
        return cls(hidden=_closest(count, like.parameters(width)), causal=like.causal)

    def parameters(self, width: int) -> int:
        """Number of parameters, for bins of this width."""
        return _recurrent_parameters(4, self.hidden, self.causal, width)

    def build(self, width: int, dropout: float) -> "nn.Module":
        """An untrained module from bins (N, width) to (N, width)."""
        from raydistill.models.layers.recurrent import Recurrent

        return Recurrent(width=width, hidden=self.hidden, layers=RECURRENT_LAYERS, dropout=dropout, causal=self.causal)


@dataclass(frozen=True, kw_only=True, slots=True)
class GruBackbone:
    """Two layers of a GRU over bins."""

    reads: ClassVar[Literal["tokens", "bins"]] = "bins"
    name: Literal["gru"] = "gru"
    hidden: Size
    """Units of each layer in each direction."""
    causal: bool

    @classmethod
    def of_size(cls, like: TransformerBackbone, width: int) -> "GruBackbone":
        """A GRU with about as many parameters as the transformer `like`."""
        count = lambda hidden: cls(hidden=hidden, causal=like.causal).parameters(width)  # noqa: E731
        return cls(hidden=_closest(count, like.parameters(width)), causal=like.causal)

    def parameters(self, width: int) -> int:
        """Number of parameters, for bins of this width."""
        return _recurrent_parameters(3, self.hidden, self.causal, width)

    def build(self, width: int, dropout: float) -> "nn.Module":
        """An untrained module from bins (N, width) to (N, width)."""
        from raydistill.models.layers.recurrent import Recurrent

        return Recurrent(
            width=width, hidden=self.hidden, layers=RECURRENT_LAYERS, dropout=dropout, causal=self.causal, cell="gru"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CnnBackbone:
    """Ten residual blocks of dilated convolutions over bins."""

    reads: ClassVar[Literal["tokens", "bins"]] = "bins"
    name: Literal["cnn"] = "cnn"
    hidden: Size
    """Channels within each block."""
    causal: bool

    @classmethod
    def of_size(cls, like: TransformerBackbone, width: int) -> "CnnBackbone":
        """A CNN with about as many parameters as the transformer `like`."""
        count = lambda hidden: cls(hidden=hidden, causal=like.causal).parameters(width)  # noqa: E731
        return cls(hidden=_closest(count, like.parameters(width)), causal=like.causal)

    def parameters(self, width: int) -> int:
        """Number of parameters, for bins of this width."""
        block = width + linear_parameters(CNN_KERNEL * width, self.hidden) + linear_parameters(self.hidden, width)
        return CNN_BLOCKS * block + width

    def build(self, width: int, dropout: float) -> "nn.Module":
        """An untrained module from bins (N, width) to (N, width)."""
        from raydistill.models.layers.convolutional import Convolutional

        return Convolutional(
            width=width,
            hidden=self.hidden,
            blocks=CNN_BLOCKS,
            kernel=CNN_KERNEL,
            dropout=dropout,
            causal=self.causal,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class MambaBackbone:
    """REALM's state-space layers over bins."""

    reads: ClassVar[Literal["tokens", "bins"]] = "bins"
    name: Literal["mamba"] = "mamba"
    layers: Size
    expand: Size
    """Inner width of a layer, in widths."""
    states: Size
    """Dimensions of the state of each inner column."""
    head: Size
    """Inner columns that share a decay."""
    causal: bool
    drop_path: Annotated[float, Limits(above=0, below=1)] | None = None
    """Probability with which the last layer is left out of a training pass, see `Mamba`; None: no layer ever is."""

    @property
    def depth(self) -> int:
        """Layers whose outputs `align_layers` can align. Other backbones give those of the last one only."""
        return self.layers

    @classmethod
    def of_size(cls, like: TransformerBackbone, width: int) -> "MambaBackbone":
        """State-space layers with about as many parameters as the transformer `like`.

        The layers are about those of REALM (at width 256 an inner width of 512, or 256 in each direction, heads of 64
        and 64 states): their number comes closest to the budget, and the states then take up the difference.
        """
        expand = 2 if like.causal else 1
        head, states = mamba_head(width, expand), mamba_states(width)
        sized = lambda n, s: cls(layers=n, expand=expand, states=s, head=head, causal=like.causal)  # noqa: E731
        budget = like.parameters(width)
        layers = _closest(lambda n: sized(n, states).parameters(width), budget)
        return sized(layers, 2 * _closest(lambda half: sized(layers, 2 * half).parameters(width), budget))

    def parameters(self, width: int) -> int:
        """Number of parameters, for bins of this width."""
        count = mamba_parameters if self.causal else bidirectional_parameters
        return self.layers * (2 * width + count(width, self.expand, self.states, self.head)) + 2 * width

    def build(self, width: int, dropout: float) -> "nn.Module":
        """An untrained module from bins (N, width) to (N, width)."""
        from raydistill.models.layers.mamba import Mamba

        return Mamba(
            width=width,
            layers=self.layers,
            expand=self.expand,
            states=self.states,
            head=self.head,
            dropout=dropout,
            causal=self.causal,
            drop_path=self.drop_path or 0.0,
        )


Backbone = TransformerBackbone | LstmBackbone | GruBackbone | CnnBackbone | MambaBackbone
BackboneName = Literal["transformer", "lstm", "gru", "cnn", "mamba"]
BACKBONES: dict[str, type[Backbone]] = {
    "transformer": TransformerBackbone,
    "lstm": LstmBackbone,
    "gru": GruBackbone,
    "cnn": CnnBackbone,
    "mamba": MambaBackbone,
}
"""Name in `model: {backbone: ...}` -> configuration class. Table 3 of the cross-modal paper compares the backbones."""


def mamba_head(width: int, expand: int) -> int:
    """Inner columns of a head: 64, or the next smaller number that divides the inner width of a narrow model."""
    return max(n for n in range(1, min(64, max(width // 2, 1)) + 1) if expand * width % n == 0)


def mamba_states(width: int) -> int:
    """State dimensions: 64, or of a narrow model an even number of a quarter of its width."""
    return min(64, max(2, width // 4 // 2 * 2))


def _recurrent_parameters(gates: int, hidden: int, causal: bool, width: int) -> int:
    """Number of parameters of recurrent layers, whose gates have two biases each, and of the map from them."""
    directions = 1 if causal else 2
    inputs = [width] + [directions * hidden] * (RECURRENT_LAYERS - 1)
    layers = sum(directions * gates * hidden * (n + hidden + 2) for n in inputs)
    return layers + linear_parameters(directions * hidden, width) + width


def _closest(count: Callable[[int], int], budget: int) -> int:
    """The size whose number of parameters, `count(size)`, is closest to the budget; `count` must be increasing."""
    above = 1 + bisect_left(range(1, budget), budget, key=count)
    return min(max(above - 1, 1), above, key=lambda size: abs(count(size) - budget))
