"""The context of a bin as few features: the bins around it, averaged in groups that widen with their distance.

All bins within 1 s to both sides would be 201 features per channel at 10 ms. Groups of neighbouring bins are at most
19, and lose little: a signal that is averaged less finely the further it is from the present. A window is a number of
the nearest groups, so that one fit of the widest serves all windows. See docs/methods.md, Baselines.

Axes: T bins of one segment, C channels or units, G groups.
"""

from collections.abc import Sequence, Sized
from dataclasses import dataclass

import numpy as np

EDGES_S = (0.02, 0.05, 0.1, 0.17, 0.25, 0.37, 0.5, 0.7, 1.0)
"""Seconds from the present at which groups end."""
WINDOWS_S = (0.1, 0.25, 0.5, 1.0)
"""Candidate windows: seconds to each side of the present, of the above."""


@dataclass(frozen=True, slots=True)
class Context:
    """The groups of bins around the present one."""

    offsets: tuple[tuple[int, int], ...]
    """(first, last) bin of each group relative to the present, inclusive, ordered by distance."""
    windows: dict[float, int]
    """Seconds to each side -> number of the leading groups that lie within them."""

    @classmethod
    def of(cls, bin_width_ms: float, longest: int, *, future: bool) -> "Context":
        """The groups for bins of this width.

        Args:
            longest: bins of the longest segment, beyond which nothing is looked for.
            future: whether bins after the present one are used, too.
        """
        offsets, before = [(0, 0)], 0
        windows: dict[float, int] = {}
        for edge in EDGES_S:
            last = min(int(edge * 1000 / bin_width_ms + 0.5), longest - 1)
            if last > before:
                offsets += [(-last, -before - 1), (before + 1, last)] if future else [(-last, -before - 1)]
                before = last
            if edge in WINDOWS_S and len(offsets) not in windows.values():
                windows[edge] = len(offsets)
        return cls(tuple(offsets), windows)

    def features(self, x: np.ndarray) -> np.ndarray:
        """(T, G * C) sums of the bins in each group, divided by the square root of their number, ordered by group.

        Ridge on these is ridge on all bins, with equal weights within a group. Bins outside of the segment count as 0,
        the mean of standardised input: no group reaches into another segment.

        Args:
            x: (T, C) standardised signal of one segment.
        """
        n = len(x)
        total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0, dtype=np.float64)])
        bins, out = np.arange(n), np.empty((n, len(self.offsets), x.shape[1]), dtype=np.float32)
        for group, (first, last) in enumerate(self.offsets):
            start, stop = np.clip(bins + first, 0, n), np.clip(bins + last + 1, 0, n)
            out[:, group] = (total[stop] - total[start]) / np.sqrt(last - first + 1)
        return out.reshape(n, -1)  # (T, G, C) -> (T, G * C)


def leading_components(covariance: np.ndarray, most: int) -> np.ndarray | None:
    """(C, most) the directions of most variance of C channels, or None if there are no more than `most` channels."""
    if len(covariance) <= most:
        return None
    return np.linalg.eigh(covariance)[1][:, : -most - 1 : -1]


def longest_of(*folds: Sequence[Sized]) -> int:
    """Bins of the longest of the arrays (T, .) in these folds."""
    return max((len(x) for fold in folds for x in fold), default=0)
