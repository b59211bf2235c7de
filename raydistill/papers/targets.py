"""Figures and tables of a paper: their sessions, methods and comparisons, and the numbers printed in them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from raydistill.papers.paper import Target
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
    methods: tuple[str, ...] | None = None
    """Methods of the sweep that are shown; None: all."""
    pairs: tuple[tuple[str, str], ...] = ()
    """(better, worse) to be compared."""
    aligned: tuple[tuple[str, str], ...] = ()
    """(queries, keys) whose latents are compared."""
    called: Mapping[str, str] = field(default_factory=dict)
    """Method of the sweep -> its name in the figure, if that differs."""

    def shows(self, session: str) -> bool:
        """Whether the session is among those of the panel."""
        return self.sessions is None or session in self.sessions

    def has(self, method: str) -> bool:
        """Whether the method is among those of the panel."""
        return self.methods is None or method in self.methods

    def answers(self) -> Iterator[tuple[Target, tuple[str, ...]]]:
        """Every number printed in the figure that the panel has, with the methods of the sweep that it is about.

        These are one method for a mean R² or its SD, (better, worse) for a comparison, and (queries, keys) for
        similarity of latents. A number about several comparisons comes once for each.
        """
        if self.paper is None or self.figure is None:
            return
        paper = PAPERS[self.paper]
        for target in paper.targets:
            if target.figure != self.figure:
                continue
            if " > " in target.method:
                better, _, name = target.method.partition(" > ")
                others = paper.method_sets.get(name, (name,))
                yield from (
                    (target, (a, b)) for a, b in self.pairs if self._name(a) == better and self._name(b) in others
                )
            elif " vs " in target.method:
                both = set(target.method.split(" vs "))
                yield from ((target, pair) for pair in self.aligned if set(map(self._name, pair)) == both)
            else:
                yield from ((target, (m,)) for m in self.methods or () if self._name(m) == target.method)

    def printed(self, method: str, subject: str = ALL, session: str = "", metric: str = "R2") -> str | None:
        """The mean R² of a method in the figure, or its SD (metric R2_SD); None if the paper does not print it."""
        wanted = ((method,), subject, session, metric)
        for target, methods in self.answers():
            if (methods, target.subject, target.session, target.metric) == wanted:
                return target.text
        return None

    def _name(self, method: str) -> str:
        return self.called.get(method, method)


WHOLE = Panel()
"""All sessions of a sweep, without a figure to compare with."""
