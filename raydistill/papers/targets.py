"""Figures and tables of the paper: which sessions and comparisons each shows, and the numbers printed there."""

import csv
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

ALL = "all"
"""In place of a subject: over all of them."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What one figure shows of a sweep; all of it, where the sweep names none."""

    figure: str | None = None
    sessions: frozenset[str] | None = None
    """None: every one."""
    pairs: tuple[tuple[str, str], ...] = ()
    """(better, worse) to be compared."""
    called: Mapping[str, str] = field(default_factory=dict)
    """Method -> the paper's name for it, where it is another."""

    def shows(self, session: str) -> bool:
        return self.sessions is None or session in self.sessions

    def printed(self, method: str, subject: str = ALL) -> float | None:
        """The mean R² that the paper gives, if it gives one number for that."""
        found = _printed().get((self.figure, self.called.get(method, method), subject), ())
        return found[0] if len(found) == 1 else None


WHOLE = Panel()
"""All sessions, of no figure in particular."""


def printed_alignment(panels: Sequence[Panel], queries: str, keys: str) -> dict[str, float]:
    """What the paper's Table 1 gives for these two methods: top1, top5, mean_rank, CKA, as far as it does.

    Nothing where the sweep answers no figure of the paper.
    """
    if not any(panel.figure for panel in panels):
        return {}
    pairs = {f"{queries} vs {keys}", f"{keys} vs {queries}"}
    return {
        row["metric"]: float(row["value"]) for row in _targets() if row["figure"] == "T1" and row["method"] in pairs
    }


@functools.cache
def _printed() -> dict[tuple[str, str, str], list[float]]:
    """(figure, method, subject) -> values; those of single sessions left out."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for row in (row for row in _targets() if row["metric"] == "R2" and not row["session"]):
        found.setdefault((row["figure"], row["method"], row["subject"]), []).append(float(row["value"]))
    return found


@functools.cache
def _targets() -> list[dict[str, str]]:
    with (files(__package__) / "paper_targets.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
