"""Recordings of the paper's datasets, as their published files hold them: described by their layout alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Layout = Literal["makin", "flint", "gallego", "neurotask"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One session of a published dataset: where it lies, and what to take of it."""

    layout: Layout
    file: str
    """Name of the file relative to its folder."""
    companion: str | None = None
    """Makin: the broadband NWB 1.0.6 file beside it; None: spikes alone."""
    part: str | None = None
    """Which session of a file that holds several."""
    subject: str
    dataset: str
    task: str = ""
    region: str = ""
    units: Literal["hash+sorted", "sorted"] = "hash+sorted"
    """Makin: whether threshold crossings that belong to no sorted unit are units of their own."""
    arrays: tuple[str, ...] = ()
    """Gallego: the arrays to take; by default those that the paper names for the subject."""
    results: tuple[str, ...] = ()
    """Gallego and NeuroTask: only trials that ended so, such as R; by default all."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A session that a folder of published files holds."""

    name: str
    path: Path
    source: Published
