"""Context tokens: what a model has learned of a session and of its subject.

Axes: N packed tokens, B segments, C context tokens of a segment, k of its session and k of its subject, D width.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from raydistill.errors import DataError, suggest
from raydistill.feed.noise import fork
from raydistill.models.layers.attention import Packing
from raydistill.models.ndt2.layers import CONTEXT


class WithContext(NamedTuple):
    """Packed tokens, each segment followed by its context tokens."""

    tokens: Tensor
    """(N + B * C, D)"""
    time: Tensor
    """(N + B * C,) bins, CONTEXT for context tokens."""
    packing: Packing
    place: Tensor
    """(N,) where the tokens are that are not context."""


def with_context(tokens: Tensor, time: Tensor, packing: Packing, context: Tensor) -> WithContext:
    """Append its context tokens to each segment.

    Shape:
        tokens: (N, D); time: (N,); context: (B, C, D).
    """
    n_context, device = context.shape[1], tokens.device
    lengths = torch.tensor(packing.lengths, device=device)
    segment = torch.arange(len(lengths), device=device).repeat_interleave(lengths)  # (N,)
    place = torch.arange(len(tokens), device=device) + n_context * segment
    starts = lengths.cumsum(0) + n_context * torch.arange(len(lengths), device=device)  # of the context of a segment
    of_context = (starts[:, None] + torch.arange(n_context, device=device)).flatten()  # (B * C,)
    row = context.flatten(0, 1).to(tokens.dtype)
    x = tokens.new_empty(len(tokens) + len(row), tokens.shape[1])
    x = x.index_copy(0, place, tokens).index_copy(0, of_context, row)
    bins = time.new_full((len(x),), CONTEXT).index_copy(0, place, time)
    noise = packing.noise
    if noise is not None:  # bits of their own, which follow from those of the segment
        first = noise[lengths.cumsum(0) - lengths]
        bits = torch.stack([fork(first, -3 - number) for number in range(n_context)], dim=1).flatten()  # (B * C,)
        noise = noise.new_empty(len(x)).index_copy(0, place, noise).index_copy(0, of_context, bits)
    longer = Packing(tuple(length + n_context for length in packing.lengths), packing.device, noise)
    return WithContext(x, bins, longer, place)


class ContextTokens(nn.Module):
    """k tokens of each session and k of each subject, and k flags that tell the two kinds apart.

    Args:
        subjects: session -> its subject, for all sessions of the model.
        count: k.
    """

    def __init__(self, subjects: Mapping[str, str], count: int, width: int):
        super().__init__()
        self.count = count
        self.subject_of = dict(sorted(subjects.items()))  # rows must not depend on the order of the sessions
        self.aliases: dict[str, str] = {}
        """Session of a batch -> session of this model whose tokens are used for it."""
        self.rows = _numbered(self.subject_of), _numbered(self.subject_of.values())
        std = 1.0 if count == 1 else width**-0.5
        self.sessions, self.subjects = (nn.Embedding(len(rows), count * width) for rows in self.rows)
        for table in (self.sessions, self.subjects):
            nn.init.normal_(table.weight, std=std)
        self.flags = nn.Parameter(std * torch.randn(2, count, width))

    def forward(self, sessions: Iterable[str], flagged: bool) -> Tensor:
        """The context tokens of segments of these sessions. Shape: (B, 2 * k, D).

        Raises:
            DataError: the model was not trained on a session.
        """
        names = [self._known(session) for session in sessions]
        device = self.flags.device
        tables = ((self.sessions, names), (self.subjects, [self.subject_of[name] for name in names]))
        drawn = [
            table(torch.tensor([rows[name] for name in keys], device=device)).unflatten(1, (self.count, -1))
            for (table, keys), rows in zip(tables, self.rows, strict=True)
        ]  # 2 of (B, k, D)
        return torch.cat([x + flag if flagged else x for x, flag in zip(drawn, self.flags, strict=True)], dim=1)

    def transplanted(self, subjects: Mapping[str, str]) -> "ContextTokens":
        """Tokens for other sessions: those of known sessions and subjects are copied, others are drawn."""
        new = ContextTokens(subjects, self.count, self.flags.shape[2])
        tables = ((self.sessions, new.sessions), (self.subjects, new.subjects))
        with torch.no_grad():
            for (known, drawn), rows, new_rows in zip(tables, self.rows, new.rows, strict=True):
                for name in new_rows.keys() & rows.keys():
                    drawn.weight[new_rows[name]] = known.weight[rows[name]]
            new.flags.copy_(self.flags)
        return new

    def _known(self, session: str) -> str:
        name = self.aliases.get(session, session)
        if name not in self.subject_of:
            raise DataError(f'the model was not trained on session "{name}"{suggest(name, self.subject_of)}')
        return name


def _numbered(names: Iterable[str]) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(set(names)))}
