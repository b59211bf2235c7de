"""How late a decoder answers."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Delay:
    """How late a method or baseline answers."""

    network: str
    """Methods of one network are joined by a line, unless two of them are equally late; empty for a baseline, which is
    a line across."""
    ms: float | None
    """None: it reads the whole segment."""
