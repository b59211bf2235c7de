"""A published paper as data: its datasets, its groups of sessions, and the numbers that it prints.

Every paper has a file in this folder, which fills in a `Paper`, and a row in table.py. Code outside of that file gets
all that it needs to know about the paper from the `Paper`.
"""

import csv
import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Protocol


class StoredSession(Protocol):
    """The attributes of a store's entry from which a paper's groups are formed."""

    @property
    def session(self) -> str:
        """Name of the session."""
        ...

    @property
    def dataset(self) -> str:
        """Name of its dataset."""
        ...

    @property
    def n_bins(self) -> int:
        """Number of its bins."""
        ...


@dataclass(frozen=True, kw_only=True)
class PaperDataset:
    """One dataset, as the paper describes it."""

    tasks: str
    subjects: dict[str, int | None]
    """Subject -> number of sessions; None if the paper does not say."""
    pretraining: int
    """Number of sessions used for pretraining on spikes."""
    held_out: int
    """Number of sessions excluded from this pretraining."""
    hours: float
    sequences: int
    """Number of segments, which the paper calls sequences."""
    neurons: int

    @property
    def sessions(self) -> int:
        """Number of sessions."""
        return self.pretraining + self.held_out


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One number that a paper prints."""

    figure: str
    """Figure, table or section, such as F3, T1 or A.8.3."""
    setting: str
    """What the number is about, in words."""
    method: str
    """By its name in the figure; "A > B" of a comparison, "A vs B" of two models whose latents are compared."""
    subject: str
    """"all": over all subjects."""
    session: str
    """Empty: over all sessions of the subject."""
    metric: str
    """R2, R2_SD; of a comparison p_below (the paper prints p < value), wins, losses, gain_of_wins (the mean over the
    pairs that are won), gain_of_losses; of latents top1, top5, mean_rank, CKA."""
    text: str
    """The number, with as many digits as are printed."""
    out_of_reach: str = ""
    """Why no sweep gives this number; empty if one does."""
    note: str = ""
    """What a reader of the number has to know."""

    @property
    def value(self) -> float:
        """The number."""
        return float(self.text)


@dataclass(frozen=True, kw_only=True)
class Paper:
    """One paper: its groups of sessions and its printed numbers."""

    name: str
    """As sweep files write it."""
    citation: str
    """Authors, title, place and year, on one line."""
    datasets: Mapping[str, PaperDataset]
    groups: Mapping[str, int]
    """Name of a group of sessions -> number of its sessions in the whole corpus. Names are unique over all papers."""
    select: Callable[[str, Collection[StoredSession]], list[str]]
    """(group, entries of a store) -> the sessions of the group, in the order of the entries."""
    protocols: tuple[str, ...]
    """Protocols of a store (docs/methods.md, Splits and protocols) that score as the paper does."""
    printed: str
    """File in this folder: every number that the paper prints, as columns named like the fields of `Target`."""
    method_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of several methods in a printed comparison -> these methods, by their names in the figure."""
    alignment_table: str | None = None
    """Figure in `printed` that holds retrieval and CKA of pairs of methods, written "A vs B"."""

    @property
    def targets(self) -> tuple[Target, ...]:
        """Every number that the paper prints."""
        return read_targets(self.printed)

    def methods_in(self, figure: str) -> frozenset[str]:
        """The methods about which a number is printed in a figure; empty for one without numbers."""
        printed = (t.method.replace(" vs ", " > ").split(" > ") for t in self.targets if t.figure == figure)
        return frozenset(m for names in printed for name in names for m in self.method_sets.get(name, (name,)))

    def has_figure(self, name: str) -> bool:
        """Whether numbers of this figure are printed. "F10 raw LFP" is a part of F10, whose numbers are not printed."""
        figures = {t.figure for t in self.targets}
        return name in figures or name.split(" ")[0] in figures

    def count_mismatches(self, entries: Collection[StoredSession]) -> list[str]:
        """How the groups differ in size from the paper's; empty if the store holds only part of the corpus."""
        stored = {dataset: sum(e.dataset == dataset for e in entries) for dataset in self.datasets}
        if any(stored[dataset] < row.sessions for dataset, row in self.datasets.items()):
            return []
        sizes = {name: len(self.select(name, entries)) for name in self.groups}
        return [f"{name} has {sizes[name]} sessions, not {n}" for name, n in self.groups.items() if sizes[name] != n]


@functools.cache
def read_targets(name: str) -> tuple[Target, ...]:
    """The rows of a file of printed numbers in this folder."""
    with (files(__package__) / name).open(encoding="utf-8") as file:
        return tuple(Target(text=row.pop("value"), **row) for row in csv.DictReader(file))
