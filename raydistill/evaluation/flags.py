"""Scores that say little: R² far below 0, and sessions with so few scored data that their score varies by chance."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from raydistill.evaluation.measure import R2, Measure
from raydistill.evaluation.scores import Score

LOWEST_R2 = -1.0
"""Below, decoded behavior is further from the recorded one than its mean is by far."""
FEWEST_SEGMENTS = 20
SHORTEST_S = 30.0
NAMED = 4
"""Scores or sessions that a line names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """One session, or one score, that needs care."""

    kind: Literal["few_data", "low_r2"]
    session: str
    method: str | None = None
    """None: it is about all methods."""
    r2: float | None = None
    n_segments: int | None = None
    """Scored segments."""
    seconds: float | None = None
    """Length of the scored bins."""

    def to_json(self) -> dict:
        """As JSON data, without what does not apply."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def flags_of(scores: Sequence[Score], measure: Measure = R2) -> list[Flag]:
    """The flags of these scores: sessions first, then low scores, lowest first."""
    few = {
        s.session: Flag(kind="few_data", session=s.session, n_segments=s.n_segments, seconds=s.seconds)
        for s in scores
        if s.n_segments is not None and s.seconds is not None and is_few(s.n_segments, s.seconds)
    }
    lowest: dict[tuple[str, str], float] = {}
    for s in scores:
        if measure == R2 and np.isfinite(s.value) and s.value < LOWEST_R2:
            lowest[s.method, s.session] = min(s.value, lowest.get((s.method, s.session), s.value))
    low = [
        Flag(kind="low_r2", session=session, method=method, r2=r2)
        for (method, session), r2 in sorted(lowest.items(), key=lambda item: item[1])
    ]
    return [few[session] for session in sorted(few)] + low


def is_few(n_segments: int, seconds: float) -> bool:
    """Whether so few scored data make a score depend much on which segments are scored."""
    return n_segments < FEWEST_SEGMENTS or seconds < SHORTEST_S


def in_words(flags: Sequence[Flag], measure: Measure = R2) -> list[str]:
    """One line of text for each kind of flag."""
    by_kind: dict[str, list[Flag]] = defaultdict(list)
    for flag in flags:
        by_kind[flag.kind].append(flag)
    lines = []
    if few := by_kind["few_data"]:
        listed = _some([f"{f.session} ({f.n_segments} segments, {f.seconds:.0f} s)" for f in few])
        lines.append(
            f"few scored data in {listed}: below {FEWEST_SEGMENTS} segments or {SHORTEST_S:.0f} s, the "
            f"{measure.symbol} of a session depends much on which segments are scored"
        )
    if low := by_kind["low_r2"]:
        listed = _some([f"{f.method} in {f.session} ({f.r2:.1f})" for f in low])
        lines.append(f"R² below {LOWEST_R2:.0f}: {listed}; such a score rules a mean, so read the median")
    return lines


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more
