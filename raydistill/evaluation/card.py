"""A model card: what a model was trained on and how, how well it decodes, what it sees, and what that does not show.

A card consists of facts, which are written from a job (sweep/answering/card.py) and never by hand. It is shown as
Markdown and on the page of a sweep. The card of a method is that of its jobs, with the facts that they share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raydistill.evaluation.interval import ScoreInterval
from raydistill.evaluation.measure import R2

NAMED = 3
"""Values that a fact of a method's card names, where its jobs differ."""
METRICS = "Metrics"
"""Section with the numbers of one job; the card of a method has a table instead."""
OF_ONE_JOB = ("job", "key", "time")
"""Facts that say nothing about a method."""

Facts = Mapping[str, str]
"""Name of a fact -> the fact, as one line of text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRow:
    """The numbers of one job: a row in the table of a method's card."""

    session: str
    seed: int | None
    value: float
    """R² or AUC."""
    valid: float | None
    """The same on the validation fold."""
    interval: ScoreInterval | None
    """None: the job was scored without one."""
    n_segments: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """The card of a model, or of a method."""

    title: str
    summary: str
    sections: Mapping[str, Facts]
    """Title of a section -> its facts, in order."""
    limits: tuple[str, ...] = ()
    """What the numbers do not show, and where the model cannot be used; one sentence each."""
    limits_alone: tuple[str, ...] = ()
    """The same, where it holds for one model alone, so that the card of a method does not say it."""
    symbol: str = R2.symbol
    """What the scores are."""
    scores: tuple[ScoreRow, ...] = ()
    """Of the job, or of each job of a method; empty if nothing is decoded, as in a pretraining."""

    def to_markdown(self) -> str:
        """The content of card.md."""
        lines = [f"# {self.title}", "", self.summary]
        for section, facts in self.sections.items():
            lines += ["", f"## {section}", "", *(f"- {name}: {fact}" for name, fact in facts.items())]
        if limits := (*self.limits_alone, *self.limits):
            lines += ["", "## Limits", "", *(f"- {limit}" for limit in limits)]
        if len(self.scores) > 1:
            lines += ["", "## Scores", "", *score_table(self.scores, self.symbol)]
        return "\n".join(lines) + "\n"


def score_table(rows: Sequence[ScoreRow], symbol: str) -> list[str]:
    """The scores as the lines of a Markdown table."""
    table = [f"| session | seed | {symbol} | interval | validation {symbol} |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (row.session, "–" if row.seed is None else row.seed, f"{row.value:.3f}")
        interval = row.interval.in_words() if row.interval else "unknown"
        valid = "–" if row.valid is None else f"{row.valid:.3f}"
        table.append(f"| {' | '.join(map(str, cells))} | {interval} | {valid} |")
    return table


def merged(title: str, summary: str, cards: Sequence[Card], limits: Sequence[str] = ()) -> Card:
    """The card of a method: the facts that its jobs share, some of the values of the others, and all scores.

    Args:
        limits: of the method as a whole, before those of its jobs.
    """
    sections: dict[str, dict[str, str]] = {}
    for section in dict.fromkeys(name for card in cards for name in card.sections if name != METRICS):
        of_section = [card.sections.get(section, {}) for card in cards]
        names = dict.fromkeys(name for facts in of_section for name in facts if name not in OF_ONE_JOB)
        sections[section] = {name: _shared([facts.get(name, "none") for facts in of_section]) for name in names}
    of_jobs = dict.fromkeys(limit for card in cards for limit in card.limits)
    counted = [_of_how_many(limit, cards) for limit in of_jobs]
    scores = tuple(row for card in cards for row in card.scores)
    symbol = cards[0].symbol
    limits = (*limits, *counted)
    return Card(title=title, summary=summary, sections=sections, limits=limits, symbol=symbol, scores=scores)


def _shared(values: Sequence[str]) -> str:
    """One fact of several jobs."""
    different = list(dict.fromkeys(values))
    if len(different) == 1:
        return different[0]
    more = f" and {len(different) - NAMED} more" if len(different) > NAMED else ""
    return f"{len(different)} different: {' | '.join(different[:NAMED])}{more}"


def _of_how_many(limit: str, cards: Sequence[Card]) -> str:
    n = sum(limit in card.limits for card in cards)
    return limit if n == len(cards) else f"{limit} (in {n} of {len(cards)} jobs)"
