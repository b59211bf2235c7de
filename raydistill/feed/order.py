"""The order of segments: a pure function of (seed, epoch), the same for any number of workers.

Part files are distributed once over a fixed number of virtual shards, and worker r of n holds shards r, r + n, ... In
each epoch a shard goes through its parts one at a time, in random order, and the shards are merged by relative
position. Shards of equal size therefore take turns, so each worker has its share of every global batch, and a worker
that streams needs one part of each of its shards at a time. A worker computes the order of all segments from the
catalogue and uses the rows that it holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

SHARDS = 32


class SegmentPlace(NamedTuple):
    """Where a segment is stored: row `row` of part `part`."""

    part: int
    row: int


@dataclass(frozen=True)
class Shards:
    """The parts of one split, distributed over virtual shards."""

    sizes: tuple[int, ...]
    """Number of rows of each part."""
    shards: tuple[tuple[int, ...], ...]
    """Parts of each virtual shard; none is empty."""

    @classmethod
    def deal(cls, sizes: Sequence[int], weights: Sequence[int]) -> "Shards":
        """Distribute parts by weight: the heaviest part that is left goes to the lightest shard, ties in order.

        Args:
            sizes: number of rows of each part.
            weights: weight of each part.
        """
        dealt: list[list[int]] = [[] for _ in range(SHARDS)]
        loads = [0] * SHARDS
        for part in sorted(range(len(weights)), key=lambda p: (-weights[p], p)):
            shard = min(range(SHARDS), key=lambda s: (loads[s], s))
            dealt[shard].append(part)
            loads[shard] += weights[part]
        return cls(tuple(sizes), tuple(tuple(sorted(parts)) for parts in dealt if parts))

    def parts_of(self, rank: int, workers: int) -> list[int]:
        """The parts that one worker holds."""
        return sorted(part for shard in self.shards[rank::workers] for part in shard)

    def epoch(self, seed: int, epoch: int) -> list[SegmentPlace]:
        """All rows of all parts, in the order of this epoch."""
        turn = int(np.random.default_rng([seed, epoch]).integers(len(self.shards)))
        rows, positions = [], []
        for shard, parts in enumerate(self.shards):
            random = np.random.default_rng([seed, epoch, shard])
            places = [
                SegmentPlace(p, int(r)) for p in random.permutation(parts) for r in random.permutation(self.sizes[p])
            ]
            # Phases are spread evenly, so that shards, and with them the workers, take turns. (rows,) in [0, 1)
            phase = ((shard + turn) % len(self.shards) + 0.5) / len(self.shards)
            positions.append((np.arange(len(places)) + phase) / len(places))
            rows += places
        return [rows[i] for i in np.argsort(np.concatenate(positions), kind="stable")]


def in_batches(rows: Sequence[SegmentPlace], batch: int) -> list[Sequence[SegmentPlace]]:
    """Consecutive runs of `batch` rows; the last may be shorter, none is dropped."""
    return [rows[i : i + batch] for i in range(0, len(rows), batch)]
