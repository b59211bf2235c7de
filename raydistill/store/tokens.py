"""Segments cut into tokens, and packed into batches without padding.

Axes: B segments, T bins, P patches per bin, S slots of a patch, G signals in a patch, N tokens of the batch, K behavior
dimensions. Tokens are time-major: (t0 p0, t0 p1, ..., t1 p0, ...), one segment after another.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from raydistill.store.catalogue import Normalisation
from raydistill.store.session import Segment


@dataclass(frozen=True)
class Tokens:
    """One segment of a model's inputs, cut into patches: a view and a pad."""

    session: str
    number: int
    values: np.ndarray
    """(T * P, S) uint8 counts or float32, zeros in the slots that hold no unit or channel."""
    n_bins: int
    slots: np.ndarray
    """(P, G) slots of each signal in each patch that hold a unit or channel; they come first."""
    widths: tuple[int, ...]
    """(G,) slots of each signal in a patch."""
    behavior: np.ndarray | None
    """(T, K) float32."""

    @property
    def n_patches(self) -> int:
        return len(self.slots)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a model reads of its sessions' segments, and how it is cut into patches."""

    modality: str
    """spikes, lfp or multimodal."""
    widths: tuple[int, ...]
    """Slots of a patch: (units,), (channels,), or (units, channels) where patch k of both signals make one. With
    multimodal and one width, the channels follow the units before both are cut."""
    spikes_norm: dict[str, Normalisation] = field(default_factory=dict)
    """Session -> mean and SD of each unit's counts; multimodal input is z-scored throughout."""
    behavior: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Session -> columns of behavior to take, in this order; of other sessions none."""
    spikes_as: Literal["recorded", "mean", "silence"] = "recorded"
    """Of multimodal input: as recorded, or, for spikes that are lost, their mean (zero after z-scoring) or none."""

    def tokenize(self, segment: Segment) -> Tokens:
        """Cut a segment's (T, C) signals into patches."""
        signals = self._signals(segment)
        n_bins = len(signals[0])
        n_patches = max(-(-x.shape[1] // w) for x, w in zip(signals, self.widths, strict=True))
        first = np.arange(n_patches)[:, None] * np.array(self.widths)  # (P, G)
        slots = np.clip(np.array([x.shape[1] for x in signals]) - first, 0, self.widths)
        cut = [_cut(x, n_patches, w) for x, w in zip(signals, self.widths, strict=True)]
        # G of (T, P, w) -> (T * P, S)
        values = cut[0] if len(cut) == 1 else np.concatenate(cut, axis=2)
        columns = self.behavior.get(segment.session, ())
        behavior = segment.behavior[:, columns] if columns else None
        return Tokens(
            segment.session,
            segment.number,
            values.reshape(n_bins * n_patches, -1),
            n_bins,
            slots,
            self.widths,
            behavior,
        )

    def _signals(self, segment: Segment) -> list[np.ndarray]:
        if self.modality != "multimodal":
            return [getattr(segment, self.modality)]
        norm = self.spikes_norm[segment.session]
        mean, std = np.float32(norm.mean), np.float32(norm.std)
        spikes = {"recorded": segment.spikes, "mean": mean, "silence": np.float32(0)}[self.spikes_as]
        spikes = np.broadcast_to((spikes - mean) / std, segment.spikes.shape).astype(np.float32)
        both = [spikes, segment.lfp]
        return both if len(self.widths) == 2 else [np.concatenate(both, axis=1)]


def _cut(values, n_patches, width):
    """(T, C) -> (T, P, width), padded with zeros; columns of one bin lie together, so that cutting moves nothing."""
    n_bins, n_columns = values.shape
    if n_patches * width != n_columns:
        values = np.pad(values, ((0, 0), (0, n_patches * width - n_columns)))
    return np.ascontiguousarray(values).reshape(n_bins, n_patches, width)


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
    """(N, G) slots of each signal in the patch that hold a unit or channel; the rest is padding."""
    widths: tuple[int, ...]
    """(G,) slots of each signal in a patch; they sum to S."""
    patches: torch.Tensor
    """(N,) patches per bin, P, in the segment of each token."""
    sessions: tuple[str, ...]
    numbers: tuple[int, ...]
    bins: tuple[int, ...]
    """T of each segment."""
    lengths: tuple[int, ...]
    """T * P of each segment."""
    behavior: torch.Tensor | None = None
    """(sum of T, K) z-scored, NaN where lost."""
    target: torch.Tensor | None = None
    """(sum of T, D) the frozen teacher's pooled latents, for distillation."""
    teacher: "Batch | None" = None
    """The same segments as the teacher's input, where the teacher learns too."""
    idle: bool = False
    """The worker holds none of the global batch's segments; this one stands in and counts for nothing."""

    def to(self, device) -> "Batch":
        moved = {
            f.name: value.to(device) if isinstance(value, Batch) else value.to(device, non_blocking=True)
            for f in dataclasses.fields(self)
            if isinstance(value := getattr(self, f.name), torch.Tensor | Batch)
        }
        return dataclasses.replace(self, **moved)

    @cached_property
    def valid(self) -> torch.Tensor:
        """(N, S) True where a slot holds a unit or channel."""
        places = [torch.arange(w, device=self.slots.device) for w in self.widths]
        return torch.cat([place < self.slots[:, g, None] for g, place in enumerate(places)], dim=1)


def pack(tokens: list[Tokens]) -> Batch:
    """Concatenate segments into one batch, in the order given."""
    repeat = lambda t, values: np.tile(values, (t.n_bins, *[1] * (values.ndim - 1)))  # noqa: E731
    together = lambda arrays: torch.from_numpy(np.concatenate(arrays))  # noqa: E731
    has_behavior = all(t.behavior is not None for t in tokens) and len({t.behavior.shape[1] for t in tokens}) == 1
    return Batch(
        values=together([t.values for t in tokens]),
        time=together([np.repeat(np.arange(t.n_bins), t.n_patches) for t in tokens]),
        patch=together([repeat(t, np.arange(t.n_patches)) for t in tokens]),
        slots=together([repeat(t, t.slots) for t in tokens]),  # (P, G) -> (T * P, G)
        widths=tokens[0].widths,
        patches=together([np.full(len(t.values), t.n_patches) for t in tokens]),
        sessions=tuple(t.session for t in tokens),
        numbers=tuple(t.number for t in tokens),
        bins=tuple(t.n_bins for t in tokens),
        lengths=tuple(len(t.values) for t in tokens),
        behavior=together([t.behavior for t in tokens]) if has_behavior else None,
    )
