"""From bins of one channel to a token: dilated convolutions, and the name of the channel at a spatial scale.

Axes: n tokens, S bands of an electrode, w bins of a token, F channels of a convolution, D width.
"""

from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raydistill.errors import DataError, suggest
from raydistill.feed.tokens import Batch
from raydistill.models.barista.config import BaristaConfig
from raydistill.models.barista.layout import TokenLayout
from raydistill.models.barista.places import rows_of, table_sizes
from raydistill.models.spec import ModelSpec


class DilatedBlock(nn.Module):
    """Twice (convolution, norm over the bins, GELU), plus the input. Shape: (n, F, w) -> (n, G, w)."""

    def __init__(self, inputs: int, outputs: int, dilation: int):
        super().__init__()
        self.first = nn.Conv1d(inputs, outputs, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv1d(outputs, outputs, 3, padding=dilation, dilation=dilation)
        self.residual = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The output of the block."""
        y = x
        for convolution in (self.first, self.second):
            y = convolution(y)
            y = F.gelu(F.layer_norm(y, y.shape[-1:]))
        return y + self.residual(x)


class DilatedValue(nn.Module):
    """The value embedding. Shape: (n, w, S) -> (n, D)."""

    def __init__(self, config: BaristaConfig, bands: int):
        super().__init__()
        sizes = zip(config.embedding.channels(bands), config.embedding.dilations, strict=True)
        self.blocks = nn.Sequential(*(DilatedBlock(*channels, dilation) for channels, dilation in sizes))
        self.linear = nn.Linear(config.token_bins, config.width, bias=False)
        for module in self.blocks.modules():
            if isinstance(module, nn.Conv1d):
                assert module.bias is not None
                nn.init.kaiming_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, values: Tensor) -> Tensor:
        """The tokens without their names."""
        return self.linear(self.blocks(values.transpose(1, 2)).squeeze(1))  # (n, S, w) -> (n, 1, w) -> (n, D)


class SpaceNames(nn.Module):
    """The sum of one row of each table for each channel: a learned name at the scale `space`.

    Unknown arrays, regions and coordinates add zeros, which are not trained.
    """

    def __init__(self, spec: ModelSpec):
        super().__init__()
        config: BaristaConfig = spec.config
        self.spec = spec
        self.sessions = dict(sorted(spec.sessions.items()))  # rows must not depend on the order of the sessions
        self.aliases: dict[str, str] = {}
        """Session of a batch -> session of this model whose names are used for it."""
        self.start = dict(zip(self.sessions, accumulate(self.sessions.values(), initial=0), strict=False))
        self.tables = nn.ModuleDict(
            {name: nn.Embedding(size, config.width) for name, size in table_sizes(spec).items()}  # N(0, 1)
        )
        if "names" in self.tables:  # of arrays or regions; the first row is that of unknown ones
            nn.init.zeros_(self._table("names").weight[0])
        rows = torch.tensor(rows_of(spec, self.sessions), dtype=torch.int64)  # (channels, tables), -1: unknown
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, batch: Batch, layout: TokenLayout) -> Tensor:
        """The name of each token. Shape: (n, D)."""
        rows = self.get_buffer("rows")[self._channels(batch, layout)]  # (n, tables)
        is_known = rows >= 0
        named = [
            torch.where(is_known[:, i, None], table(rows[:, i].clamp(min=0)), 0.0)
            for i, table in enumerate(self.tables.values())
        ]
        return torch.stack(named).sum(0)

    def _channels(self, batch: Batch, layout: TokenLayout) -> Tensor:
        """(n,) number of the channel of each token, counted over all sessions of the model.

        Raises:
            DataError: the model was not trained on a session, or the session has another number of channels.
        """
        starts = []
        for session, channels in zip(batch.sessions, layout.channels, strict=True):
            name = self.aliases.get(session, session)
            if name not in self.start:
                raise DataError(f'the model was not trained on session "{name}"{suggest(name, self.start)}')
            if channels != self.sessions[name]:
                raise DataError(
                    f"session {session} has {channels} channels, but the model has {self.sessions[name]} for {name}"
                )
            starts.append(self.start[name])
        device = layout.channel.device
        lengths = torch.tensor(layout.lengths, device=device)
        return torch.tensor(starts, device=device).repeat_interleave(lengths) + layout.channel

    def transplanted(self, spec: ModelSpec) -> "SpaceNames":
        """Names for the sessions of another model: those that are known are copied, others are drawn."""
        new = SpaceNames(spec)
        with torch.no_grad():
            for key in self.tables:
                for row, new_row in self._shared_rows(key, new):
                    new._table(key).weight[new_row] = self._table(key).weight[row]
        return new

    def _shared_rows(self, table: str, new: "SpaceNames") -> list[tuple[int, int]]:
        """(row here, row there) of everything that a table of both has."""
        if table == "channels":
            shared = [name for name, count in new.sessions.items() if self.sessions.get(name) == count]
            return [(self.start[s] + i, new.start[s] + i) for s in shared for i in range(new.sessions[s])]
        if table == "names":
            numbers = {name: number for number, name in enumerate(self.spec.place_names, 1)}
            names = enumerate(new.spec.place_names, 1)
            return [(numbers[name], number) for number, name in names if name in numbers]
        return [(row, row) for row in range(self._table(table).num_embeddings)]

    def _table(self, name: str) -> nn.Embedding:
        table = self.tables[name]
        assert isinstance(table, nn.Embedding)
        return table


class BaristaTokenizer(nn.Module):
    """The value embedding, and the names of channels, if the model has any."""

    def __init__(self, spec: ModelSpec):
        super().__init__()
        self.value = DilatedValue(spec.config, spec.bands)
        self.space = None if spec.config.space == "none" else SpaceNames(spec)

    def located(self, values: Tensor, batch: Batch, layout: TokenLayout) -> Tensor:
        """Value embeddings of all tokens, with their names. Shape: (n, D) -> (n, D)."""
        return values if self.space is None else values + self.space(batch, layout)
