"""A recording on one clock of bins: sessions, which readers produce, and segments, which the store returns.

Axes: T bins, K behavior dimensions; spikes (T, units), lfp (T, channels), behavior (T, K).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from raydistill.config.names import check_name, check_stored_name
from raydistill.errors import DataError
from raydistill.store.channels import ChannelTable
from raydistill.store.exported import Exported
from raydistill.store.labels import check_codes

_BINS_AT_ONCE = 1 << 13


@dataclass(frozen=True, kw_only=True)
class Session:
    """A preprocessed recording in physical units, before it is cut into segments.

    All arrays share the first axis: bin t covers [start_s + t * width, start_s + (t + 1) * width). Behavior is NaN
    where it was lost; spikes and lfp are complete. At least one of spikes and lfp is present.

    Raises:
        DataError: arrays of different length, or values that cannot be used; with the way to fix it.
    """

    name: str
    subject: str
    dataset: str = ""
    task: str = ""
    region: str = ""
    bin_width_ms: float
    start_s: float = 0.0
    spikes: np.ndarray | None = None
    """(T, units) uint8 counts per bin."""
    lfp: np.ndarray | None = None
    """(T, channels) float32, not yet z-scored."""
    lfp_bands: int = 1
    """Features per electrode, such as band powers, in adjacent channels."""
    behavior: np.ndarray | None = None
    """(T, K) float32."""
    behavior_names: tuple[str, ...] = ()
    behavior_units: tuple[str, ...] = ()
    circular: dict[str, float] = field(default_factory=dict)
    """Name -> period of each angle whose cosine and sine are the columns name_cos and name_sin (store/angles.py)."""
    labels: np.ndarray | None = None
    """(T, L) int16 class of each bin under each name of `classes`: its place among the classes, -1 where unknown."""
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name -> classes of each column of `labels`, such as direction -> (left, right)."""
    trial: np.ndarray | None = None
    """(T,) int32 trial label of each bin, -1 outside of trials; bins of one trial are contiguous."""
    piece: np.ndarray | None = None
    """(T,) int32 label of each interval without a gap, -1 between intervals; None: there is no gap."""
    sources: dict[str, str] = field(default_factory=dict)
    """Name of each raw file -> its sha256."""
    unit_channels: ChannelTable | None = None
    """Where each unit was recorded, one row per unit; None: unknown."""
    lfp_channels: ChannelTable | None = None
    """One row per LFP electrode (channels / lfp_bands); None: unknown."""
    exported: Exported | None = None
    """The segments to store, of a session that was exported from a store; None: segments and folds are drawn."""

    def __post_init__(self):
        check_stored_name(self.name)
        check_name(self.subject, "subject")
        if self.spikes is None and self.lfp is None:
            raise DataError(f"session {self.name}: it has neither spikes nor LFP; at least one is required")
        lengths = {
            k: len(a)
            for k in ("spikes", "lfp", "behavior", "labels", "trial", "piece")
            if (a := getattr(self, k)) is not None
        }
        if len(set(lengths.values())) != 1:
            raise DataError(f"session {self.name}: all arrays must have the same number of bins, but got {lengths}")
        if self.behavior is not None and self.behavior.shape[1] != len(self.behavior_names):
            raise DataError(
                f"session {self.name}: behavior has {self.behavior.shape[1]} columns but "
                f"{len(self.behavior_names)} names {self.behavior_names}"
            )
        check_codes(self.name, self.labels, self.classes)
        for name, period in self.circular.items():
            if not {f"{name}_cos", f"{name}_sin"} <= set(self.behavior_names) or not period > 0:
                raise DataError(
                    f"session {self.name}: `circular` needs a period above 0 for {name}, and the behavior columns "
                    f"{name}_cos and {name}_sin; got {period} and {self.behavior_names}"
                )
        self._check_values()
        self._check_tables()

    def _check_values(self) -> None:
        if self.spikes is not None:
            if self.spikes.dtype != np.uint8 or self.spikes.ndim != 2:
                raise DataError(f"session {self.name}: spikes must be (bins, units) uint8, got {_form(self.spikes)}")
            empty = np.flatnonzero(~self.spikes.any(axis=0))
            if len(empty) and self.exported is None:  # in an export, a unit's only spikes may be in unused bins
                raise DataError(
                    f"session {self.name}: unit {empty[0]} has no spike"
                    f"{f' ({len(empty)} such units)' if len(empty) > 1 else ''}; drop it with "
                    f"`drop_units: {empty.tolist()}` or set `min_rate_hz` above 0"
                )
        if self.lfp is not None:
            if self.lfp.ndim != 2 or not np.issubdtype(self.lfp.dtype, np.floating):
                raise DataError(f"session {self.name}: lfp must be (bins, channels) float32, got {_form(self.lfp)}")
            # In parts, as a mask of all values of a long recording would take a quarter of their memory.
            parts = (self.lfp[a : a + _BINS_AT_ONCE] for a in range(0, len(self.lfp), _BINS_AT_ONCE))
            if not all(np.isfinite(part).all() for part in parts):
                bad = np.argwhere(~np.isfinite(self.lfp))
                t, c = bad[0]
                raise DataError(
                    f"session {self.name}: LFP channel {c} is not finite at bin {t} ({len(bad)} such values); "
                    f"drop the channel with `drop_channels: [{c}]` or set `lfp_nan: interpolate`"
                )

    def _check_tables(self) -> None:
        """Raise DataError unless the tables of channels have one row per unit and per electrode."""
        n_units = 0 if self.spikes is None else self.spikes.shape[1]
        n_electrodes = 0 if self.lfp is None else self.lfp.shape[1] // self.lfp_bands
        for what, table, n in (
            ("units", self.unit_channels, n_units),
            ("LFP electrodes", self.lfp_channels, n_electrodes),
        ):
            if table is not None and len(table) != n:
                raise DataError(f"session {self.name}: `channels` has {len(table)} rows but there are {n} {what}")

    @property
    def n_bins(self) -> int:
        """T."""
        return _n_bins(self.spikes, self.lfp)

    @classmethod
    def from_arrays(
        cls,
        name: str,
        *,
        subject: str,
        bin_width_ms: float,
        spikes: ArrayLike | None = None,
        lfp: ArrayLike | None = None,
        behavior: ArrayLike | None = None,
        **other: Any,
    ) -> "Session":
        """A session from arrays on the same clock of bins.

        Args:
            spikes: (T, units) whole numbers from 0 to 255, of any type.
            lfp: (T, channels) numbers.
            behavior: (T, K) numbers, NaN where lost.
            other: further fields of the session.
        """
        if spikes is not None:
            spikes = np.asarray(spikes)
            if spikes.size and (spikes.min() < 0 or spikes.max() > 255 or np.any(spikes != np.round(spikes))):
                raise DataError(f"session {name}: spike counts must be whole numbers from 0 to 255")
            spikes = spikes.astype(np.uint8)
        return cls(
            name=name,
            subject=subject,
            bin_width_ms=bin_width_ms,
            spikes=spikes,
            lfp=None if lfp is None else np.asarray(lfp, dtype=np.float32),
            behavior=None if behavior is None else np.asarray(behavior, dtype=np.float32),
            **other,
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """One training example from the store, z-scored, with the signals that were read. T bins."""

    session: str
    number: int
    """Position among the session's segments, in time order; (session, number) identifies a segment."""
    split: str
    """train, valid or test."""
    start_s: float
    spikes: np.ndarray | None
    """(T, units) uint8 counts."""
    lfp: np.ndarray | None
    """(T, channels) float32, z-scored per channel; float16 in training if the store has it in float16."""
    behavior: np.ndarray | None
    """(T, K) float32, z-scored per column, NaN where lost."""
    trial: int | None = None
    """Trial label; None outside of trials."""
    labels: np.ndarray | None = None
    """(T, L) int16 class of each bin under each name of the session's labels, -1 where unknown."""

    @property
    def n_bins(self) -> int:
        """T."""
        return _n_bins(self.spikes, self.lfp, self.behavior, self.labels)


class Segments(Protocol):
    """Segments that can be read several times: a list, or a fold in the store."""

    def __len__(self) -> int:
        """Number of segments."""
        ...

    def __iter__(self) -> Iterator[Segment]:
        """The segments in time order."""
        ...


def bin_centres_s(segments: Sequence[Segment], bin_width_ms: float) -> np.ndarray:
    """Times in seconds of the bin centres of all segments, one segment after another. Shape: (N,)."""
    width_s = bin_width_ms / 1000
    return np.concatenate([s.start_s + (np.arange(s.n_bins) + 0.5) * width_s for s in segments])


def _n_bins(*signals: np.ndarray | None) -> int:
    return len(next(signal for signal in signals if signal is not None))


def _form(array: np.ndarray) -> str:
    return f"{array.shape} {array.dtype}"
