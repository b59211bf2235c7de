"""The segments of some folds of a stored session, for decoders that read them several times.

They are kept in memory only if they are small, so that the memory of a decoder does not grow with the length of a
session.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment, Segments
from raydistill.store.store import Store

KEPT_BYTES = 64 << 20
"""Folds of at most this size are read once, and larger ones, part by part, whenever a decoder reads them again."""


def folds_of(
    store: Store, entry: Entry, folds: Sequence[str], reads: Sequence[str], columns: Sequence[str] | None
) -> Segments:
    """The segments of the folds, one fold after another, each in time order.

    Args:
        reads: which of spikes and lfp to read.
        columns: behavior columns, in the order in which the segments have them; None: labels instead of behavior.
    """
    kept = None if columns is None else tuple(columns)
    stored = StoredFolds(store=store, entry=entry, folds=tuple(folds), reads=tuple(reads), columns=kept)
    return list(stored) if stored.bytes <= KEPT_BYTES else stored


def behavior_of(segment: Segment, entry: Entry, columns: Sequence[str]) -> np.ndarray:
    """(T, K) the columns of a segment's behavior, in this order."""
    assert segment.behavior is not None
    return segment.behavior[:, [entry.behavior.index(c) for c in columns]]


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredFolds:
    """Folds in the store, of which one part at a time is in memory."""

    store: Store
    entry: Entry
    folds: tuple[str, ...]
    reads: tuple[str, ...]
    columns: tuple[str, ...] | None
    """None: the segments have labels instead of behavior."""

    def __len__(self) -> int:
        return sum(len(part.numbers) for part in self.entry.parts if part.split in self.folds)

    def __iter__(self) -> Iterator[Segment]:
        for fold in self.folds:
            if self.columns is None:
                yield from self.store.stream(self.entry, fold, signals=(*self.reads, "labels"))
                continue
            for segment in self.store.stream(self.entry, fold, signals=(*self.reads, "behavior")):
                yield dataclasses.replace(segment, behavior=behavior_of(segment, self.entry, self.columns))

    @property
    def bytes(self) -> int:
        """Size of the segments in memory, with LFP as float32."""
        widths = {"spikes": self.entry.n_units, "lfp": 4 * self.entry.n_channels}
        per_bin = sum(widths[name] for name in self.reads) + 4 * len(self.entry.behavior)
        return per_bin * sum(sum(part.n_bins) for part in self.entry.parts if part.split in self.folds)
