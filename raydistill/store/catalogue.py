"""Entries of the store's catalogue: one per session, one row of sessions.parquet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from raydistill.config.fingerprint import fingerprint
from raydistill.config.names import recorded_and_draw
from raydistill.store.channels import ChannelTable
from raydistill.store.labels import StoredLabel


@dataclass(frozen=True, kw_only=True)
class Part:
    """One Parquet file: at most 64 segments of one session and one split."""

    path: str
    """Relative to the store."""
    split: str
    numbers: tuple[int, ...]
    """Numbers of its segments, in order."""
    n_bins: tuple[int, ...]
    """Bins of each segment."""
    size: int
    """Bytes of the file."""
    sha256: str
    """Of the file."""


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """Mean and SD per column, fitted on the segments that the protocol prescribes (train, or all)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def undo(self, values: np.ndarray, columns: Sequence[int] | slice = slice(None)) -> np.ndarray:
        """Values before z-scoring. Shape: (N, columns), float32.

        Args:
            values: (N, columns) z-scores.
            columns: which columns of the session they are.
        """
        mean, std = np.asarray(self.mean)[columns], np.asarray(self.std)[columns]
        # In double precision, because the mean can be large relative to the SD.
        return (np.asarray(values, dtype=np.float64) * std + mean).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A stored session: its description, the files of its segments, and its sources."""

    session: str
    """Its name in the store: that of the recording, and for every further draw of the folds `NAME~2` and so on."""
    subject: str
    dataset: str
    task: str
    region: str
    bin_width_ms: float
    n_segments: int
    n_bins: int
    n_units: int
    n_channels: int
    """Columns of LFP: number of electrodes times `lfp_bands`."""
    behavior: tuple[str, ...]
    behavior_units: tuple[str, ...]
    circular: dict[str, float] = field(default_factory=dict)
    """Name -> period of each angle whose cosine and sine are the columns name_cos and name_sin (store/angles.py)."""
    labels: dict[str, StoredLabel] = field(default_factory=dict)
    """Name -> what a column of the labels says of a bin or segment."""
    splits: dict[str, int]
    """Number of segments in each of train, valid and test."""
    lfp_bands: int = 1
    """Features per electrode, in adjacent channels."""
    split_hash: str = ""
    """sha256 of the fold of every split span, independent of the length of the segments (split.json)."""
    split_digest: str = ""
    """sha256 of the file split.json."""
    outliers: int = 0
    """Number of split spans that were left out because their behavior varies too much."""
    recorded_bins: int = 0
    """Bins of the recording, without gaps; 0: the session was stored before they were counted."""
    gap_bins: int = 0
    """Bins in gaps between pieces of the recording."""
    unused: dict[str, int] = field(default_factory=dict)
    """Reason (store/unused.py) -> recorded bins that are in no segment; the sum is recorded_bins - n_bins."""
    exported_from: str = ""
    """Session from whose exported file this one was read, with its folds and `config`; empty: from a recording."""
    aligned: bool
    """Segments are whole trials that begin at the same event, so that time alone may predict behavior."""
    protocol: str
    """corrected, session_zscores, paper, released or realm (docs/methods.md, Splits and protocols)."""
    normalisation: dict[str, Normalisation]
    """For those of spikes, lfp and behavior that the session has."""
    config: dict[str, Any]
    """The IngestConfig of its ingest."""
    fingerprint: str
    """sha256 of sources and configuration; a session whose fingerprint is unchanged is not ingested again."""
    content: str
    """sha256 of `contents`: of all that results can depend on."""
    contents: dict[str, str] = field(default_factory=dict)
    """For those of spikes, lfp and behavior that the session has: sha256 of its values, of their split, and of what
    belongs to it: names, channel tables, the scale of the LFP."""
    sources: dict[str, str]
    """Name of each raw file -> its sha256."""
    unit_channels: ChannelTable | None = None
    """Where each unit was recorded, one row per unit; None: unknown."""
    lfp_channels: ChannelTable | None = None
    """One row per LFP electrode (n_channels / lfp_bands); None: unknown."""
    parts: tuple[Part, ...]

    @property
    def n_columns(self) -> dict[str, int]:
        """spikes and lfp -> number of units and of channels; 0 for a signal that the session lacks."""
        return {"spikes": self.n_units, "lfp": self.n_channels}

    @property
    def rules(self) -> str:
        """The protocol, and whether z-scores follow slow changes, such as "corrected (z-scores follow over 600 s)"."""
        adapt_s = self.config.get("adapt_s")
        return self.protocol if adapt_s is None else f"{self.protocol} (z-scores follow over {adapt_s:g} s)"

    @property
    def recorded(self) -> str:
        """The session without the number of its draw."""
        return recorded_and_draw(self.session)[0]

    @property
    def draw(self) -> int:
        """Which draw of the folds this is, from 1."""
        return recorded_and_draw(self.session)[1]

    def content_of(self, signals: Iterable[str]) -> str:
        """sha256 of what a job reads that reads these of spikes, lfp and behavior. One that is missing is left out."""
        return fingerprint({name: self.contents[name] for name in signals if name in self.contents})
