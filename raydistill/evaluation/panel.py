"""Figures and tables of the paper: which sessions and comparisons each shows, and the numbers printed there."""

import csv
import functools
from collections.abc import Mapping
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


@functools.cache
def _printed() -> dict[tuple[str, str, str], list[float]]:
    """(figure, method, subject) -> values; those of single sessions left out."""
    with (files(__package__) / "paper_targets.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "R2" and not row["session"]]
    found: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        found.setdefault((row["figure"], row["method"], row["subject"]), []).append(float(row["value"]))
    return found
