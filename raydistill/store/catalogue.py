"""What the store says of a session: one row of sessions.parquet."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Part:
    """One Parquet file: at most 64 segments of one session and one split."""

    path: str
    """Relative to the store."""
    split: str
    numbers: tuple[int, ...]
    """The segments inside, in order."""
    n_bins: tuple[int, ...]
    """Bins of each of those segments."""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Per-column statistics under the protocol's fit (train segments, or all)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def undo(self, values: np.ndarray, columns: Sequence[int] | slice = slice(None)) -> np.ndarray:
        """Values as they were before z-scoring. Shape: (N, columns), float32."""
        mean, std = np.asarray(self.mean)[columns], np.asarray(self.std)[columns]
        # In double precision: the mean may be large beside the SD.
        return (np.asarray(values, dtype=np.float64) * std + mean).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A stored session: what it is, where its segments lie, and what it was made from."""

    session: str
    subject: str
    dataset: str
    task: str
    region: str
    bin_width_ms: float
    n_segments: int
    n_bins: int
    n_units: int
    n_channels: int
    """Columns of LFP: electrodes, or electrodes times `lfp_bands`."""
    behavior: tuple[str, ...]
    behavior_units: tuple[str, ...]
    splits: dict[str, int]
    """Segments in each of train, valid, test."""
    lfp_bands: int = 1
    """Features of each electrode, which lie beside each other among the channels."""
    split_hash: str = ""
    """sha256 of the fold of every split unit, whatever the length of the segments (split.json)."""
    outliers: int = 0
    """Split units that were left out because their behavior varies too much."""
    aligned: bool
    """Segments are whole trials, all beginning at the same event: a clock alone may decode behavior."""
    protocol: str
    normalisation: dict[str, Normalisation]
    """For spikes, lfp and behavior, where the session has them."""
    config: dict
    """The IngestConfig it was made with."""
    fingerprint: str
    """sha256 of sources and configuration: an unchanged one is not ingested again."""
    content: str
    """sha256 of the stored values and their split: what a result depends on."""
    sources: dict[str, str]
    parts: tuple[Part, ...]
