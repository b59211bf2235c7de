"""What the teacher of a control reads in place of the spikes that were recorded with the LFP.

Everything is a function of (session, fold, segments), so that a training can be resumed. Segments of one part file are
disturbed together; all of them are of one session and one fold, so that no fold sees another one's spikes.

Axes: T bins of a segment, N bins of all segments, U units.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from zlib import crc32

import numpy as np

from raydistill.config.controls import OTHER, SHIFT_S, SHIFTED, SHUFFLED
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment

Disturbance = Callable[[list[Segment]], list[Segment]]
"""From the segments of one part file to as many segments for the teacher, of the same lengths."""


def disturbance(control: str | None, bin_width_ms: float, borrow: Callable[[str], tuple[Entry, np.ndarray]]):
    """What a teacher reads under a control. None: there is no control, or it does not change the spikes.

    Args:
        control: a key of `CONTROLS`.
        borrow: fold -> another session, and all its spikes (N, U) of this fold.
    """
    if control == SHUFFLED:
        return of_other_segments
    if control == SHIFTED:
        return lambda segments: shifted(segments, round(1000 * SHIFT_S / bin_width_ms))
    if control == OTHER:
        return lambda segments: of_other_session(segments, *borrow(segments[0].split))
    return None


def of_other_segments(segments: list[Segment]) -> list[Segment]:
    """Each segment with the spikes of another one, in an order that leaves none with its own.

    Spikes of a shorter segment are repeated, those of a longer one are cut. A single segment gets its own spikes,
    shifted by half of its length.
    """
    if len(segments) == 1:
        return shifted(segments, segments[0].n_bins // 2)
    first = segments[0]
    seed = [crc32(first.session.encode()), crc32(first.split.encode()), *(s.number for s in segments)]
    donors = _one_cycle(len(segments), np.random.default_rng(np.random.SeedSequence(seed)))
    return [_with_spikes(s, _spikes(segments[donor])) for s, donor in zip(segments, donors, strict=True)]


def shifted(segments: list[Segment], n_bins: int) -> list[Segment]:
    """The spikes of all segments as one row in time order, shifted in a circle, and cut again at the same places.

    Args:
        n_bins: how far; at most half of the row.
    """
    ordered = sorted(segments, key=lambda s: s.number)
    row = np.concatenate([_spikes(s) for s in ordered])  # (N, U)
    row = np.roll(row, min(n_bins, len(row) // 2), axis=0)
    edges = [0, *accumulate(s.n_bins for s in ordered)]
    pieces = {s.number: row[a:b] for s, (a, b) in zip(ordered, pairwise(edges), strict=True)}
    return [_with_spikes(s, pieces[s.number]) for s in segments]


def of_other_session(segments: Sequence[Segment], other: Entry, spikes: np.ndarray) -> list[Segment]:
    """Segments of another session, one for each segment and as long; its spikes are used again if there are too few.

    Args:
        spikes: (N, U) of the other session.
    """
    return [
        replace(_with_spikes(s, np.roll(spikes, -(s.number * s.n_bins) % len(spikes), axis=0)), session=other.session)
        for s in segments
    ]


def _one_cycle(n: int, random: np.random.Generator) -> np.ndarray:
    """A random order of n numbers in one cycle, so that no number keeps its place (Sattolo's algorithm)."""
    order = np.arange(n)
    for i in range(n - 1, 0, -1):
        j = random.integers(i)
        order[i], order[j] = order[j], order[i]
    return order


def _spikes(segment: Segment) -> np.ndarray:
    assert segment.spikes is not None, "the teacher reads spikes"
    return segment.spikes


def _with_spikes(segment: Segment, spikes: np.ndarray) -> Segment:
    """The segment with the first T bins of `spikes`, which are repeated if there are fewer."""
    return replace(segment, spikes=spikes[np.arange(segment.n_bins) % len(spikes)])
