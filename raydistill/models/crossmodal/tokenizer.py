"""From patches to tokens: the sum of a value embedding and a space embedding (docs/methods.md, Tokens).

Axes: N tokens of a packed batch, n tokens at the indices `rows` (all N if it is None), S slots of a patch, D width,
P patches per bin of a session.
"""

from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.errors import DataError, suggest
from raydistill.feed.tokens import Batch
from raydistill.models.crossmodal.config import (
    ConvEmbedding,
    CountEmbedding,
    CrossModalConfig,
    GatedEmbedding,
    MlpEmbedding,
    SpikesInput,
)
from raydistill.models.crossmodal.gated import GatedPatch


class CountTable(nn.Module):
    """Embeds each clamped spike count by a row of a table; the embedding of a patch concatenates the rows of its slots.

    Shape: (N, S) uint8 -> (N, D). Padded slots have a separate row, which is zero and is not trained.
    """

    def __init__(self, patch: int, width: int, max_count: int):
        super().__init__()
        self.max_count = max_count
        self.table = nn.Embedding(max_count + 2, width // patch, padding_idx=max_count + 1)

    def forward(self, batch: Batch, rows: Tensor | None) -> Tensor:
        """The value embeddings of the tokens at `rows`. Shape: (n, D)."""
        values, valid = _take(batch.values, rows), _take(batch.valid, rows)
        index = torch.where(valid, values.clamp(max=self.max_count).long(), self.max_count + 1)
        return self.table(index).flatten(1)  # (N, S, D / S) -> (N, D)


class LinearPatch(nn.Module):
    """One linear map of a patch of LFP. Shape: (N, S) float32 -> (N, D)."""

    def __init__(self, patch: int, width: int):
        super().__init__()
        self.linear = nn.Linear(patch, width)

    def forward(self, batch: Batch, rows: Tensor | None) -> Tensor:
        """The value embeddings of the tokens at `rows`. Shape: (n, D)."""
        return self.linear(_take(batch.values, rows))


class PerceptronPatch(nn.Module):
    """Linear layers, each hidden one followed by tanh, as in the released LFP models. Shape: (N, S) -> (N, D).

    Args:
        hidden: units of each hidden layer. Without any, tanh is applied to the patch itself.
    """

    def __init__(self, patch: int, width: int, hidden: tuple[int, ...]):
        super().__init__()
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((patch, *hidden)))
        self.linear = nn.Linear((patch, *hidden)[-1], width)

    def forward(self, batch: Batch, rows: Tensor | None) -> Tensor:
        """The value embeddings of the tokens at `rows`. Shape: (n, D)."""
        x = _take(batch.values, rows).to(self.linear.weight.dtype)
        if not self.hidden:
            return self.linear(x.tanh())
        for layer in self.hidden:
            x = layer(x).tanh()
        return self.linear(x)


class CausalConvPatch(nn.Module):
    """A dilated causal convolution along time, within one patch and one segment. Shape: (N, S) -> (N, D).

    Tap j of token (t, p) is the same patch p at bin t - j * dilation. The released code convolves along the row of
    tokens, in which the previous token is often another patch of the same bin; `axis="tokens"` does the same, but
    never reads the previous segment (docs/methods.md, Slips of the released code).
    """

    def __init__(self, patch: int, width: int, kernel: int, dilation: int, axis: str):
        super().__init__()
        self.dilation, self.axis = dilation, axis
        self.conv = nn.Conv1d(patch, width, kernel)

    def bins_before(self, patches: int) -> int:
        """Number of earlier bins that the convolution reads, in a session with this many patches per bin."""
        steps = (self.conv.kernel_size[0] - 1) * self.dilation
        return steps if self.axis == "time" else -(-steps // patches)

    def forward(self, batch: Batch, rows: Tensor | None) -> Tensor:
        """The value embeddings of the tokens at `rows`. Shape: (n, D)."""
        row = torch.arange(len(batch.values), device=batch.values.device) if rows is None else rows
        patches, time = batch.patches[row], batch.time[row]
        # Number of tokens that one step goes back, and number of such steps since the start of the segment.
        stride, before = (patches, time) if self.axis == "time" else (1, time * patches + batch.patch[row])
        taps = []
        for lag in reversed(range(self.conv.kernel_size[0])):  # the last tap of the kernel is the present
            steps = lag * self.dilation
            past = (row - steps * stride).clamp(min=0)
            taps.append(batch.values[past] * (before >= steps)[:, None])
        windows = torch.cat(taps, dim=1)  # (n, kernel * S), tap after tap
        weight = self.conv.weight.transpose(1, 2).flatten(1)  # (D, S, kernel) -> (D, kernel * S)
        return F.linear(windows, weight, self.conv.bias)


class SpaceEmbedding(nn.Module):
    """A learned vector for each patch of each session: (P, D) rows per session, in one table.

    A batch may only hold sessions of this table, or sessions that `aliases` maps to one.
    """

    def __init__(self, sessions: dict[str, int], width: int, std: float):
        super().__init__()
        self.std = std
        self.sessions = dict(sorted(sessions.items()))  # rows must not depend on the order of `sessions`
        self.aliases: dict[str, str] = {}
        """Session of a batch -> session of this table whose rows are used for it."""
        self.table = nn.Embedding(sum(sessions.values()), width)
        nn.init.normal_(self.table.weight, std=std)
        counts = self.sessions.values()
        self.start = dict(zip(self.sessions, accumulate(counts, initial=0), strict=False))

    def forward(self, batch: Batch, rows: Tensor | None) -> Tensor:
        """The space embeddings of the tokens at `rows`. Shape: (n, D)."""
        return self.table(_take(self.rows(batch), rows))

    def rows(self, batch: Batch) -> Tensor:
        """(N,) row of the table for each token of the batch.

        Raises:
            DataError: the model was not trained on a session, or the session has another number of patches.
        """
        starts = []
        for session, n_bins, length in zip(batch.sessions, batch.bins, batch.lengths, strict=True):
            name = self.aliases.get(session, session)
            if name not in self.start:
                raise DataError(f'the model was not trained on session "{name}"{suggest(name, self.start)}')
            if length != n_bins * self.sessions[name]:
                raise DataError(
                    f"session {session} has {length // n_bins} patches per bin, but the model has "
                    f"{self.sessions[name]} for {name}; the number of units or channels differs"
                )
            starts.append(self.start[name])
        if len(starts) == 1:
            return batch.patch + starts[0]
        device = batch.patch.device
        lengths = torch.tensor(batch.lengths, device=device)
        return torch.tensor(starts, device=device).repeat_interleave(lengths) + batch.patch

    def transplanted(self, sessions: dict[str, int]) -> "SpaceEmbedding":
        """A table for `sessions`: rows of sessions in this table are copied, rows of new sessions are drawn.

        Args:
            sessions: name -> patches per bin.
        """
        new = SpaceEmbedding(sessions, self.table.embedding_dim, self.std)
        with torch.no_grad():
            for name, count in sessions.items():
                if self.sessions.get(name) == count:
                    a, b = self.start[name], new.start[name]
                    new.table.weight[b : b + count] = self.table.weight[a : a + count]
        return new


class Tokenizer(nn.Module):
    """The sum of value embedding and space embedding, if the model has one.

    Args:
        patch: S, slots of a patch.
        sessions: name -> patches per bin.
    Shape:
        batch of N tokens -> (N, D), or (len(rows), D) for the tokens at the indices `rows`.
    """

    def __init__(self, config: CrossModalConfig, patch: int, sessions: dict[str, int]):
        super().__init__()
        self.value = _value_embedding(config, patch)
        self.space = None if config.space == "none" else SpaceEmbedding(sessions, config.width, config.space_std)

    def forward(self, batch: Batch, rows: Tensor | None = None, hidden: Tensor | None = None) -> Tensor:
        """The tokens at `rows`. Shape: (n, D).

        Args:
            hidden: of a gated embedding, (N,) tokens that no gate may read; None: none.
        """
        value = self.value(batch, rows) if hidden is None else self.value(batch, rows, hidden)
        return self.located(value, batch, rows)

    def located(self, values: Tensor, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """Value embeddings with the space embeddings of the tokens at `rows`. Shape: (n, D) -> (n, D)."""
        return values if self.space is None else values + self.space(batch, rows)


def _value_embedding(config: CrossModalConfig, patch: int) -> nn.Module:
    embedding = config.embedding
    match embedding:
        case CountEmbedding():
            assert isinstance(config.inputs, SpikesInput)
            return CountTable(patch, config.width, config.inputs.max_count)
        case MlpEmbedding():
            return PerceptronPatch(patch, config.width, embedding.hidden)
        case ConvEmbedding():
            return CausalConvPatch(patch, config.width, embedding.kernel, embedding.dilation, embedding.axis)
        case GatedEmbedding():
            return GatedPatch(patch, config.width, embedding.causal)
    return LinearPatch(patch, config.width)


def _take(x: Tensor, rows: Tensor | None) -> Tensor:
    return x if rows is None else x[rows]
