"""The share of every global batch that one worker computes: from memory, or streamed from the store every epoch.

Axes: T bins, D model width.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Protocol

import torch

from raydistill.feed.order import SegmentPlace, Shards, in_batches
from raydistill.feed.reading import Reader
from raydistill.feed.tensors import to_device
from raydistill.feed.tokens import Batch, Tokens, pack
from raydistill.store.catalogue import Part
from raydistill.store.session import Segment


@dataclass(frozen=True)
class Example:
    """One segment as the input of a training."""

    tokens: Tokens
    teacher_latents: torch.Tensor | None = None
    """(T, D) latents of a frozen teacher."""
    teacher_tokens: Tokens | None = None
    """The segment as the input of a teacher that is trained too."""

    def to(self, device: str) -> "Example":
        """A copy whose tensors are on `device`."""
        return to_device(self, device)


@dataclass(frozen=True, kw_only=True)
class FeedBatch:
    """The segments of one forward pass."""

    tokens: Batch
    teacher_latents: torch.Tensor | None = None
    """(sum of T, D) latents of a frozen teacher."""
    teacher_tokens: Batch | None = None
    """The segments as the input of a teacher that is trained too."""
    idle: bool = False
    """The worker holds no segment of the global batch: the segments are placeholders, which do not enter the loss."""


def collate(examples: Sequence[Example], idle: bool = False) -> FeedBatch:
    """Pack examples into one batch, in the order given."""
    latents = [e.teacher_latents for e in examples if e.teacher_latents is not None]
    teacher_tokens = [e.teacher_tokens for e in examples if e.teacher_tokens is not None]
    return FeedBatch(
        tokens=pack([e.tokens for e in examples]),
        teacher_latents=torch.cat(latents) if latents else None,
        teacher_tokens=pack(teacher_tokens) if teacher_tokens else None,
        idle=idle,
    )


class ExampleSource(Protocol):
    """Where a worker reads its examples from."""

    def examples(self, split: str, places: Sequence[SegmentPlace]) -> Iterator[Example]:
        """The examples at `places`, in that order."""
        ...


class InMemory:
    """Examples in the memory of the device or of the host."""

    def __init__(self, examples: dict[str, dict[SegmentPlace, Example]]):
        self._examples = examples

    def examples(self, split: str, places: Sequence[SegmentPlace]) -> Iterator[Example]:
        """The examples at `places`, in that order."""
        return (self._examples[split][place] for place in places)


class Streaming:
    """Examples read from the store: a part is read when its first segment is needed, and released after its last.

    Args:
        read: reads parts.
        parts: split -> all parts of the training set; `SegmentPlace.part` is the index in this list.
        make: makes the example of a segment.
    """

    def __init__(self, read: Reader, parts: dict[str, list[Part]], make: Callable[[Segment], Example]):
        self._read, self._parts, self._make = read, parts, make

    def examples(self, split: str, places: Sequence[SegmentPlace]) -> Iterator[Example]:
        """The examples at `places`, in that order."""
        remaining = Counter(place.part for place in places)  # in the order in which parts are first needed
        incoming = zip(list(remaining), self._read([self._parts[split][p] for p in remaining]), strict=True)
        opened: dict[int, list[Segment]] = {}
        for part, row in places:
            while part not in opened:
                number, segments = next(incoming)
                opened[number] = segments
            yield self._make(opened[part][row])
            remaining[part] -= 1
            if not remaining[part]:
                del opened[part]


@dataclass(frozen=True, kw_only=True)
class Feed:
    """The batches that one worker trains and validates on, in an order that all workers share."""

    source: ExampleSource
    train_shards: Shards
    valid_shards: Shards
    batch: int
    """Segments in a global batch."""
    seed: int
    """Seed of the order of segments."""
    rank: int = 0
    workers: int = 1
    micro_batch: int | None = None
    """Segments in one forward pass; all of the worker's share by default."""
    part_sessions: Sequence[str] = ()
    """Session of each part of the train split."""

    @property
    def steps(self) -> int:
        """Global batches per epoch."""
        return -(-sum(self.train_shards.sizes) // self.batch)

    def train(self, epoch: int, start: int = 0) -> Iterator[list[FeedBatch]]:
        """This worker's share of each global batch of an epoch from step `start` on, in micro-batches.

        A worker that holds no segment of a global batch gets one that is marked `idle`.
        """
        own_parts = set(self.train_shards.parts_of(self.rank, self.workers))
        global_batches = self._global_batches(epoch)[start:]
        shares = [[place for place in batch if place.part in own_parts] for batch in global_batches]
        examples = self.source.examples("train", list(chain.from_iterable(shares)))
        last: Example | None = None
        for share in shares:
            batch = list(islice(examples, len(share)))
            if batch:
                last = batch[-1]
                yield [collate(batch[i : i + self._micro]) for i in range(0, len(batch), self._micro)]
            else:
                if last is None:
                    last = next(examples)
                    examples = chain([last], examples)
                yield [collate([last], idle=True)]

    def valid(self) -> Iterator[FeedBatch]:
        """The segments of the validation fold that this worker holds, in stored order."""
        shards = self.valid_shards
        own_parts = shards.parts_of(self.rank, self.workers)
        places = [SegmentPlace(part, row) for part in own_parts for row in range(shards.sizes[part])]
        examples = self.source.examples("valid", places)
        return (collate(list(islice(examples, len(batch)))) for batch in in_batches(places, self._micro))

    def sessions(self, epoch: int, step: int) -> list[str]:
        """The sessions in one global batch."""
        return sorted({self.part_sessions[place.part] for place in self._global_batches(epoch)[step]})

    @property
    def _micro(self) -> int:
        return self.micro_batch or self.batch

    def _global_batches(self, epoch):
        return in_batches(self.train_shards.epoch(self.seed, epoch), self.batch)
