"""What a job stores about its scored segments: one vector per segment, and a minute of recorded and decoded behavior.

These suffice to compare the representations of models (docs/methods.md, Representations) and to draw decoded behavior
without running a model again.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from raydistill.errors import DataError
from raydistill.ownership import check_owner

FILE = "scored_segments.npz"
BEHAVIOR_S = 60.0
"""Seconds of decoded behavior that are stored."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredSegments:
    """S segments in the order in which they were scored, of models of width D.

    Behavior of K columns is stored for the first segments only, T bins in all.
    """

    bin_width_ms: float
    numbers: np.ndarray
    """(S,) segment numbers."""
    vectors: np.ndarray
    """(S, D) float32: the mean of a segment's latents over time."""
    bins: np.ndarray
    """(S,) bins of each segment."""
    true: np.ndarray
    """(T, K) float32, z-scored, NaN where it was lost."""
    decoded: np.ndarray
    """(T, K) float32, z-scored."""


class SegmentRecorder:
    """Collects ScoredSegments while segments are scored one after another."""

    def __init__(self, bin_width_ms: float) -> None:
        self.bin_width_ms, self.max_bins = bin_width_ms, round(BEHAVIOR_S * 1000 / bin_width_ms)
        self.numbers: list[int] = []
        self.vectors: list[np.ndarray] = []
        self.bins: list[int] = []
        self.features: list[np.ndarray] = []
        self.true: list[np.ndarray] = []
        self.behavior_bins = 0

    def add(self, number: int, latents: np.ndarray, features: np.ndarray, behavior: np.ndarray) -> None:
        """Record a segment: its latents (T, D), the features (T, .) that decoding starts from, and behavior (T, K)."""
        self.numbers.append(number)
        self.vectors.append(latents.mean(axis=0, dtype=np.float64).astype(np.float32))
        self.bins.append(len(behavior))
        if self.behavior_bins < self.max_bins:
            self.features.append(features)
            self.true.append(behavior)
            self.behavior_bins += len(behavior)

    def segments(self, predict: Callable[[np.ndarray], np.ndarray]) -> ScoredSegments:
        """All that was recorded, with behavior decoded by `predict`, from features (n, .) to behavior (n, K)."""
        return ScoredSegments(
            bin_width_ms=self.bin_width_ms,
            numbers=np.array(self.numbers),
            vectors=np.stack(self.vectors),
            bins=np.array(self.bins),
            true=np.concatenate(self.true).astype(np.float32),
            decoded=np.concatenate([predict(x) for x in self.features]).astype(np.float32),
        )


def write_segments(segments: ScoredSegments, folder: Path) -> Path:
    """Write the segments into a job's folder; returns the file."""
    path = folder / FILE
    check_owner(folder)
    with open(path, "wb") as file:
        np.savez_compressed(file, **{f.name: getattr(segments, f.name) for f in fields(ScoredSegments)})
    return path


def read_segments(folder: Path) -> ScoredSegments:
    """The segments in a job's folder. Raises DataError if the file is missing or damaged."""
    path = folder / FILE
    try:
        with np.load(path, allow_pickle=False) as file:
            return ScoredSegments(**{f.name: file[f.name] for f in fields(ScoredSegments)})
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as err:
        raise DataError(f"{path}: cannot be read ({err}); delete its folder and run the sweep again") from None
