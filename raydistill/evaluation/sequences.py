"""What a job keeps of the segments that it is scored on: one vector a segment, and a stretch of decoded behavior.

Enough to align models (spec D2 to D4) and to draw trajectories without running any model again.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raydistill.errors import DataError

FILE = "sequences.npz"
SHOWN_S = 60.0
"""Decoded behavior is kept of so many seconds."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sequences:
    """S segments in the order in which they were scored, T bins of the first of them, K columns of behavior, D wide."""

    bin_width_ms: float
    numbers: np.ndarray
    """(S,) numbers of the segments."""
    vectors: np.ndarray
    """(S, D) float32: the mean of a segment's latents over time (spec D2)."""
    bins: np.ndarray
    """(S,) of each segment; of the first segments, T together, behavior is kept."""
    true: np.ndarray
    """(T, K) float32, z-scored; NaN where it was lost."""
    decoded: np.ndarray
    """(T, K) float32."""


class Keeper:
    """Gathers Sequences while the segments pass by one after another."""

    def __init__(self, bin_width_ms: float):
        self.bin_width_ms, self.most = bin_width_ms, round(SHOWN_S * 1000 / bin_width_ms)
        self.numbers, self.vectors, self.bins = [], [], []
        self.features, self.true = [], []
        self.kept = 0

    def see(self, number: int, latents, features, behavior) -> None:
        """A segment: its latents (T, D), what behavior is decoded from (T, .), and its behavior (T, K)."""
        self.numbers.append(number)
        self.vectors.append(latents.mean(axis=0, dtype=np.float64).astype(np.float32))
        self.bins.append(len(behavior))
        if self.kept < self.most:
            self.features.append(features)
            self.true.append(behavior)
            self.kept += len(behavior)

    def sequences(self, predict) -> Sequences:
        """`predict`: from features (n, .) to behavior (n, K)."""
        return Sequences(
            bin_width_ms=self.bin_width_ms,
            numbers=np.array(self.numbers),
            vectors=np.stack(self.vectors),
            bins=np.array(self.bins),
            true=np.concatenate(self.true).astype(np.float32),
            decoded=np.concatenate([predict(x) for x in self.features]).astype(np.float32),
        )


def write_sequences(found: Sequences, folder: Path) -> Path:
    path = folder / FILE
    with open(path, "wb") as file:
        np.savez_compressed(file, **{name: getattr(found, name) for name in Sequences.__dataclass_fields__})
    return path


def read_sequences(folder: Path) -> Sequences:
    """Raises DataError where the file is missing or is not one of ours."""
    path = folder / FILE
    try:
        with np.load(path, allow_pickle=False) as file:
            return Sequences(**{name: file[name] for name in Sequences.__dataclass_fields__})
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as err:
        raise DataError(f"{path}: not readable ({err}); delete its folder and run the sweep again") from None
