"""A published paper as data: its datasets, its groups of sessions, and the numbers that it prints.

Every paper has a file in this folder, which fills in a `Paper`, and a row in table.py. Code outside of that file gets
all that it needs to know about the paper from the `Paper`.
"""

import csv
import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
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
    targets: str
    """File in this folder: figure, setting, method, subject, session, metric and value of every number printed."""
    alignment_table: str | None = None
    """Figure in `targets` that holds retrieval and CKA of pairs of methods, written "A vs B"."""

    def count_mismatches(self, entries: Collection[StoredSession]) -> list[str]:
        """How the groups differ in size from the paper's; empty if the store holds only part of the corpus."""
        stored = {dataset: sum(e.dataset == dataset for e in entries) for dataset in self.datasets}
        if any(stored[dataset] < row.sessions for dataset, row in self.datasets.items()):
            return []
        sizes = {name: len(self.select(name, entries)) for name in self.groups}
        return [f"{name} has {sizes[name]} sessions, not {n}" for name, n in self.groups.items() if sizes[name] != n]

    def printed_r2(self, figure: str, method: str, subject: str) -> float | None:
        """The mean R² that the paper prints; None if it prints none, or several under the same name."""
        values = [
            row["value"]
            for row in read_targets(self.targets)
            if (row["figure"], row["method"], row["subject"]) == (figure, method, subject)
            and row["metric"] == "R2"
            and not row["session"]  # an empty cell: a mean over sessions
        ]
        return float(values[0]) if len(values) == 1 else None

    def printed_alignment(self, queries: str, keys: str) -> dict[str, float]:
        """Metric (top1, top5, mean_rank, CKA) -> the value that the paper prints for these two methods."""
        names = {f"{queries} vs {keys}", f"{keys} vs {queries}"}
        return {
            row["metric"]: float(row["value"])
            for row in read_targets(self.targets)
            if row["figure"] == self.alignment_table and row["method"] in names
        }


@functools.cache
def read_targets(name: str) -> list[dict[str, str]]:
    """The rows of a file of printed numbers in this folder."""
    with (files(__package__) / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
