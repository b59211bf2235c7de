"""Segments cut into tokens, and packed into batches without padding (docs/methods.md, Tokens).

Axes: B segments, T bins, P patches per bin, S slots of a patch, G signals in a patch, N tokens of the batch, K behavior
dimensions. Tokens are time-major: (t0 p0, t0 p1, ..., t1 p0, ...), one segment after another.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
import torch

from raydistill.errors import DataError
from raydistill.feed.patches import patches_per_bin
from raydistill.feed.pieces import Pieces
from raydistill.feed.tensors import to_device
from raydistill.store.catalogue import Entry, Normalisation
from raydistill.store.session import Segment

SpikesAs = Literal["recorded", "mean", "silence"]
"""Spikes in multimodal input: as recorded; or, for a test without spikes, their mean (zero after z-scoring) or none."""


@dataclass(frozen=True)
class Tokens:
    """One segment of a model's inputs, cut into patches."""

    session: str
    number: int
    values: torch.Tensor
    """(T * P, S) uint8 counts, float32, or float16 if the store has float16; zeros in slots without unit or channel."""
    n_bins: int
    slots: np.ndarray
    """(P, G) number of slots of each signal in each patch that hold a unit or channel; these slots come first."""
    widths: tuple[int, ...]
    """(G,) slots of each signal in a patch."""
    behavior: torch.Tensor | None
    """(T, K) float32."""
    classes: torch.Tensor | None = None
    """(T,) int64 class of each bin, or (1,) of the segment, -1 where unknown."""

    @property
    def n_patches(self) -> int:
        """Patches per bin, P."""
        return len(self.slots)


@dataclass(frozen=True, kw_only=True)
class LabelColumn:
    """Where the classes of a label are among the labels of a session."""

    column: int
    of: Literal["segments", "bins"]
    """Whether a segment has one class, or each bin its own."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Which signals of a segment a model reads, and how they are cut into patches."""

    modality: str
    """spikes, lfp or multimodal."""
    widths: tuple[int, ...]
    """Slots of a patch: (units,), (channels,), or (units, channels) if patch k of both signals becomes one patch. For
    multimodal input with one width, channels are appended to units before both are cut."""
    spikes_norm: dict[str, Normalisation] = field(default_factory=dict)
    """Session -> mean and SD of each unit's counts, by which multimodal input z-scores them."""
    behavior: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Session -> indices of the behavior columns to use, in this order. Other sessions have `Tokens.behavior` None."""
    label: dict[str, LabelColumn] = field(default_factory=dict)
    """Session -> the label to use. Other sessions have `Tokens.classes` None."""
    spikes_as: SpikesAs = "recorded"
    pieces: dict[str, Pieces] = field(default_factory=dict)
    """Session -> how its segments are cut further; those of other sessions are read as a whole."""

    def cut(self, segment: Segment) -> list[Segment]:
        """The pieces of a segment, in order; the segment itself if it is read as a whole."""
        pieces = self.pieces.get(segment.session)
        return [segment] if pieces is None else pieces.cut(segment)

    def lengths(self, session: str, n_bins: int) -> list[int]:
        """Bins of each piece of a segment of `n_bins` bins."""
        pieces = self.pieces.get(session)
        return [n_bins] if pieces is None else pieces.lengths(n_bins)

    @property
    def signals(self) -> tuple[str, ...]:
        """Which of spikes, lfp, behavior and labels are read."""
        read = ("spikes", "lfp") if self.modality == "multimodal" else (self.modality,)
        read = (*read, "behavior") if any(self.behavior.values()) else read
        return (*read, "labels") if self.label else read

    def tokenize(self, segment: Segment) -> Tokens:
        """Cut the (T, C) signals of a segment into patches (docs/methods.md, Tokens).

        Raises:
            DataError: the segment lacks a signal, or has another number of units than its session.
        """
        signals = self._signals(segment)
        n_bins = len(signals[0])
        n_patches = max(-(-x.shape[1] // w) for x, w in zip(signals, self.widths, strict=True))
        starts = np.arange(n_patches)[:, None] * np.array(self.widths)  # (P, G) first column of each patch
        slots = np.clip(np.array([x.shape[1] for x in signals]) - starts, 0, self.widths)
        cut = [_cut(x, n_patches, w) for x, w in zip(signals, self.widths, strict=True)]
        # G of (T, P, w) -> (T * P, S)
        values = cut[0] if len(cut) == 1 else np.concatenate(cut, axis=2)
        columns = self.behavior.get(segment.session, ())
        return Tokens(
            segment.session,
            segment.number,
            torch.from_numpy(values.reshape(n_bins * n_patches, -1)),
            n_bins,
            slots,
            self.widths,
            torch.from_numpy(segment.behavior[:, columns]) if columns and segment.behavior is not None else None,
            self._classes(segment),
        )

    def _classes(self, segment: Segment) -> torch.Tensor | None:
        label = self.label.get(segment.session)
        if label is None or segment.labels is None:
            return None
        codes = segment.labels[:, label.column]
        return torch.from_numpy((codes[:1] if label.of == "segments" else codes).astype(np.int64))

    def patches_of(self, entry: Entry) -> int:
        """Patches per bin (P) of a session."""
        return patches_per_bin(self.widths, self.modality, entry.n_units, entry.n_channels)

    def bytes_per_bin(self, entry: Entry) -> int:
        """Memory of one bin of a session, in bytes."""
        size = {"spikes": 1, "lfp": np.dtype(entry.config["lfp_dtype"]).itemsize}.get(self.modality, 4)
        return self.patches_of(entry) * sum(self.widths) * size + 4 * len(self.behavior.get(entry.session, ()))

    def _signals(self, segment: Segment) -> list[np.ndarray]:
        """(T, C) of each signal that has separate slots."""
        if self.modality != "multimodal":
            return [_present(segment, self.modality)]
        counts, lfp = _present(segment, "spikes"), _present(segment, "lfp")
        norm = self.spikes_norm[segment.session]
        mean, std = (np.asarray(values, dtype=np.float32) for values in (norm.mean, norm.std))
        if counts.shape[1] != len(mean):  # numpy would repeat a single one
            raise DataError(f"session {segment.session} has {len(mean)} units, but a segment has {counts.shape[1]}")
        spikes: np.ndarray = {"recorded": counts, "mean": mean, "silence": np.zeros_like(mean)}[self.spikes_as]
        zscored = np.broadcast_to((spikes - mean) / std, counts.shape).astype(np.float32)
        return [zscored, lfp] if len(self.widths) == 2 else [np.concatenate([zscored, lfp], axis=1)]


def _present(segment: Segment, modality: str) -> np.ndarray:
    values = getattr(segment, modality)
    if values is None:
        raise DataError(f"session {segment.session} has no {modality}, which the model reads")
    return values


def _cut(values, n_patches, width):
    """(T, C) -> (T, P, width), padded with zeros; a copy, so that the table of the store can be freed."""
    n_bins, n_columns = values.shape
    padded = np.zeros((n_bins, n_patches * width), values.dtype)
    padded[:, :n_columns] = values
    return padded.reshape(n_bins, n_patches, width)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Segments packed into one row of N tokens."""

    values: torch.Tensor
    """(N, S) uint8 counts or float32."""
    time: torch.Tensor
    """(N,) bin of each token within its segment."""
    patch: torch.Tensor
    """(N,) patch of each token within its bin."""
    slots: torch.Tensor
    """(N, G) number of slots of each signal in the patch that hold a unit or channel; the other slots are padding."""
    widths: tuple[int, ...]
    """(G,) slots of each signal in a patch; they sum to S."""
    patches: torch.Tensor
    """(N,) patches per bin of the segment to which each token belongs."""
    sessions: tuple[str, ...]
    numbers: tuple[int, ...]
    bins: tuple[int, ...]
    """T of each segment."""
    lengths: tuple[int, ...]
    """T * P of each segment."""
    behavior: torch.Tensor | None = None
    """(sum of T, K) z-scored, NaN where lost."""
    classes: torch.Tensor | None = None
    """(sum of T,) int64 class of each bin, or (B,) of each segment; -1 where unknown."""
    noise: torch.Tensor | None = None
    """(N,) int32 random bits from which dropout draws (feed/noise.py); None: the batch is not trained on."""

    def to(self, device: str) -> "Batch":
        """A copy whose tensors are on `device`."""
        return to_device(self, device)

    @cached_property
    def valid(self) -> torch.Tensor:
        """(N, S) bool: whether a slot holds a unit or channel."""
        places = [torch.arange(w, device=self.slots.device) for w in self.widths]
        return torch.cat([place < self.slots[:, g, None] for g, place in enumerate(places)], dim=1)


def pack(tokens: list[Tokens]) -> Batch:
    """Concatenate segments into one batch, in the order given."""
    behaviors = [t.behavior for t in tokens if t.behavior is not None]
    has_behavior = len(behaviors) == len(tokens) and len({b.shape[1] for b in behaviors}) == 1
    classes = [t.classes for t in tokens if t.classes is not None]
    values = torch.cat([t.values for t in tokens])
    positions = zip(*(_positions(t.n_bins, t.slots.shape, t.slots.tobytes()) for t in tokens), strict=True)
    time, patch, slots, patches = map(torch.cat, positions)
    return Batch(
        values=values.float() if values.dtype == torch.float16 else values,
        time=time,
        patch=patch,
        slots=slots,
        widths=tokens[0].widths,
        patches=patches,
        sessions=tuple(t.session for t in tokens),
        numbers=tuple(t.number for t in tokens),
        bins=tuple(t.n_bins for t in tokens),
        lengths=tuple(t.n_bins * t.n_patches for t in tokens),
        behavior=torch.cat(behaviors) if has_behavior else None,
        classes=torch.cat(classes) if len(classes) == len(tokens) else None,
    )


@lru_cache(maxsize=256)  # computing them for every batch took two thirds of the time of `pack`
def _positions(n_bins: int, shape: tuple[int, int], slots: bytes) -> tuple[torch.Tensor, ...]:
    """`time`, `patch`, `slots` and `patches` of one segment's tokens, from its T and its (P, G) int64 slots."""
    n_patches = shape[0]
    cut = torch.frombuffer(bytearray(slots), dtype=torch.int64).view(shape)
    return (
        torch.arange(n_bins).repeat_interleave(n_patches),
        torch.arange(n_patches).repeat(n_bins),
        cut.repeat(n_bins, 1),  # (P, G) -> (T * P, G)
        torch.full((n_bins * n_patches,), n_patches),
    )
