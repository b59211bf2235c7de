"""Segments cut further: a model with short inputs is trained and scored on pieces of the store's segments.

The pieces of a segment have equal lengths, up to one bin, and nothing is left over. Folds are those of the segments.

Axes: T bins of a segment.
"""

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from raydistill.store.session import Segment

MOST_PIECES = 1 << 16
"""Of one segment: the number of a piece is that of its segment times this, plus its place."""
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """How the segments of one session are cut.

    >>> Pieces(seconds=1, bin_width_ms=30).lengths(100)
    [33, 33, 34]
    """

    seconds: float
    """Of the longest piece, which may be up to one bin longer."""
    bin_width_ms: float

    def count(self, n_bins: int) -> int:
        """Number of pieces of a segment: the fewest of which none is too long, each of one bin or more."""
        wanted = math.ceil(n_bins * self.bin_width_ms / (1000 * self.seconds) - _ROUNDING)
        return min(max(wanted, 1), n_bins)

    def longest(self, n_bins: int) -> int:
        """Bins of the longest piece of a segment."""
        return -(-n_bins // self.count(n_bins))

    def edges(self, n_bins: int) -> list[int]:
        """First bin of each piece of a segment, and T."""
        count = self.count(n_bins)
        return [n_bins * i // count for i in range(count + 1)]

    def lengths(self, n_bins: int) -> list[int]:
        """Bins of each piece of a segment."""
        edges = self.edges(n_bins)
        return [b - a for a, b in pairwise(edges)]

    def cut(self, segment: Segment) -> list[Segment]:
        """The pieces of a segment in order, each as a segment with a number of its own."""
        edges, pieces = self.edges(segment.n_bins), []
        for place, (a, b) in enumerate(pairwise(edges)):
            pieces.append(
                dataclasses.replace(
                    segment,
                    number=segment.number * MOST_PIECES + place,
                    start_s=segment.start_s + a * self.bin_width_ms / 1000,
                    spikes=_rows(segment.spikes, a, b),
                    lfp=_rows(segment.lfp, a, b),
                    behavior=_rows(segment.behavior, a, b),
                    labels=_rows(segment.labels, a, b),
                )
            )
        return pieces


def _rows(values: np.ndarray | None, a: int, b: int) -> np.ndarray | None:
    return None if values is None else values[a:b]
