"""One worker's share of every global batch: from memory, or streamed from the store every epoch.

Axes: T bins, D model width.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Protocol

import torch

from raydistill.feed.order import Row, Shards, in_batches
from raydistill.feed.reading import Reader
from raydistill.feed.tokens import Batch, Tokens, pack
from raydistill.store.catalogue import Part
from raydistill.store.session import Segment


@dataclass(frozen=True)
class Example:
    """One segment as a training needs it."""

    tokens: Tokens
    target: torch.Tensor | None = None
    """(T, D) latents of a frozen teacher."""
    teacher: Tokens | None = None
    """What a teacher that learns reads of it."""

    def to(self, device: str) -> "Example":
        moved = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return Example(**{name: value if value is None else value.to(device) for name, value in moved.items()})


def collate(examples: Sequence[Example]) -> Batch:
    """Pack examples into one batch, in the order given."""
    batch = pack([e.tokens for e in examples])
    if examples[0].target is not None:
        batch = dataclasses.replace(batch, target=torch.cat([e.target for e in examples]))
    if examples[0].teacher is not None:
        batch = dataclasses.replace(batch, teacher=pack([e.teacher for e in examples]))
    return batch


class Source(Protocol):
    """Where a worker's examples come from."""

    def examples(self, split: str, rows: Sequence[Row]) -> Iterator[Example]:
        """Those of `rows`, in that order."""


class Kept:
    """Examples in memory: on the device, or on the host."""

    def __init__(self, examples: dict[str, dict[Row, Example]]):
        self._examples = examples

    def examples(self, split: str, rows: Sequence[Row]) -> Iterator[Example]:
        return (self._examples[split][row] for row in rows)


class Streamed:
    """Parts read when the first of their rows is due, and let go after the last.

    Args:
        parts: split -> all parts of the training set, as rows count them.
    """

    def __init__(self, read: Reader, parts: dict[str, list[Part]], make: Callable[[Segment], Example]):
        self._read, self._parts, self._make = read, parts, make

    def examples(self, split: str, rows: Sequence[Row]) -> Iterator[Example]:
        left = Counter(row.part for row in rows)  # keeps the order of first need
        incoming = zip(list(left), self._read([self._parts[split][p] for p in left]), strict=True)
        opened: dict[int, list[Segment]] = {}
        for part, row in rows:
            while part not in opened:
                number, segments = next(incoming)
                opened[number] = segments
            yield self._make(opened[part][row])
            left[part] -= 1
            if not left[part]:
                del opened[part]


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What one worker trains and validates on, in the order that all workers share."""

    source: Source
    train_shards: Shards
    valid_shards: Shards
    batch: int
    """Segments in a global batch."""
    seed: int
    """Of the order."""
    rank: int = 0
    workers: int = 1
    micro_batch: int | None = None
    """Segments in one forward pass; all of the worker's share by default."""
    owners: Sequence[str] = ()
    """Session of each part of the train split."""

    @property
    def steps(self) -> int:
        """Global batches of an epoch."""
        return -(-sum(self.train_shards.sizes) // self.batch)

    def train(self, epoch: int, start: int = 0) -> Iterator[list[Batch]]:
        """This worker's share of each global batch of an epoch from step `start` on, in micro-batches.

        A worker without a segment in a global batch gets one that is marked `idle`.
        """
        held = set(self.train_shards.held(self.rank, self.workers))
        batches = self._global_batches(epoch)[start:]
        shares = [[row for row in batch if row.part in held] for batch in batches]
        examples = self.source.examples("train", list(chain.from_iterable(shares)))
        last = None
        for share in shares:
            own = list(islice(examples, len(share)))
            if own:
                last = own[-1]
                yield [collate(own[i : i + self._micro]) for i in range(0, len(own), self._micro)]
            else:
                if last is None:
                    last = next(examples)
                    examples = chain([last], examples)
                yield [dataclasses.replace(collate([last]), idle=True)]

    def valid(self) -> Iterator[Batch]:
        """The segments of the validation fold that this worker holds, in stored order."""
        shards = self.valid_shards
        rows = [Row(p, r) for p in shards.held(self.rank, self.workers) for r in range(shards.sizes[p])]
        examples = self.source.examples("valid", rows)
        return (collate(list(islice(examples, len(batch)))) for batch in in_batches(rows, self._micro))

    def sessions(self, epoch: int, step: int) -> list[str]:
        """The sessions in one global batch."""
        return sorted({self.owners[row.part] for row in self._global_batches(epoch)[step]})

    @property
    def _micro(self) -> int:
        return self.micro_batch or self.batch

    def _global_batches(self, epoch):
        return in_batches(self.train_shards.epoch(self.seed, epoch), self.batch)
