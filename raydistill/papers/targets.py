"""Figures and tables of a paper: which sessions and comparisons each one shows, and the numbers printed there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raydistill.papers.table import PAPERS

ALL = "all"
"""In place of a subject: the mean over all subjects."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The part of a sweep that one figure shows; by default the whole sweep."""

    paper: str | None = None
    """Name of the paper that the figure belongs to."""
    figure: str | None = None
    sessions: frozenset[str] | None = None
    """None: all sessions."""
    pairs: tuple[tuple[str, str], ...] = ()
    """(better, worse) to be compared."""
    called: Mapping[str, str] = field(default_factory=dict)
    """Method of the sweep -> its name in the figure, if that differs."""

    def shows(self, session: str) -> bool:
        """Whether the session is among those of the panel."""
        return self.sessions is None or session in self.sessions

    def printed(self, method: str, subject: str = ALL) -> float | None:
        """The mean R² printed in the figure; None unless there is exactly one number for the method and subject."""
        if self.paper is None or self.figure is None:
            return None
        return PAPERS[self.paper].printed_r2(self.figure, self.called.get(method, method), subject)


WHOLE = Panel()
"""All sessions of a sweep, without a figure to compare with."""


def printed_alignment(panels: Sequence[Panel], queries: str, keys: str) -> dict[str, float]:
    """Metric (top1, top5, mean_rank, CKA) -> the value printed for two methods in the paper of these panels.

    Empty unless the sweep answers a figure of a paper that prints them.
    """
    papers = {panel.paper for panel in panels if panel.figure is not None and panel.paper is not None}
    return {
        metric: value
        for name in sorted(papers)
        for metric, value in PAPERS[name].printed_alignment(queries, keys).items()
    }
